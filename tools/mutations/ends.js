// Every way in which a message ends, the key, outages and time: client rules 9 to 13.
import { faults, integration, SIMULATED_DISCARD, SIMULATION, spec, without } from './provers.js';

const PURGE = spec('inspector/purge');

export const ENDS = [
  without(
    '9, release',
    'a dead letter frees the key',
    'worker/ack-policy',
    [['const answer = await this.#release(run, true);', "const answer = 'ok';"]],
    integration('enqueue', 'accepts the key again after a good run'),
    integration('bad-input', ''),
  ),
  without(
    '9, release',
    'the dead letter comes before the release',
    'worker/ack-policy',
    [
      [
        'const buried = await this.#publish(',
        'await this.#release(run, true);\n        const buried = await this.#publish(',
      ],
    ],
    spec('integration/chosen-moments', 'is the dead letter, then'),
  ),
  without(
    '9, hold',
    'a retry holds the key',
    'worker/ack-policy',
    [['run.head.attempt + 1, await this.#hold(run, delay))', 'run.head.attempt + 1)']],
    integration('worker', 'keeps the key during the back-off'),
  ),
  without(
    '9, release',
    'what was aborted is abandoned, not released',
    'worker/ack-policy',
    [
      [
        'this.#parts.guard.abandon(lease.record, lease.identity)',
        'this.#parts.guard.release(lease.record, lease.identity, { seq: 0, dead: false })',
      ],
    ],
    integration('worker', 'gives back at a stop what has not begun'),
    SIMULATION,
  ),
  without(
    '9, abandon',
    'a publish that failed lets the key go',
    'client/client',
    [['if (!(error instanceof PublishOutcomeUnknownError))', 'if (false)']],
    integration('essay', ''),
  ),
  without(
    '9, abandon',
    'a publish with an unknown outcome does not',
    'client/client',
    [['if (!(error instanceof PublishOutcomeUnknownError))', 'if (true)']],
    spec('integration/chosen-moments', 'is nothing, when nobody knows'),
  ),
  without(
    '9',
    'an unreadable message frees its key, too',
    'worker/run',
    [['args: [], lock: head.lock, problem: toError(error) }', 'args: [], lock: undefined, problem: toError(error) }']],
    spec('worker/claim', 'has a key also'),
  ),
  without(
    '9, expire',
    'an expired message frees its key',
    'worker/expiry',
    [['const answer = await guard.expire(record, run.head.id);', "const answer = 'lost';"]],
    integration('expiry', 'alone is dropped and counted'),
  ),
  without(
    'expire',
    'and only if the record lets it go',
    'worker/expiry',
    [["const alone = answer === 'ok' ||", 'const alone = true ||']],
    integration('expiry', 'runs all the same when a duplicate'),
  ),
  without(
    'expire',
    'a run that began is not judged again',
    'worker/expiry',
    [['attempt > 1 || ', '']],
    integration('expiry', 'is not judged again once its run began'),
  ),
  without(
    'expire',
    'nor one whose run was aborted',
    'worker/expiry',
    [["(answer === 'lost' && !run.suspect)", "answer === 'lost'"]],
    integration('expiry', 'is not judged again when its run was aborted'),
  ),
  without(
    'expire',
    'who leans on a run that began must not make it expire',
    'worker/claim',
    [['expires: begun === 1 ? expires : undefined', 'expires']],
    spec('worker/claim', 'lets no holder expire'),
  ),
  without(
    '9',
    'a purge leaves what arguments wait for',
    'inspector/purge',
    [['if (!pending && (await', 'if ((await']],
    PURGE,
  ),
  without(
    '9',
    'as any node has them',
    'inspector/purge',
    [
      [
        'const kept = await guard.newest(record, identity);',
        "const kept = (await guard.read(record))?.args ?? 'none';",
      ],
    ],
    PURGE,
  ),
  without(
    '9',
    'a purge leaves what still runs',
    'inspector/purge',
    [["return outcome.kind === 'covered' || outcome.kind === 'discarded';", 'return true;']],
    PURGE,
  ),
  without(
    '10',
    'the worker takes the key of the message',
    'worker/run',
    [['head.lock ?? lockOf(definition, values)', 'lockOf(definition, values)']],
    integration('call-options', 'takes a key for one call'),
    SIMULATION,
  ),
  without(
    '11',
    'no publish without the lock',
    'client/client',
    [['if (!hasty)', 'if (false)']],
    integration('lock-error', 'refuses and publishes nothing'),
  ),
  without(
    '11',
    'no run without the lock',
    'worker/claim',
    [
      [
        'return this.#read(run, attempt, answer);',
        "return answer.outcome === 'unavailable' ? undefined : this.#read(run, attempt, answer);",
      ],
    ],
    faults('keeps messages where they are while Redis is away'),
  ),
  {
    rule: '12',
    name: 'an attempt that was held is not refused',
    file: 'dist/lib/worker/claim.js',
    edits: [
      ["case 'done':", "case 'granted-before':\n            case 'done':"],
      [
        'return guard.claimRunning(record, claim).then(',
        "const before = (stored) => run.delivery.redelivered && stored?.phase === 'queued' && stored.owner === identity.owner && begun < (run.definition?.retry.attempts ?? 1);\n        return guard.read(record).then((stored) => before(stored) ? { outcome: 'granted-before', own: true, dead: false, id: identity.owner } : guard.claimRunning(record, claim)).then(",
      ],
    ],
    by: [SIMULATION, SIMULATED_DISCARD],
  },
  without(
    '13',
    'publishTimeout ends the wait for a lock',
    'client/reservation',
    [["answer.outcome === 'clock' || now >= reach", "answer.outcome === 'clock'"]],
    integration('lock-error', ''),
    SIMULATION,
  ),
];
