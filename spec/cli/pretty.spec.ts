import { expect } from 'chai';
import { stripVTControlCharacters } from 'node:util';
import { banner } from '../../lib/cli/banner.js';
import { painter } from '../../lib/cli/colours.js';
import { prettyLine } from '../../lib/cli/pretty-line.js';

const plain = painter(false, {});
const record = {
  level: 'info',
  time: '2026-01-02T03:04:05.678Z',
  event: 'task:started',
  worker: 'w',
  task: 'loans.run',
};

describe('the log on a terminal', () => {
  it('has colours there, and none elsewhere or under NO_COLOR', () => {
    const line = { ...record, msg: 'loans.run started' };
    const coloured = prettyLine(line, painter(true, {}));
    expect(coloured).to.not.equal(stripVTControlCharacters(coloured));
    expect(stripVTControlCharacters(coloured)).to.equal(prettyLine(line, plain));
    expect(prettyLine(line, painter(true, { NO_COLOR: '1' }))).to.equal(prettyLine(line, plain));
    expect(prettyLine(line, painter(true, { NO_COLOR: '' }))).to.equal(coloured);
  });

  it('says key, id and attempt beside the text, and keeps control characters out', () => {
    const line = prettyLine({ ...record, msg: 'odd\u001b[31m\ntext', key: 'a b\u0007', id: '7', attempt: 1 }, plain);
    expect(line).to.match(/^\d\d:\d\d:\d\d INFO {2}odd \[31m text key="a b\\u0007" id=7 attempt=1\n$/);
  });

  it('puts stacks below the line, causes included', () => {
    const error = { stack: 'Error: no\n    at here', cause: { stack: 'TypeError: root\n    at there' } };
    expect(
      prettyLine({ ...record, msg: 'failed', error }, plain)
        .split('\n')
        .slice(1),
    ).to.deep.equal(['    Error: no', '        at here', '    TypeError: root', '        at there', '']);
  });

  it('begins with a banner', () => {
    const retry = { attempts: 1, delay: 1000, factor: 2, maxDelay: 300_000, jitter: true };
    const rest = { acksLate: true, retry, timeLimit: null, thread: false, long: null };
    const common = { queue: 'tasks', ...rest } as const;
    const text = banner(
      {
        version: '1.2.3',
        worker: 'host-1',
        broker: 'amqp://guest:***@localhost',
        locks: 'redis://localhost',
        lanes: [
          { queues: ['fast'], concurrency: 20, prefetch: 30 },
          { queues: ['tasks', 'slow'], concurrency: 5, prefetch: 15 },
        ],
        tasks: [
          {
            ...common,
            task: 'a',
            key: 'k:<id>',
            strategy: 'worker',
            onDuplicate: { enqueue: null, worker: 'discard' },
          },
          {
            ...common,
            task: 'b',
            key: null,
            strategy: null,
            onDuplicate: { enqueue: null, worker: null },
            long: 300_000,
          },
        ],
      },
      plain,
    );
    expect(text).to.equal(
      [
        'solotask 1.2.3  host-1',
        '  broker  amqp://guest:***@localhost',
        '  locks   redis://localhost',
        '  queues  fast (20 at once); tasks, slow (5 at once)',
        '  tasks   a  k:<id>  (worker: discard)',
        '          b  long: acknowledged as it begins, looked after every 5m\n',
      ].join('\n'),
    );
  });
});
