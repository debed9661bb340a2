import { onImpatientBroker } from '../support/ack-timeout.js';

onImpatientBroker(4_000, 9_000);
