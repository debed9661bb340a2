import type { Clock } from '../clock.js';
import type { Registry } from '../declarations/registry.js';
import type { FenceSource } from '../fence.js';
import type { Guard } from '../guard.js';
import type { Signals } from '../signals.js';
import type { Transport } from '../transport.js';

/** What operators' commands work with. */
export interface InspectorParts {
  readonly transport: Transport;
  readonly guard: Guard;
  readonly fences: FenceSource;
  readonly clock: Clock;
  readonly signals: Signals;
  readonly registry: Registry;
  readonly namespace: string;
  /** Bounds one publish, ms. */
  readonly publishTimeout: number;
}
