/** How a run ended, as it is kept under its task's id: JSON values only. */
export type StoredResult =
  | { readonly status: 'succeeded'; readonly value: unknown; readonly fence: number | undefined }
  | { readonly status: 'failed'; readonly error: StoredError; readonly fence: number | undefined }
  /** The message was dropped as a duplicate: the result is that of `holder`, of a run with a fence above `after`. */
  | { readonly status: 'dropped'; readonly holder: string; readonly after: number | undefined };

/** A failure as it travels: what was thrown on the worker. */
export interface StoredError {
  /** Name of the error's class. */
  readonly type: string;
  readonly message: string;
  /** `code` of the error, when it has one. */
  readonly code: string | undefined;
  /** On the worker; undefined when a foreign worker sent none. */
  readonly stack: string | undefined;
}

/** What is waited for. */
export interface ResultWish {
  /** Task id. */
  readonly id: string;
  /** Only a result of a run with a larger fence will do; one without a fence always does. */
  readonly after: number | undefined;
}

/**
 * The port to the results of runs. Results are kept for `RESULT_TIME`. Errors are those of errors.ts; nothing of a
 * driver passes.
 */
export interface ResultBackend {
  /** Address for people, secrets masked. */
  readonly address: string;
  /** Resolves when it can be used. Rejects with `ResultsUnavailableError` after `timeout` ms, `AccessRefusedError` at once. */
  connect(timeout: number): Promise<void>;
  /**
   * Resolves when it is kept, and everybody who waits for it was told; in a time that is bounded. A run replaces what was
   * kept for its id; that a message was dropped replaces nothing: another copy of it may have run before. `task` is the
   * task's name, for people who look.
   * @throws ResultsUnavailableError, ClosedError
   */
  store(id: string, task: string, result: StoredResult): Promise<void>;
  /**
   * Resolves as soon as there is a result that will do; to undefined when `signal` aborts before.
   * @throws ClosedError as soon as the backend is closed; ResultsUnavailableError when `signal` aborts while it cannot be
   * reached; PayloadError when what is kept cannot be read.
   */
  wait(wish: ResultWish, signal: AbortSignal): Promise<StoredResult | undefined>;
  close(): Promise<void>;
}

/** How long a result is kept, ms. */
export const RESULT_TIME = 86_400_000;

/** Whether a result is of a run that a wish can be content with. */
export function isAfter(result: StoredResult, after: number | undefined): boolean {
  return after === undefined || result.status === 'dropped' || result.fence === undefined || result.fence > after;
}
