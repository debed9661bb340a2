import type { Receipt } from '../client/receipt.js';
import type { Clock } from '../clock.js';
import type { Guard } from '../guard.js';
import type { Transport } from '../transport.js';

/** By this symbol solotask/testing puts parts of its own in the place of an app's. */
export const REHEARSE = Symbol.for('solotask.rehearse');

/** The parts of an app under test. */
export interface Rehearsal {
  readonly clock: Clock;
  /** What `broker: 'memory:'` stands for. */
  readonly transport: Transport;
  /** What `locks: 'memory:'` stands for. */
  readonly guard: Guard;
  /** Called with each call's receipt, before its caller gets it; what it rejects with, the caller gets instead. */
  readonly run: (receipt: Receipt) => Promise<Receipt>;
}
