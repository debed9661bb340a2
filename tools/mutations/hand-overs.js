// Confirm, run again, and the newest arguments.
import { faults, integration, REDIS_GUARD, SIMULATION, spec, without } from './provers.js';

const QUORUM = spec('guards/redlock-quorum');

export const HAND_OVERS = [
  without(
    'confirm',
    'a producer confirms',
    'client/client',
    [['void this.#track(this.#confirm(record, identity, this.#ttl(call, unique)));', '']],
    integration('enqueue', 'publishes one message for two calls'),
    SIMULATION,
  ),
  without(
    'confirm',
    'for the delay and the ttl',
    'client/client',
    [['const wait = this.#delay(call) + ttl;', 'const wait = ttl;']],
    integration('enqueue', 'lives at least delay and ttl'),
  ),
  without(
    'confirm',
    'before the app is closed',
    'client/client',
    [
      [
        'void this.#track(this.#confirm(record, identity, this.#ttl(call, unique)));',
        'void this.#confirm(record, identity, this.#ttl(call, unique));',
      ],
    ],
    spec('integration/chosen-moments', 'is the confirm'),
  ),
  without(
    'abandon',
    'the window stays open while a message is published',
    'client/client',
    [['void guard.extendPublishing(record, identity, PUBLISH_WINDOW);', '']],
    faults('longer to publish than the publish window'),
  ),
  without(
    'run again',
    'a refused release runs again',
    'worker/ack-policy',
    [
      [
        'const answer = await this.#release(run, false);',
        "const answer = await this.#release(run, false);\n        if (answer === 'marked')\n            return void run.delivery.ack();",
      ],
    ],
    SIMULATION,
  ),
  without(
    'run again',
    'arguments are read after the grant',
    'worker/executor',
    [['(await claimer.newest(run)) ??', '']],
    SIMULATION,
  ),
  without(
    'run again',
    'and only newer ones are taken',
    'worker/claim',
    [["kept !== 'none' && kept.seq > run.sequence", "kept !== 'none'"]],
    SIMULATION,
    integration('coalesce-late', ''),
  ),
  without(
    'done, args',
    'arguments of others prove no done of a message without a sequence',
    'worker/run',
    [["this.#lock.fence === undefined ? 'worker' : this.#lock.mode", 'this.#lock.mode']],
    spec('worker/run'),
  ),
  without(
    'run again',
    'they are read from every node',
    'guards/redlock',
    [['const answers = reads.flatMap(', 'const answers = reads.slice(0, (clients.length >> 1) + 1).flatMap(']],
    QUORUM,
  ),
  without(
    'run again',
    'with marks beside other runs',
    'guards/redlock-record',
    [['? [a] : [a, m]', '? [a] : [a]']],
    REDIS_GUARD,
  ),
  without(
    'done, run again',
    'a re-run says that it is one',
    'worker/claim',
    [['rerun: rerun > 0,', 'rerun: false,']],
    SIMULATION,
    integration('coalesce-late', ''),
  ),
  without(
    'run again',
    'a re-run has attempts of its own',
    'worker/run',
    [['this.#head = { ...this.#head, attempt: 1 };', '']],
    integration('coalesce-late', 'gives a re-run attempts of its own'),
  ),
  without(
    'run again',
    'after a dead letter, too',
    'worker/ack-policy',
    [
      [
        "signals.emit('task:dead', { ...run.event(), code, error });\n        return this.#over(run, answer);",
        "signals.emit('task:dead', { ...run.event(), code, error });\n        return void delivery.ack();",
      ],
    ],
    integration('coalesce-late', 'buries the arguments of a run that failed for good'),
  ),
  without(
    'run again',
    'ten times at most',
    'worker/ack-policy',
    [['run.rerun >= MOST_RERUNS', 'false']],
    integration('coalesce', 'moves a key that stays hot'),
  ),
  without(
    'run again',
    'for five minutes at most',
    'worker/ack-policy',
    [['run.age(clock) >= LONGEST_RERUNS', 'false']],
    integration('coalesce', 'after five minutes on one'),
  ),
  without(
    'hold',
    'a copy brings the newest arguments',
    'worker/ack-policy',
    [["if (held === 'ok')\n            await this.#takeNewest(run);", '']],
    integration('coalesce-late', 'a lost record does not lose them'),
  ),
  without(
    'args',
    'too large arguments are refused at enqueue',
    'client/offer',
    [['if (bytes <= LARGEST_OFFER)', 'if (true)']],
    integration('coalesce', 'refuses arguments that are too large'),
  ),
  without(
    'fence',
    'above the last one issued here',
    'fence',
    [['Math.max(this.#last + 1, seen + 1, wall)', 'Math.max(seen + 1, wall)']],
    spec('fence'),
  ),
  without(
    'fence',
    'above the highest in a refusal',
    'fence',
    [['Math.max(this.#last + 1, seen + 1, wall)', 'Math.max(this.#last + 1, wall)']],
    spec('fence'),
  ),
  without(
    'fence',
    'at least the wall clock',
    'fence',
    [['Math.max(this.#last + 1, seen + 1, wall)', 'Math.max(this.#last + 1, seen + 1)']],
    spec('fence'),
  ),
];
