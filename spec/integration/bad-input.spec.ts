import { expect } from 'chai';
import { IsPositive } from 'class-validator';
import { Task, type Frame, type TaskEvents } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

class Payment {
  @IsPositive()
  amount!: number;
}

const EMBED = { callbacks: null, errbacks: null, chain: null, chord: null };

// F1
onEveryStage('a worker that gets bad messages', (stage) => {
  const frame = (task: string, body: string, more: Partial<Frame> = {}): Frame => ({
    properties: { contentType: 'application/json', contentEncoding: 'utf-8', ...more.properties },
    headers: { task, id: `id-${task}`, lock_key: 'loan:1', lock_mode: 'enqueue', lock_fence: '17', ...more.headers },
    body: Buffer.from(body),
  });
  const bad: Record<string, { make: (task: string) => Frame; code: string; reason: RegExp }> = {
    'that is not JSON': { make: (task) => frame(task, '[[1'), code: 'UNREADABLE', reason: /JSON/ },
    'of another content type': {
      make: (task) => frame(task, 'x', { properties: { contentType: 'application/x-python-serialize' } }),
      code: 'UNREADABLE',
      reason: /application\/x-python-serialize/,
    },
    'of two elements': { make: (task) => frame(task, '[[1], {}]'), code: 'UNREADABLE', reason: /three/ },
    'of an unknown task': {
      make: () => frame('loans.gone', JSON.stringify([[1], {}, EMBED])),
      code: 'UNKNOWN_TASK',
      reason: /loans\.gone/,
    },
    'with an invalid payload': {
      make: (task) => frame(task, JSON.stringify([[{ amount: -5 }], {}, EMBED])),
      code: 'PAYLOAD',
      reason: /amount/,
    },
    'without an id': {
      make: (task) => frame(task, JSON.stringify([[{ amount: 5 }], {}, EMBED]), { headers: { id: undefined } }),
      code: 'UNREADABLE',
      reason: /id/,
    },
  };

  for (const [what, { make, code, reason }] of Object.entries(bad)) {
    it(`buries a message ${what} with the reason, frees its key and goes on`, async () => {
      const seen: unknown[] = [];
      class Loans {
        @Task({ queue: stage.queue, unique: 'loan:<payment.amount>' })
        async pay(payment: Payment) {
          seen.push(payment);
        }
      }
      const app = stage.app([Loans]);
      const dead: TaskEvents['task:dead'][] = [];
      app.on('task:dead', (event) => dead.push(event));
      await app.worker({ concurrency: 1 }).start();
      await stage.publish(make('Loans.pay'));
      await eventually(() => expect(dead).to.have.length(1));
      expect(dead[0]).to.include({ code });
      expect(dead[0]?.error.message).to.match(reason);
      const [letter] = await stage.dead();
      expect(letter?.headers).to.include({ dead_code: code, dead_queue: stage.queue });
      expect(letter?.headers['dead_reason']).to.match(reason);
      expect((await stage.record('Loans.pay', 'loan:1'))?.owner).to.equal(undefined);
      await app.tasks(Loans).pay({ amount: 7 });
      await eventually(() => expect(seen).to.have.length(1));
      expect(seen[0]).to.be.instanceOf(Payment).and.deep.include({ amount: 7 });
      expect(await stage.ready()).to.equal(0);
    });
  }

  it('runs a message with an argument of one MiB', async () => {
    const lengths: number[] = [];
    class Loans {
      @Task({ queue: stage.queue })
      async store(text: string) {
        lengths.push(text.length);
      }
    }
    const app = stage.app([Loans]);
    await app.worker().start();
    await app.tasks(Loans).store('ü'.repeat(2 ** 19));
    await eventually(() => expect(lengths).to.deep.equal([2 ** 19]));
  });

  it('tells the caller of an invalid payload at enqueue, and publishes nothing', async () => {
    class Loans {
      @Task({ queue: stage.queue })
      async pay(payment: Payment) {
        return payment;
      }
    }
    const app = stage.app([Loans]);
    const refused = await app
      .tasks(Loans)
      .pay({ amount: -5 })
      .catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'PAYLOAD');
    expect(refused).to.have.nested.property('violations[0].path', 'payment.amount');
    expect(await stage.ready()).to.equal(0);
  });

  it('buries a message of a task that it does not know, and never drops it as a duplicate of one that runs', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ name: 'loans.new', queue: stage.queue, unique: 'loan:<_loanId>' })
      async pay(_loanId: number) {
        await gate.pass();
      }
    }
    class Older {
      @Task({ queue: stage.queue })
      async report() {}
    }
    const app = stage.app([Loans]);
    const older = stage.app([Older]);
    const dropped = stage.count(older, 'task:discarded');
    const dead: string[] = [];
    older.on('task:dead', ({ id, code }) => dead.push(`${id} ${code}`));
    const worker = app.worker({ concurrency: 1, prefetch: 1 });
    await worker.start();
    await app.tasks(Loans).pay(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await older.worker().start();
    await stage.publish(frame('loans.new', JSON.stringify([[1], {}, EMBED])));
    const waits = stage.count(older, 'lock:waiting');
    await eventually(() => expect(waits.total + dropped.total).to.be.above(0));
    gate.open();
    await worker.stop();
    await eventually(() => expect(dead).to.deep.equal(['id-loans.new UNKNOWN_TASK']), { timeout: 15_000 });
    expect(dropped.total).to.equal(0);
  });
});
