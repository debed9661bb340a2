import type { ClaimAnswer, Holder, HoldAnswer, Phase } from '../guard.js';
import { bare } from '../redis-node.js';

/** What one node said to one command, or a quorum of them together. */
export type Vote =
  | { readonly word: 'ok' }
  | Extract<ClaimAnswer, { outcome: 'held' | 'done' | 'fence' | 'clock' }>
  | { readonly word: 'lost' | 'marked' }
  /** The node certainly did nothing. */
  | { readonly word: 'closed'; readonly cause: unknown }
  /** The node may have executed the command, or still will. */
  | { readonly word: 'silent'; readonly cause: unknown };

export const GRANTED: Vote = Object.freeze({ word: 'ok' });

/** The letters of the phases in a record. */
export const PHASES: Readonly<Record<string, Phase>> = { p: 'publishing', q: 'queued', r: 'running', k: 'kept' };

/** Redis's own refusals that come before anything of a script is executed. */
const CLOSED =
  /^(LOADING|READONLY|MASTERDOWN|NOAUTH|NOPERM|WRONGPASS|OOM|BUSY|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|MISCONF|MOVED|ASK)\b/;
/** ioredis's, for a command that it did not write. */
const UNSENT = /^Stream isn't writeable/;

const OWN = { s: 'same-copy', o: 'other-copy' } as const;

/** What `encodeURIComponent` leaves as it is: asking is cheaper than encoding, and most ids are UUIDs. */
const PLAIN = /^[\w.!~*'()-]+$/;

/** An id as one word of a command: no spaces, never empty. */
export const word = (text: string): string => {
  if (PLAIN.test(text)) return text;
  return text === '' ? '%' : encodeURIComponent(text);
};
export const unword = (text: string): string => (text === '%' ? '' : decodeURIComponent(text));

function heldVote([letter = '', fence, left, seq, own = '', offered, owner = '']: string[]): Vote {
  const holder: Holder = {
    owner: unword(owner),
    phase: PHASES[letter] ?? 'running',
    fence: Number(fence),
    left: Number(left),
    seq: Number(seq),
  };
  return { outcome: 'held', holder, own: OWN[own as keyof typeof OWN], offered: offered === '1' };
}

function refusalOf(text: string): Vote {
  const [name, ...rest] = text.split(' ');
  switch (name) {
    case 'UQHELD':
      return heldVote(rest);
    case 'UQDONE':
      return { outcome: 'done', own: rest[0] === '1', dead: rest[1] === '1', id: unword(rest[2] ?? '') };
    case 'UQFENCE':
      return { outcome: 'fence', highest: Number(rest[0]) };
    case 'UQCLOCK':
      return { outcome: 'clock', skew: Number(rest[0]) };
    case 'UQLOST':
      return { word: 'lost' };
    case 'UQMARKED':
      return { word: 'marked' };
    default:
      return { word: CLOSED.test(text) || UNSENT.test(text) ? 'closed' : 'silent', cause: new Error(text) };
  }
}

/** Reads what one node refuses: by our scripts, or for trouble of its own. What it cannot read says nothing. */
export function readRefusal(text: string): Vote {
  try {
    return refusalOf(text);
  } catch (cause) {
    return { word: 'silent', cause };
  }
}

/** Reads an error of one node. */
export function readVote(error: Error): Vote {
  const vote = readRefusal(error.message);
  return 'cause' in vote ? { ...vote, cause: bare(error) } : vote;
}

/**
 * Two votes with one text are the same evidence: same refusal, phase, fence and owner. Nodes that remember different runs
 * as the last agree on `done` all the same: each run ended well and covers the message by itself. One of the nodes had
 * accepted the message's own claim, and fences rise on a node: the run that it names began after that.
 */
function evidence(vote: Vote): string {
  if ('word' in vote) return vote.word;
  if (vote.outcome !== 'held') return vote.outcome;
  const { owner, phase, fence } = vote.holder;
  return `held ${phase} ${fence} ${vote.own ?? '-'} ${owner}`;
}

/** One vote for two of the same evidence: of what may differ, that which promises less. */
function merge(one: Vote, other: Vote): Vote {
  if (!('outcome' in one) || !('outcome' in other)) return one;
  if (one.outcome === 'held' && other.outcome === 'held') {
    const left = Math.min(one.holder.left, other.holder.left);
    const seq = Math.min(one.holder.seq, other.holder.seq);
    return { ...one, holder: { ...one.holder, left, seq }, offered: one.offered && other.offered };
  }
  if (one.outcome === 'fence' && other.outcome === 'fence')
    return { outcome: 'fence', highest: Math.max(one.highest, other.highest) };
  if (one.outcome === 'clock' && other.outcome === 'clock')
    return { outcome: 'clock', skew: Math.max(one.skew, other.skew) };
  // That its own run ended is true as soon as one node knows it.
  return other.outcome === 'done' && other.own ? other : one;
}

/**
 * The evidence that more than half of `nodes` gave (protocol.md, client rule 1); undefined while, or when, there is
 * none. Silence is no evidence.
 */
export function decide(votes: readonly Vote[], nodes: number): Vote | undefined {
  const quorum = Math.floor(nodes / 2) + 1;
  for (const vote of votes) {
    const same = votes.filter((other) => evidence(other) === evidence(vote));
    if (same.length >= quorum) return same.slice(0, quorum).reduce(merge);
  }
  return undefined;
}

/** The verdict when every node has answered or failed to. */
export function conclude(votes: readonly Vote[], nodes: number): Vote {
  const mixed: Vote = { word: 'silent', cause: new Error('no quorum of nodes gave the same answer') };
  const verdict = decide(votes, nodes) ?? votes.find((vote) => 'word' in vote && vote.word === 'silent') ?? mixed;
  const certain =
    !('word' in verdict) || verdict.word !== 'closed' || votes.every((vote) => evidence(vote) === 'closed');
  return certain ? verdict : mixed;
}

/** May a node hold what this vote's command claimed? */
export const mayHold = (vote: Vote): boolean => 'word' in vote && (vote.word === 'ok' || vote.word === 'silent');

/** The verdict on a claim. */
export function claimAnswer(verdict: Vote): ClaimAnswer {
  if (!('word' in verdict)) return verdict;
  switch (verdict.word) {
    case 'ok':
      return { outcome: 'granted' };
    case 'closed':
      return { outcome: 'unavailable', cause: verdict.cause };
    case 'silent':
      return { outcome: 'unknown', cause: verdict.cause };
    default:
      return { outcome: 'unknown', cause: new Error(`a claim was answered "${verdict.word}"`) };
  }
}

/** The verdict on what a holder does with its key. */
export function holdAnswer(verdict: Vote): HoldAnswer {
  return 'word' in verdict && verdict.word !== 'closed' && verdict.word !== 'silent' ? verdict.word : 'unknown';
}
