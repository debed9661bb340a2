import ms from 'ms';
import type { Lane } from '../worker/worker-settings.js';
import type { Paint } from './colours.js';
import { strategyText, type TaskDescription } from './describe-task.js';

/** What a worker is about to do. */
export interface BannerFacts {
  readonly version: string;
  readonly worker: string;
  /** Secrets masked. */
  readonly broker: string;
  /** Secrets masked. */
  readonly locks: string;
  readonly lanes: readonly Lane[];
  readonly tasks: readonly TaskDescription[];
}

/** A few lines for a terminal: who runs what, from where. */
export function banner(facts: BannerFacts, paint: Paint): string {
  const { version, worker, broker, locks, lanes, tasks } = facts;
  const lines = [
    ['broker', broker],
    ['locks', locks],
    ['queues', lanes.map(laneText).join('; ')],
    ...tasks.map((task, index) => [index === 0 ? 'tasks' : '', taskText(task)]),
  ];
  const body = lines.map(([name = '', text]) => `  ${paint('dim', name.padEnd(6))}  ${text}\n`).join('');
  return `${paint('bold', `solotask ${version}`)}  ${worker}\n${body}`;
}

const laneText = ({ queues, concurrency }: Lane): string => `${queues.join(', ')} (${concurrency} at once)`;

function taskText(description: TaskDescription): string {
  const { task, key, long } = description;
  const text = key === null ? task : `${task}  ${key}  (${strategyText(description)})`;
  return long === null ? text : `${text}  long: acknowledged as it begins, looked after every ${ms(long)}`;
}
