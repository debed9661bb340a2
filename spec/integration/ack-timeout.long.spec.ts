import { onImpatientBroker } from '../support/ack-timeout.js';

onImpatientBroker(20_000, 40_000);
