// When a message may be acked, and what is undecided: client rules 6 to 8.
import { faults, integration, SIMULATED_LATE, SIMULATION, spec, without } from './provers.js';

export const ACKS = [
  without(
    '6',
    'an acknowledgement of many stops at the oldest open delivery',
    'transports/rabbitmq-delivery',
    [['if (deliveryTag > oldest)', 'if (false)']],
    spec('transports/rabbitmq-delivery', 'leave as one'),
  ),
  without(
    '6',
    'what was acknowledged is not given back with the rest',
    'transports/rabbitmq-pull',
    [['this.#deliveries.closing();', '']],
    spec('conformance/transport', 'over RabbitMQ pulling'),
  ),
  without(
    '6',
    'acked only when the release said ok',
    'worker/ack-policy',
    [
      [
        "if (undecided(run, answer))\n            return this.#putBack(run);\n        if (answer === 'ok')\n            run.delivery.ack();",
        "if (answer !== 'marked')\n            run.delivery.ack();",
      ],
    ],
    faults('puts back, never acks, a run whose release nobody answers'),
    SIMULATION,
  ),
  without(
    '6',
    'acked only after the release',
    'worker/ack-policy',
    [['after(this.#release(run, false),', 'after(run.delivery.ack() && this.#release(run, false),']],
    SIMULATION,
  ),
  without(
    '6, 9',
    'acked only when the release of a dead letter said ok',
    'worker/ack-policy',
    [
      [
        "const answer = await this.#release(run, true);\n        if (undecided(run, answer))\n            return this.#putBack(run);\n        if (answer === 'ok')",
        "const answer = await this.#release(run, true);\n        if (answer !== 'marked')",
      ],
    ],
    spec('integration/chosen-moments', 'is the release of a dead letter'),
  ),
  without(
    '6',
    'what is found done is told as recovered',
    'worker/ack-policy',
    [
      [
        "if (own)\n            return this.#parts.signals.emit('task:succeeded'",
        "if (false)\n            return this.#parts.signals.emit('task:succeeded'",
      ],
    ],
    integration('copies', 'found done'),
  ),
  without(
    '6',
    'the result is stored before the release',
    'worker/ack-policy',
    [
      [
        'after(this.#parts.keeper.succeeded(run, value), () => after(this.#release(run, false), (answer) => this.#finished(run, answer)))',
        'after(this.#release(run, false), (answer) => after(this.#parts.keeper.succeeded(run, value), () => this.#finished(run, answer)))',
      ],
    ],
    integration('results', ''),
    faults(''),
  ),
  without(
    '6, hold',
    'a failed delivery is acked after its retry was confirmed',
    'worker/ack-policy',
    [["const published = held === 'ok' &&", "run.delivery.ack();\n        const published = held === 'ok' &&"]],
    faults('acks a failed delivery only after its retry was confirmed'),
  ),
  without(
    '7',
    'a late grant is none for a producer',
    'client/reservation',
    [["answer.outcome === 'granted' && this.#clock.monotonic() - sent >= PUBLISH_WINDOW", 'false']],
    spec('client/reservation'),
  ),
  without(
    '7',
    'a late grant is none for a worker',
    'worker/claim',
    [[' && took < grant.lease', '']],
    spec('worker/claim'),
  ),
  without(
    '7, abandon',
    'a worker drops nothing before its claims are abandoned',
    'worker/claim',
    [['if (record === undefined || attempt.undecided.length === 0)', 'if (true)']],
    SIMULATED_LATE,
    spec('worker/claim'),
  ),
  without(
    '7, abandon',
    'a worker drops nothing before that abandon is acknowledged',
    'worker/claim',
    [["if (answers.every((answer) => answer === 'ok'))", 'if (true)']],
    SIMULATED_LATE,
    spec('worker/claim'),
  ),
  without(
    '7, abandon',
    'a producer is told nothing before its claims are abandoned',
    'client/reservation',
    [["if (answer.outcome === 'unknown')", 'if (false)']],
    spec('client/reservation'),
  ),
  without(
    '7, abandon',
    'a producer is told nothing before that abandon is acknowledged',
    'client/reservation',
    [["return answers.every((answer) => answer === 'ok');", 'return true;']],
    spec('client/reservation'),
  ),
  without(
    '8',
    'a body that does not settle keeps the key',
    'worker/ack-policy',
    [
      [
        "run.lease?.stop();\n                this.#parts.signals.emit('task:overdue'",
        "await this.letGo(run);\n                this.#parts.signals.emit('task:overdue'",
      ],
    ],
    integration('worker', 'keeps the key of a body that ignores its abort'),
  ),
  without(
    '8',
    'and renews no more',
    'worker/ack-policy',
    [
      [
        "run.lease?.stop();\n                this.#parts.signals.emit('task:overdue'",
        "this.#parts.signals.emit('task:overdue'",
      ],
    ],
    spec('integration/chosen-moments', 'is the end of the renewals'),
  ),
  without(
    '8',
    'a time limit takes the key from no body that goes on',
    'worker/run',
    [['this.#timedOut = reason;\n', 'this.#timedOut = reason;\n        this.abort(reason);\n']],
    integration('time-limit', 'has failed when it ends after the limit'),
  ),
  without(
    '8',
    'what ends after its time limit has failed',
    'worker/executor',
    [['run.aborted ?? run.timedOut ?? ending.error', 'run.aborted ?? ending.error']],
    integration('time-limit', 'has failed when it ends after the limit'),
  ),
  without(
    '8',
    'a thread whose body ignores its abort is ended',
    'worker/thread-call',
    [['this.#later(ABORT_GRACE, () => this.#end());', '']],
    spec('worker/thread-pool', 'ended with a body'),
  ),
];
