import { expect } from 'chai';
import { tasksTable } from '../../lib/cli/list.js';
import type { TaskDescription } from '../../lib/cli/describe-task.js';
import { fixture, taskWorker } from './task-worker-process.js';

const description: TaskDescription = {
  task: 'LoanService.recompute',
  queue: 'tasks',
  key: 'loan:<loanId>',
  strategy: 'both',
  onDuplicate: { enqueue: 'discard', worker: 'requeue' },
  acksLate: true,
  retry: { attempts: 3, delay: 1000, factor: 2, maxDelay: 300_000, jitter: true },
  timeLimit: null,
  thread: false,
  long: null,
};

describe('task-worker list', () => {
  it('shows the tasks as a table within 80 columns', async () => {
    const { code, stdout } = await taskWorker(['list', '-a', fixture('app')]);
    expect(code).to.equal(0);
    expect(stdout).to.equal(
      [
        'TASK                   QUEUE  UNIQUE KEY  STRATEGY          RETRY',
        'Jobs.work              spec   job:<id>    enqueue: discard  none',
        'Jobs.ignoreEverything  spec   deaf:<id>   enqueue: discard  3 runs, 1s x2',
        'Jobs.fail              spec   fail:<why>  worker: discard   2 runs, 2s x3',
        'Jobs.crash             spec   -           -                 none\n',
      ].join('\n'),
    );
  });

  it('turns to a paragraph for each task where the columns do not fit', () => {
    expect(tasksTable([description], 40)).to.equal(
      [
        'LoanService.recompute',
        '  queue       tasks',
        '  unique key  loan:<loanId>',
        '  strategy    enqueue: discard, worker: requeue',
        '  retry       3 runs, 1s x2\n',
      ].join('\n'),
    );
  });

  it('prints JSON for scripts', async () => {
    const { stdout } = await taskWorker(['list', '--json', '-a', fixture('app')]);
    const tasks = JSON.parse(stdout) as TaskDescription[];
    expect(tasks.map(({ task, strategy }) => [task, strategy])).to.deep.equal([
      ['Jobs.work', 'enqueue'],
      ['Jobs.ignoreEverything', 'enqueue'],
      ['Jobs.fail', 'worker'],
      ['Jobs.crash', null],
    ]);
    expect(tasks[2]).to.have.nested.property('retry.delay', 2000);
    expect(tasks.map(({ long }) => long)).to.deep.equal([null, null, 300_000, null]);
  });
});
