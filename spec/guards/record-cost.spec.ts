import { recordCost } from '../support/record-cost.js';

recordCost(10_000, 60_000);
