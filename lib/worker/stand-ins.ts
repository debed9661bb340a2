import { republish } from '../celery-protocol.js';
import { pause, type Clock } from '../clock.js';
import { toError } from '../errors.js';
import type { Guard } from '../guard.js';
import { relievedName } from '../notes.js';
import type { Signals } from '../signals.js';
import type { Soon } from '../soon.js';
import type { Transport } from '../transport.js';
import { DEFAULT_REST } from '../declarations/task-settings.js';
import type { Claimer } from './claim.js';
import type { Outcome } from './outcome.js';
import type { Run } from './run.js';

/** What stand-ins are made with. */
export interface StandInParts {
  readonly transport: Transport;
  readonly guard: Guard;
  readonly clock: Clock;
  readonly signals: Signals;
  readonly namespace: string;
  /** Bounds one publish, ms. */
  readonly publishTimeout: number;
  /** Aborts when the worker takes no more work. */
  readonly draining: AbortSignal;
}

/** Longer than any worker is away, so that a stand-in that nobody took for days is still told, ms. */
const MEMORY = 7 * 86_400_000;
/** How often Redis is asked to remember, when it does not answer: for a good second. */
const TRIES = 5;

/**
 * The broker takes back what is not acknowledged in time, 30 minutes by default. So before a long run a copy of its
 * message, the stand-in, is put on a delay rung, and the message is acknowledged. Each time that the stand-in comes back
 * it asks: has the message gone its way, then it is of no more use; does its run live, then it rests again; else it runs.
 */
export class StandIns {
  readonly #parts: StandInParts;

  constructor(parts: StandInParts) {
    this.#parts = parts;
  }

  /**
   * What becomes of a stand-in that came back; undefined when it has to run, or the message is none. It needs no seat to
   * find out: the seat that it would wait for may be that of its own run.
   */
  meet(run: Run): Soon<Outcome | undefined> {
    const { standIn } = run.head;
    return standIn === undefined ? undefined : this.#meet(run, standIn);
  }

  async #meet(run: Run, standIn: string): Promise<Outcome | undefined> {
    const { guard, namespace } = this.#parts;
    const relieved = await guard.notes.marked(relievedName(namespace, standIn));
    if (relieved === true) return { kind: 'relieved' };
    const rests = relieved === undefined || (await this.#lives(run));
    return rests ? { kind: 'parked', delay: rest(run) } : undefined;
  }

  /** Before a long run: the stand-in is confirmed, then the message acknowledged. Undefined when the body may begin. */
  async post(run: Run): Promise<Outcome | undefined> {
    const { clock, draining } = this.#parts;
    if (await this.#handOver(run)) {
      run.lease?.check();
      return run.aborted && { kind: 'aborted' };
    }
    if (!run.delivery.stale) await pause(clock, 1_000, draining);
    return { kind: 'returned' };
  }

  async #handOver(run: Run): Promise<boolean> {
    const { clock, namespace, guard } = this.#parts;
    const standIn = run.head.standIn ?? clock.uuid();
    const posted = await this.#publish(run, { standIn }, clock.now() + rest(run));
    if (posted && run.delivery.ack() === 'settled') {
      run.standIn = standIn;
      return true;
    }
    // The message itself goes on; a stand-in that it came as already has others in its name.
    if (run.head.standIn === undefined) await guard.notes.mark(relievedName(namespace, standIn), MEMORY);
    return false;
  }

  /** During a run that takes longer than anybody said: as before one, and its record is its message's by then. */
  async postLate(run: Run, claimer: Claimer): Promise<void> {
    if (await claimer.adopt(run)) await this.#handOver(run);
  }

  /** The message goes back at once, as a copy. When that cannot be published, the stand-in comes back in its time. */
  async replace(run: Run): Promise<void> {
    if (await this.#publish(run, {}, undefined)) await this.relieve(run);
  }

  /** The message has gone its way: its key's record says so, or another copy is confirmed. */
  relieve({ standIn }: Run): Soon<void> {
    return standIn === undefined ? undefined : this.#relieve(standIn);
  }

  async #relieve(standIn: string): Promise<void> {
    const { clock, namespace, guard } = this.#parts;
    const name = relievedName(namespace, standIn);
    for (let tries = 0; !(await guard.notes.mark(name, MEMORY)) && tries < TRIES; tries++) {
      await pause(clock, 50 * 2 ** tries);
    }
  }

  /**
   * Its run, or a retry of it whose publish is under way: should that have failed, the stand-in runs when the record no
   * longer waits. Whoever cannot be asked counts as alive: to rest once more is always right.
   */
  async #lives(run: Run): Promise<boolean> {
    const { guard } = this.#parts;
    try {
      const [record, now] = await Promise.all([guard.read(run.record ?? ''), guard.now()]);
      return record?.owner === run.head.id && record.phase !== 'kept' && now < record.deadline;
    } catch {
      return true;
    }
  }

  async #publish(run: Run, given: { standIn?: string }, due: number | undefined): Promise<boolean> {
    const { transport, signals, publishTimeout: timeout } = this.#parts;
    const { queue } = run.delivery;
    const frame = republish(run.frame, { ...given, attempt: run.head.attempt, lock: run.lock, began: true });
    try {
      await transport.publish({ queue, frame, due, timeout });
      return true;
    } catch (error) {
      signals.emit('publish:failed', { ...run.event(), to: queue, error: toError(error) });
      return false;
    }
  }
}

const rest = ({ definition }: Run): number => definition?.long ?? DEFAULT_REST;
