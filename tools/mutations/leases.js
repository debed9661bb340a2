// Leases, and who waits for them: client rules 4 and 5.
import { faults, integration, spec, without } from './provers.js';

export const LEASES = [
  without(
    '4',
    'a redelivery waits outside the concurrency',
    'worker/claim',
    [
      [
        '* (0.5 + this.#parts.clock.random())), seated: false }',
        '* (0.5 + this.#parts.clock.random())), seated: true }',
      ],
    ],
    spec('worker/claim'),
  ),
  without(
    '4',
    'what finds no room to wait in is parked',
    'worker/seat',
    [['if (waitingRoom.free === 0)', 'if (false)']],
    spec('worker/claim'),
  ),
  without(
    '4, stop',
    'another copy is parked',
    'worker/claim',
    [["if (own === 'other-copy')", 'if (false)']],
    integration('copies', ''),
  ),
  without(
    '4, 9, abandon',
    'what is given back frees its key at once',
    'worker/ack-policy',
    [['await this.#repeat(() => this.#parts.guard.abandon(lease.record, lease.identity));', '']],
    integration('worker', 'gives back at a stop what has not begun'),
  ),
  without(
    '5, renew',
    'a refused renewal aborts',
    'worker/lease',
    [["if (answer === 'lost')", 'if (false)']],
    spec('worker/lease'),
  ),
  without(
    '5',
    'the end of its own view of the lease aborts',
    'worker/lease',
    [['if (this.#end === undefined)\n            this.#watch();', '']],
    faults('aborts a run at the end of its lease'),
  ),
  without(
    '5',
    'a late renewal looks at the clock',
    'worker/lease',
    [['if (sent >= this.#deadline)', 'if (false)']],
    spec('worker/lease'),
  ),
  without(
    '5',
    'a lease counts from when it was asked for',
    'worker/lease',
    [['this.#deadline = sent + this.#lease', 'this.#deadline = clock.monotonic() + this.#lease']],
    spec('worker/lease'),
  ),
  without(
    '5',
    'a lost delivery aborts',
    'worker/worker',
    [['run.delivery.stale && run.definition?.acksLate !== false', 'false']],
    integration('worker', 'aborts a run whose delivery was lost'),
  ),
  without(
    '5',
    'the clock is looked at before the body begins',
    'worker/executor',
    [['run.lease?.check();', '']],
    spec('integration/chosen-moments', 'is a look at the clock, then the body'),
  ),
  without(
    '5',
    'and once more when its crashes have been counted',
    'worker/executor',
    [['dead ?? unfit(run) ??', 'dead ??']],
    spec('integration/chosen-moments', 'is a look at the clock, then the body'),
  ),
  without(
    '5, renew',
    'a lease is renewed at all',
    'worker/lease',
    [['this.#schedule(Math.min(this.#lease / 3, this.#deadline - parts.clock.monotonic()));', 'this.#watch();']],
    spec('worker/lease'),
  ),
];
