import { recordCost } from '../support/record-cost.js';

recordCost(100_000, 300_000);
