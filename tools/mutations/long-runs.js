// Runs that outlast their delivery, and bodies that end with their process.
import { integration, SIMULATED_LONG, spec, without } from './provers.js';

const LATE = spec('worker/late');
const CRASHES = spec('worker/crashes');

export const LONG_RUNS = [
  without(
    'long',
    'a stand-in is posted before the message is acknowledged',
    'worker/stand-ins',
    [['const posted = await this.#publish(run, { standIn }, clock.now() + rest(run));', 'const posted = true;']],
    SIMULATED_LONG,
  ),
  without(
    'long',
    'and confirmed',
    'worker/stand-ins',
    [["if (posted && run.delivery.ack() === 'settled')", "if (run.delivery.ack() === 'settled')"]],
    SIMULATED_LONG,
  ),
  without(
    'long',
    'a stand-in whose run lives rests, and needs no seat for it',
    'worker/stand-ins',
    [['relieved === undefined || (await this.#lives(run))', 'relieved === undefined']],
    integration('long', 'its stand-in looks after it'),
  ),
  without(
    'long',
    'one whose run has died runs',
    'worker/stand-ins',
    [['relieved === undefined || (await this.#lives(run))', 'true']],
    SIMULATED_LONG,
  ),
  without(
    'long',
    'one whose message has gone its way does not',
    'worker/stand-ins',
    [['if (relieved === true)', 'if (false)']],
    integration('long', 'under requeue is not repeated by its stand-in'),
  ),
  without(
    'long',
    'what is given back goes back as a copy',
    'worker/stand-ins',
    [['if (await this.#publish(run, {}, undefined))', 'if (false)']],
    integration('long', 'of a worker that stops is run by another one'),
  ),
  without(
    'long, expire',
    'a stand-in does not expire',
    'worker/stand-ins',
    [['began: true', 'began: false']],
    integration('long', 'that began does not expire'),
  ),
  without(
    'long',
    'a run without a key has a record of its own',
    'worker/run',
    [['const own = survives(definition) || head.standIn !== undefined;', 'const own = false;']],
    integration('long', 'without a key has a record'),
  ),
  without(
    'long',
    'a run of ten minutes is handed over',
    'worker/rounds',
    [['run.age(this.#parts.clock) >= LONG', 'false']],
    LATE,
  ),
  without('long', 'with a record by then', 'worker/stand-ins', [['if (await claimer.adopt(run))', '']], LATE),
  without(
    'long',
    'a seat is waited for no longer than the broker waits',
    'worker/seat',
    [
      [
        'this.#taken = place === undefined || (await this.#inTime(place));',
        'await place;\n        this.#taken = true;',
      ],
    ],
    spec('worker/seat'),
  ),
  without(
    'finish, 5',
    'a lost delivery does not abort what goes on',
    'worker/worker',
    [[' && !run.goesOn', '']],
    integration('finish', 'goes on when its delivery is lost'),
  ),
  without(
    'finish, stop',
    'its redelivery does not stop it',
    'worker/claim',
    [['copy: survives(run.definition) ? nonce : copy,', 'copy,']],
    integration('finish', 'goes on when its delivery is lost'),
  ),
  without(
    'crashes',
    'too many bury the message',
    'worker/crashes',
    [['if (count <= MOST_CRASHES)', 'if (true)']],
    CRASHES,
  ),
  without(
    'crashes',
    'an end takes the count back',
    'worker/crashes',
    [['await this.#parts.guard.notes.forget(this.#name(run));', '']],
    CRASHES,
    integration('restarts', 'is no poison'),
  ),
  without('crashes', 'a first delivery is none', 'worker/crashes', [['!run.suspect || ', '']], CRASHES),
  without(
    'crashes',
    'a parked redelivery stays suspect',
    'worker/ack-policy',
    [['standIn: head.standIn, suspect }', 'standIn: head.standIn }']],
    CRASHES,
  ),
  without(
    'long, crashes',
    'a note that one node has is true',
    'guards/redlock-notes',
    [['if (answers.includes(1))', 'if (answers.every((answer) => answer === 1))']],
    spec('guards/redlock-quorum', 'a mark'),
  ),
  without(
    'long, crashes',
    'that none has it is said by a quorum',
    'guards/redlock-notes',
    [['return this.#isQuorum(answers) ? false : undefined;', 'return false;']],
    spec('guards/redlock-quorum', 'a mark'),
  ),
];
