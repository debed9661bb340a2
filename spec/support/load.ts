import type { Receipt, TaskError } from 'solotask';
import { taskContext } from 'solotask';
import { pause, systemClock } from '../../lib/clock.js';
import { Ledger, type Body, type Enqueued } from '../simulation/ledger.js';
import { finishedAfter, meetings, newEnough, uncovered, type Terms } from '../simulation/verdict.js';

/** ms between two calls of one caller. */
const GAP = 10;
/** ms; the longest of its bodies. */
const LONGEST = 40;

/** Nothing is excused. */
const STRICT: Terms = { onDuplicate: 'coalesce', mayMeet: false, forgot: false, ordered: true };

/** Callers that go on calling while servers restart, the bodies that they get, and the books of both. */
export class Load {
  readonly ledger = new Ledger();
  /** Of the calls that were refused. */
  readonly codes = new Set<string>();
  readonly #callers: Promise<void>[] = [];
  #version = 0;
  #over = false;

  /** One more caller, which takes the keys in turn, one call after the other. */
  calls(keys: readonly string[], send: (key: string, version: number) => Promise<Receipt>): void {
    this.#callers.push(this.#calling(keys, send));
  }

  /** The body of the task. */
  async body(key: string, version: number): Promise<void> {
    const { id, attempt, fence = 0, signal } = taskContext();
    const started = this.now();
    const entry: Body = { key, version, id, attempt, fence, process: 'here', started, ended: Infinity, end: 'open' };
    this.ledger.bodies.push(entry);
    await pause(systemClock, Math.random() * LONGEST, signal);
    entry.ended = this.now();
    entry.end = signal.aborted ? 'aborted' : 'good';
    signal.throwIfAborted();
  }

  /** Resolves when every call has settled. */
  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#callers);
  }

  /** ms, as in the books. */
  now(): number {
    return systemClock.monotonic();
  }

  /** Good runs so far. */
  get runs(): number {
    return this.ledger.bodies.filter(({ end }) => end === 'good').length;
  }

  /** Callers who were promised a run that did not come, or with older arguments; and bodies of one key that met. */
  findings(terms: Partial<Terms> = {}): string[] {
    const all = { ...STRICT, ...terms };
    return [...meetings(this.ledger, all), ...uncovered(this.ledger, all)];
  }

  /** Versions that were accepted and did not run: of a task that has no key. */
  missing(): number[] {
    const ran = new Set(this.ledger.bodies.filter(({ end }) => end === 'good').map(({ version }) => version));
    return this.ledger.calls.flatMap(({ status, version }) =>
      status === 'failed' || ran.has(version) ? [] : [version],
    );
  }

  /** Did the call wait, at any time between these two, for a run with its arguments or newer ones? */
  open(call: Enqueued, from: number, to: number): boolean {
    const runs = finishedAfter(call, this.ledger).filter((body) => newEnough(body, call, this.ledger));
    return call.called <= to && Math.min(...runs.map(({ ended }) => ended)) >= from;
  }

  async #calling(keys: readonly string[], send: (key: string, version: number) => Promise<Receipt>): Promise<void> {
    for (let turn = 0; !this.#over; turn++) {
      const key = keys[turn % keys.length]!;
      const version = ++this.#version;
      const rest = { returned: Infinity, status: 'pending', id: '', phase: undefined } as const;
      const call: Enqueued = { key, version, called: this.now(), ...rest };
      this.ledger.calls.push(call);
      const end = await send(key, version).then(
        ({ status, id, holder }) => ({ status, id, phase: holder?.phase }),
        ({ code }: TaskError) => (this.codes.add(code), { status: 'failed' as const, id: '', phase: code }),
      );
      Object.assign(call, end, { returned: this.now() });
      await pause(systemClock, GAP);
    }
  }
}
