// What a duplicate may be dropped on: client rules 1 to 3.
import { clause } from './clause.js';
import { faults, integration, SIMULATED_DISCARD, SIMULATION, spec, without } from './provers.js';

const VOTES = spec('guards/redlock-votes');
const QUORUM = spec('guards/redlock-quorum');
const FLIGHTS = spec('client/flights');

export const EVIDENCE = [
  without(
    '1',
    'a quorum, not any refusal, decides',
    'guards/redlock-votes',
    [['if (same.length >= quorum)', 'if (same.length >= 1)']],
    VOTES,
    SIMULATION,
    QUORUM,
  ),
  without(
    '1',
    'of the same fence',
    'guards/redlock-votes',
    [["held ${phase} ${fence} ${vote.own ?? '-'} ${owner}", "held ${phase} ${vote.own ?? '-'} ${owner}"]],
    VOTES,
    SIMULATION,
  ),
  without(
    '1',
    'of the same phase',
    'guards/redlock-votes',
    [["held ${phase} ${fence} ${vote.own ?? '-'} ${owner}", "held ${fence} ${vote.own ?? '-'} ${owner}"]],
    VOTES,
    SIMULATION,
  ),
  without(
    '1',
    'of the same owner',
    'guards/redlock-votes',
    [["held ${phase} ${fence} ${vote.own ?? '-'} ${owner}", "held ${phase} ${fence} ${vote.own ?? '-'}"]],
    VOTES,
  ),
  without(
    '1, done',
    'nodes need not remember the same run',
    'guards/redlock-votes',
    [
      [
        "if (vote.outcome !== 'held')",
        "if (vote.outcome === 'done')\n        return vote.id;\n    if (vote.outcome !== 'held')",
      ],
    ],
    VOTES,
    QUORUM,
  ),
  without(
    '1, abandon',
    'a minority’s grant is let go',
    'guards/redlock',
    [['this.#nodes.clients.length > 1 ?', 'false ?']],
    QUORUM,
  ),
  without(
    '2',
    'publishing is no evidence for a producer',
    'client/reservation',
    [["if (answer.outcome !== 'held' || answer.holder.phase === 'publishing')", "if (answer.outcome !== 'held')"]],
    spec('client/reservation', 'waits for a holder that publishes'),
    SIMULATED_DISCARD,
    SIMULATION,
  ),
  ...clause(
    '2, 3',
    'only who is queued is read as evidence',
    ['record', ["phase !== 'queued' || expires", 'expires']],
    ['waiting', ["r.p == 'q' and ", '']],
  ),
  ...clause(
    '3',
    'and only while its time lasts',
    ['record', [' || deadline <= now', '']],
    ['waiting', [' and held()', '']],
  ),
  ...clause(
    'expire',
    'who may expire is told by a claim',
    ['record', [' || expires !== 0 || deadline', ' || deadline']],
    ['waiting', [' and not r.e', '']],
  ),
  without(
    '1, 3',
    'a read is evidence on a quorum',
    'guards/redlock-waiting',
    [['decide(votes, nodes.length)', 'decide(votes, 1)']],
    QUORUM,
  ),
  without(
    '3',
    'arguments are handed over by a claim',
    'client/reservation',
    [['offer === undefined && this.#refused', 'this.#refused']],
    spec('client/reservation', 'looks up who waits'),
  ),
  without(
    '2',
    'publishing is no evidence for a worker',
    'worker/claim',
    [["if (holder.phase === 'publishing')\n            return", 'if (false)\n            return']],
    faults('drops no message for a holder that is still publishing'),
  ),
  without(
    '3',
    'requeue drops nothing',
    'worker/claim',
    [
      [
        "case 'requeue':\n                return this.#turn(run, holder);",
        "case 'requeue':\n                return { kind: 'discarded', holder };",
      ],
    ],
    integration('turns', 'waits for its turn under requeue'),
  ),
  without(
    '3, onDuplicate',
    'what @Task rejects waits its turn on the worker',
    'worker/claim',
    [
      [
        'return definition?.shouldCompute === undefined ? this.#turn(run, holder) : rejected(run, holder);',
        'return rejected(run, holder);',
      ],
    ],
    integration('turns', 'waits for its turn where @Task rejects'),
  ),
  without(
    '3, mark',
    'a worker drops only what the holder took, or what is older',
    'worker/claim',
    [['(sequence > 0 && covered && holder.seq >= sequence)', 'true']],
    integration('coalesce-worker', 'lets a message wait its turn when nobody can say'),
  ),
  without(
    '3, done',
    'the word of a clock proves no done',
    'worker/claim',
    [["onDuplicate === 'coalesce' && claimed(run) ?", "onDuplicate === 'coalesce' ?"]],
    SIMULATION,
    integration('coalesce-worker', ''),
  ),
  without(
    '3',
    'a call covers another only if it asked later',
    'client/flights',
    [["if (landing === undefined || outlives || stage === 'publishing')", 'if (landing === undefined || outlives)']],
    faults('whose run had begun before it'),
  ),
  without(
    '3',
    'newer arguments are claimed for again',
    'client/flights',
    [['(landing.enqueued && !coalesce)', 'landing.enqueued']],
    FLIGHTS,
  ),
  without(
    '3, expire',
    'a call that waits longer than another asks itself',
    'client/flights',
    [['landing === undefined || outlives ||', 'landing === undefined ||']],
    FLIGHTS,
  ),
  without(
    '3, expire',
    'and takes its arguments along',
    'client/flights',
    [["stage === 'gathering' && !outlives;", "stage === 'gathering';"]],
    FLIGHTS,
  ),
];
