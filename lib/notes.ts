/**
 * What workers note about messages, beside the locks: marks and counts, each kept for a while. No method rejects: what
 * nobody answers is `undefined` or false, and whoever asks decides what that means. `key` is the whole name of a note.
 */
export interface Notes {
  /** Sets a mark for `ttl` ms. True when a quorum has it. */
  mark(key: string, ttl: number): Promise<boolean>;
  /** Whether any node has the mark; undefined when none has, and no quorum answers. */
  marked(key: string): Promise<boolean | undefined>;
  /** Adds one, and keeps it for `ttl` ms from now. The sum, of several nodes the largest; undefined when none answers. */
  count(key: string, ttl: number): Promise<number | undefined>;
  forget(key: string): Promise<void>;
}

/** How often bodies of this task began again and nobody saw them end. */
export const crashesName = (namespace: string, id: string): string => `${namespace}:crash:${id}`;

/** The message that this stand-in stood in for has gone its way. */
export const relievedName = (namespace: string, standIn: string): string => `${namespace}:relieved:${standIn}`;
