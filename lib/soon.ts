/** A value, or a promise of it where it has to be waited for. A promise costs more than most steps of a message's way. */
export type Soon<T> = T | Promise<T>;

/** Goes on with a value: at once when it is there. */
export const after = <T, R>(value: Soon<T>, use: (value: T) => Soon<R>): Soon<R> =>
  value instanceof Promise ? value.then(use) : use(value);

/** Goes on with what `work` gives, or with what it throws or rejects with; `use` is not guarded. */
export function attempt<T, R>(
  work: () => Soon<T>,
  use: (value: T) => Soon<R>,
  failed: (thrown: unknown) => Soon<R>,
): Soon<R> {
  let value: Soon<T>;
  try {
    value = work();
  } catch (thrown) {
    return failed(thrown);
  }
  return value instanceof Promise ? value.then(use, failed) : use(value);
}
