import { parseRecord, recordName, recordPrefix } from '../declarations/uniqueness.js';
import { ConfigError, LockUnavailableError } from '../errors.js';
import type { LockRecord, Phase } from '../guard.js';
import type { InspectorParts } from './parts.js';

/** A key, as an operator sees it. */
export interface LockView {
  /** The record's whole name. */
  readonly record: string;
  readonly task: string;
  readonly key: string;
  /** Undefined: nobody holds it. */
  readonly phase: Phase | undefined;
  /** Task id. */
  readonly owner: string | undefined;
  readonly fence: number;
  /** Epoch ms at which the holder came into its phase, or a little before: fences are clocks. 0 when nobody has. */
  readonly since: number;
  /** Until the holder's lease ends, ms, by Redis's clock; negative: it has ended, and the next claim takes the key. */
  readonly left: number;
  /** Newer arguments wait for this key (`coalesce`). */
  readonly pending: boolean;
  /** The last good run. */
  readonly done: LockRecord['done'];
}

/** What became of a removal. `free`: nobody held it. `changed`: meanwhile somebody else does, and keeps it. */
export type Removal = 'removed' | 'free' | 'changed';

/** Who holds what. */
export class Locks {
  readonly #parts: InspectorParts;

  constructor(parts: InspectorParts) {
    this.#parts = parts;
  }

  /** Keys that are held, the oldest holder first. `match`: a text in `Class.method:key`, `*` stands for anything. */
  async list({ match = '', limit = 100 }: { match?: string; limit?: number } = {}): Promise<{
    locks: readonly LockView[];
    more: boolean;
  }> {
    const { guard, namespace } = this.#parts;
    const { records, more } = await guard.scan(recordPrefix(namespace), match, limit);
    const now = await guard.now();
    const locks = records.map(({ key, record }) => this.#view(key, record, now));
    return { locks: locks.sort((a, b) => a.since - b.since), more };
  }

  /**
   * One key: a record's whole name, or `Class.method key`. Undefined when nothing is known of it.
   * @throws ConfigError for a text that is neither.
   */
  async show(name: string): Promise<LockView | undefined> {
    const record = this.#nameOf(name);
    const found = await this.#parts.guard.read(record);
    return found && this.#view(record, found, await this.#parts.guard.now());
  }

  /**
   * Takes the key from exactly this holder, whose late claims are refused from then on; a holder that came after it keeps
   * the key. What its task does is the caller's risk: see `risk`.
   */
  async remove({ record, owner, fence }: LockView): Promise<Removal> {
    if (owner === undefined) return 'free';
    const { guard } = this.#parts;
    const before = await guard.read(record);
    if (before?.owner === undefined) return 'free';
    if ((await guard.abandon(record, { owner, fence })) !== 'ok') {
      throw new LockUnavailableError(`Redis did not say whether ${record} is free; try again`, { record });
    }
    return before.owner === owner && before.fence === fence ? 'removed' : 'changed';
  }

  #nameOf(name: string): string {
    const prefix = recordPrefix(this.#parts.namespace);
    if (name.startsWith(prefix)) return name;
    const space = name.indexOf(' ');
    if (space > 0) return recordName(this.#parts.namespace, name.slice(0, space), name.slice(space + 1));
    throw new ConfigError(`'${name}' names no lock: write 'Class.method key', or the whole record (${prefix}…)`, {
      name,
    });
  }

  #view(record: string, found: LockRecord, now: number): LockView {
    const { owner, phase, fence, deadline, args, mark, done } = found;
    const held = owner !== undefined;
    return {
      record,
      ...parseRecord(record.slice(recordPrefix(this.#parts.namespace).length)),
      phase,
      owner,
      fence,
      since: held ? Math.floor(fence / 1000) : 0,
      left: held ? Math.round(deadline - now) : 0,
      pending: args !== undefined || mark !== undefined,
      done,
    };
  }
}
