import type { Holder } from '../guard.js';

/**
 * How a delivery ended, before anybody has settled it: a closed set. The ack policy alone turns it into ack, put back,
 * retry or dead letter.
 */
export type Outcome =
  /** The body ended well. `value`: what it returned, as it will be kept. */
  | { readonly kind: 'succeeded'; readonly value: unknown }
  /** A finished run covers it. `own`: its own, whose acknowledgement got lost; `dead`: it ended in the dead letters. */
  | { readonly kind: 'covered'; readonly own: boolean; readonly dead: boolean; readonly id: string }
  /** Another task holds the key, by evidence of a quorum. */
  | { readonly kind: 'discarded'; readonly holder: Holder }
  /** A stand-in whose message has gone its way. */
  | { readonly kind: 'relieved' }
  /** Its time passed before its first run, and nobody leans on it. Its key is free by now. */
  | { readonly kind: 'expired'; readonly expires: number }
  /** Another task holds the key. `offered`: it took the arguments; else it has newer ones. */
  | { readonly kind: 'coalesced'; readonly holder: Holder; readonly offered: boolean }
  /** Run again after `delay` ms. */
  | { readonly kind: 'retry'; readonly error: Error; readonly delay: number }
  /** Nothing more can be done. */
  | { readonly kind: 'dead'; readonly code: string; readonly error: Error }
  /** Not now: again after `delay` ms, by the broker. No attempt was made. */
  | { readonly kind: 'parked'; readonly delay: number }
  /** The run was aborted and its body has ended. */
  | { readonly kind: 'aborted' }
  /** The run was aborted and its body goes on: it keeps the key. */
  | { readonly kind: 'overdue'; readonly error: Error }
  /** The body was not begun: back into the queue, and the key is let go of if it was taken. */
  | { readonly kind: 'returned' };
