/** How a run ended, as it is kept under its task's id: JSON values only. */
export type StoredResult =
  | { readonly status: 'succeeded'; readonly value: unknown; readonly fence: number | undefined }
  | { readonly status: 'failed'; readonly error: StoredError; readonly fence: number | undefined }
  /** The worker dropped the message as a duplicate: the result is that of `holder`. */
  | { readonly status: 'dropped'; readonly holder: string };

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

/**
 * The port to the results of runs. Results are kept for a day. Errors are those of errors.ts; nothing of a driver passes.
 */
export interface ResultBackend {
  /** Address for people, secrets masked. */
  readonly address: string;
  /** Resolves when it can be used; rejects with `ResultsUnavailableError` after `timeout` ms. */
  connect(timeout: number): Promise<void>;
  /** Resolves when it is kept. Rejects with `ResultsUnavailableError`. */
  store(id: string, task: string, result: StoredResult): Promise<void>;
  /**
   * Resolves as soon as there is a result of `id` that is newer than `after` (a fence; only results that have a fence are
   * compared); to undefined once `signal` has aborted.
   */
  wait(
    id: string,
    options: { readonly after?: number | undefined; readonly signal: AbortSignal },
  ): Promise<StoredResult | undefined>;
  close(): Promise<void>;
}

/** How long a result is kept, ms. */
export const RESULT_TIME = 86_400_000;
