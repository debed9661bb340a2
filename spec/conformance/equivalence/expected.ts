import { LATE } from './equivalence.js';

/** What random commands have to show of the guards, or they prove little: the kinds of answers, and of changes. */
const ANSWERS: Readonly<Record<string, readonly string[]>> = {
  // prettier-ignore
  claimPublishing: [
    'granted', 'fence', 'clock', 'unknown',
    "publishing, another's", "queued, another's", "queued, another's, offered", 'queued, other-copy',
    'queued, other-copy, offered', "running, another's", "running, another's, offered", 'running, other-copy',
    'running, other-copy, offered', "kept, another's", 'kept, other-copy',
  ],
  // prettier-ignore
  claimRunning: [
    'granted', 'fence', 'clock', 'unknown',
    'done, own', "done, another's", 'done, own, dead', "done, another's, dead",
    "publishing, another's", "queued, another's", "queued, another's, offered", "running, another's",
    "running, another's, offered", 'running, same-copy', 'running, other-copy', "kept, another's",
  ],
  extendPublishing: ['ok', 'lost', 'unknown'],
  confirm: ['ok', 'lost', 'unknown'],
  renew: ['ok', 'lost', 'unknown'],
  hold: ['ok', 'lost', 'unknown'],
  release: ['ok', 'lost', 'marked', 'unknown'],
  expire: ['ok', 'lost', 'marked', 'unknown'],
  newest: ['kept', 'none', 'unknown'],
  abandon: ['ok', 'unknown'],
};

const CHANGES: Readonly<Record<string, readonly string[]>> = {
  claimPublishing: [
    'sets args',
    'moves args',
    'sets mark',
    'moves mark',
    'sets expires',
    'moves expires',
    'clears expires',
  ],
  claimRunning: ['sets args', 'sets mark', 'moves mark', 'clears mark', 'moves expires', 'clears expires', 'sets stop'],
  hold: ['sets args', 'moves args', 'clears mark', 'clears stop'],
  release: ['sets done', 'moves done', 'clears args', 'clears floor'],
  expire: ['clears expires'],
  abandon: ['sets floor', 'moves floor', 'sets args', 'clears mark'],
};

const HELD = /^(publishing|queued|running|kept), /;

export const EXPECTED: readonly string[] = [
  LATE,
  ...Object.entries(ANSWERS).flatMap(([name, kinds]) =>
    kinds.map((kind) => `${name}: ${kind.replace(HELD, 'held, $&')}`),
  ),
  ...Object.entries(CHANGES).flatMap(([name, kinds]) => kinds.map((kind) => `${name} ${kind}`)),
];
