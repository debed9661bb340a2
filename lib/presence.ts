/** A body that runs, as its worker tells it. */
export interface PresentRun {
  readonly task: string;
  readonly id: string;
  /** The unique key, when the task has one. */
  readonly key: string | undefined;
  /** Epoch ms at which the body began. */
  readonly since: number;
}

/** What a worker says about itself, every few seconds. */
export interface PresenceRecord {
  /** As in its log; two workers may have the same. */
  readonly name: string;
  readonly host: string;
  readonly pid: number;
  readonly queues: readonly string[];
  readonly concurrency: number;
  /** Epoch ms. */
  readonly started: number;
  /** How many bodies run. */
  readonly running: number;
  /** The first hundred of them. */
  readonly runs: readonly PresentRun[];
}

/**
 * Where workers say that they are there. For people only: nothing is decided by it, so that no method rejects for a
 * node's sake but `list`. `key` is the whole name of an entry.
 */
export interface Presence {
  /** Says it for `ttl` ms. */
  put(key: string, record: PresenceRecord, ttl: number): Promise<void>;
  remove(key: string): Promise<void>;
  /** The entries whose names begin so, at most a thousand. Rejects with `LockUnavailableError`. */
  list(prefix: string): Promise<readonly PresenceRecord[]>;
}

/** The most bodies that one record names. */
export const PRESENT_RUNS = 100;
/** The most entries that `Presence.list` gives. */
export const PRESENT_WORKERS = 1_000;

/** The names of a namespace's entries begin so. */
export const presencePrefix = (namespace: string): string => `${namespace}:worker:`;
