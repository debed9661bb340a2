import { systemClock } from '../../../lib/clock.js';
import type { LockRecord } from '../../../lib/guard.js';
import { BY_CLOCK } from './cast.js';
import type { Answer } from './commands.js';

const number = (value: number): number | string => (value > BY_CLOCK ? 'by the clock' : value);
const left = (ms: number): number => Math.round(Math.max(0, ms) / 30_000);

/** An answer without what may differ by milliseconds, and without the words of an error. */
export function comparable(answer: Answer): unknown {
  if (typeof answer === 'string' || !('outcome' in answer)) return answer;
  switch (answer.outcome) {
    case 'fence':
      return { ...answer, highest: number(answer.highest) };
    case 'clock':
      return { ...answer, skew: left(answer.skew) };
    case 'held':
      return {
        ...answer,
        holder: { ...answer.holder, fence: number(answer.holder.fence), left: left(answer.holder.left) },
      };
    case 'unknown':
    case 'unavailable':
      return answer.outcome;
    default:
      return answer;
  }
}

export function comparableRecord(record: LockRecord | undefined): unknown {
  if (record === undefined) return undefined;
  const { deadline, fence, floor } = record;
  const wait = deadline === 0 ? 'free' : left(deadline - systemClock.now());
  return { ...record, deadline: wait, fence: number(fence), floor: number(floor) };
}

/** An answer in a few words, to count which were seen. */
export function kindOf(answer: Answer): string {
  if (typeof answer === 'string') return answer;
  if (!('outcome' in answer)) return 'kept';
  switch (answer.outcome) {
    case 'held':
      return `held, ${answer.holder.phase}, ${answer.own ?? "another's"}${answer.offered ? ', offered' : ''}`;
    case 'done':
      return `done, ${answer.own ? 'own' : "another's"}${answer.dead ? ', dead' : ''}`;
    default:
      return answer.outcome;
  }
}

const FIELDS = ['args', 'mark', 'stop', 'floor', 'expires', 'done', 'seq', 'nonce'] as const;
const shown = (value: unknown): string =>
  value === undefined || value === 0 || value === false ? '' : JSON.stringify(value);

/** What a command did to a record: which of its fields it set, changed or took away. */
export function changesOf(before: LockRecord | undefined, after: LockRecord | undefined): string[] {
  return FIELDS.flatMap((field) => {
    const [was, is] = [shown(before?.[field]), shown(after?.[field])];
    if (was === is) return [];
    return [`${was === '' ? 'sets' : is === '' ? 'clears' : 'moves'} ${field}`];
  });
}
