import { pause, type Clock } from '../clock.js';
import { PayloadError, toError, type Violation } from '../errors.js';
import { toJson } from '../json.js';
import type { ResultBackend, StoredError, StoredResult } from '../result-backend.js';
import type { Signals } from '../signals.js';
import type { Soon } from '../soon.js';
import type { Run } from './run.js';

/** What a keeper of results works with. */
export interface ResultKeeperParts {
  /** Undefined: the app keeps none. */
  readonly results: ResultBackend | undefined;
  readonly clock: Clock;
  readonly signals: Signals;
}

/** How often a result is offered to a backend that does not take it. */
const TRIES = 3;
/** Before the second try, ms; doubled each time. */
const PAUSE = 200;

/**
 * Keeps how runs end, before their keys are released. A backend that cannot be reached never holds up the queue: a
 * result is no evidence of anything, the key's record is, and to run again for a lost result would repeat work that was
 * done. After a few tries there is an event, and whoever waits for the result runs into the timeout.
 */
export class ResultKeeper {
  readonly #parts: ResultKeeperParts;

  constructor(parts: ResultKeeperParts) {
    this.#parts = parts;
  }

  /**
   * What a body returned, as it will be kept; undefined when nobody keeps it.
   * @throws PayloadError for what JSON cannot carry.
   */
  pack(run: Run, value: unknown): unknown {
    return this.#wanted(run) ? pack(run.head.task, value) : undefined;
  }

  /** `value` comes from `pack`. */
  succeeded(run: Run, value: unknown): Soon<void> {
    if (!this.#wanted(run)) return undefined;
    return this.#keep(run, { status: 'succeeded', value, fence: run.lease?.identity.fence });
  }

  /** It failed for good. */
  failed(run: Run, error: Error): Promise<void> {
    return this.#keep(run, { status: 'failed', error: stored(error), fence: run.lease?.identity.fence });
  }

  /** The message was dropped as a duplicate: its result is that of `holder`, of a run with a fence above `after`. */
  dropped(run: Run, holder: string, after?: number): Promise<void> {
    return this.#keep(run, { status: 'dropped', holder, after });
  }

  /** Of a message without an id nobody can ask. */
  #wanted({ head }: Run): boolean {
    return this.#parts.results !== undefined && !head.ignoreResult && head.id !== '';
  }

  async #keep(run: Run, result: StoredResult): Promise<void> {
    const { results, clock, signals } = this.#parts;
    if (results === undefined || !this.#wanted(run)) return;
    for (let tries = 1; ; tries++) {
      try {
        return await results.store(run.head.id, run.head.task, result);
      } catch (error) {
        if (tries === TRIES) return signals.emit('result:lost', { ...run.event(), error: toError(error) });
        await pause(clock, PAUSE * 2 ** (tries - 1));
      }
    }
  }
}

/** What a body returned, as JSON carries it. @throws PayloadError */
export function pack(task: string, value: unknown): unknown {
  const violations: Violation[] = [];
  let copy: unknown;
  try {
    copy = toJson(value, 'result', violations);
  } catch (thrown) {
    violations.push({ path: 'result', message: `cannot be read: ${toError(thrown).message}` });
  }
  const [first] = violations;
  if (first === undefined) return copy;
  const text = `${task} ran, but its result cannot be kept: ${first.path} ${first.message}`;
  throw new PayloadError(text, violations, { task });
}

function stored(error: Error): StoredError {
  const { name, message, stack, code } = error as Error & { code?: unknown };
  const own: unknown = name === 'Error' ? (error.constructor as { name?: unknown } | undefined)?.name : name;
  const type = typeof own === 'string' && own !== '' ? own : 'Error';
  return { type, message, code: ['string', 'number'].includes(typeof code) ? String(code) : undefined, stack };
}
