import { expect } from 'chai';
import { EventEmitter, on } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { createApp, Task, taskContext, tasks, type App, type Receipt, type TaskEvents } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage, type Stage } from '../support/stage.js';

/** A service of its own for each test, and the loans whose tasks have run. */
function loansOf(stage: Stage) {
  const seen: number[] = [];
  class Loans {
    @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
    async recompute(loanId: number) {
      seen.push(loanId);
    }

    @Task({ queue: stage.queue })
    async note(loan: { id: number }) {
      seen.push(loan.id);
    }

    @Task({ queue: stage.queue, afterCommit: false })
    async audit(loanId: number) {
      seen.push(loanId);
    }
  }
  return { Loans, seen };
}

/** The ids of the tasks that an app publishes, in order. */
function published(app: App): string[] {
  const ids: string[] = [];
  app.on('task:enqueued', ({ id }) => ids.push(id));
  return ids;
}

const rollBack = new Error('rolled back');
const swallow = (error: unknown): void => expect(error).to.equal(rollBack) && undefined;

onEveryStage('a transaction', (stage) => {
  // T1
  it('publishes after its commit, in order, and gives receipts at once', async () => {
    const { Loans, seen } = loansOf(stage);
    const app = stage.app([Loans]);
    const ids = published(app);
    const receipts: Receipt[] = [];
    const value = await app.transaction(async () => {
      receipts.push(await app.tasks(Loans).note({ id: 1 }), await app.tasks(Loans).recompute(2));
      receipts.push(await app.tasks(Loans).note({ id: 3 }), await tasks(Loans).recompute(4));
      expect(ids).to.deep.equal([]);
      expect(await stage.record('Loans.recompute', 'loan:2')).to.equal(undefined);
      return 'committed';
    });
    expect(value).to.equal('committed');
    expect(ids).to.deep.equal(receipts.map(({ id }) => id));
    expect(receipts.map(({ status }) => status)).to.deep.equal(Array(4).fill('deferred'));
    expect(receipts.map(({ key }) => key)).to.deep.equal([undefined, 'loan:2', undefined, 'loan:4']);
    const settled = await Promise.all(receipts.map((receipt) => receipt.settled()));
    expect(settled.map(({ status }) => status)).to.deep.equal(Array(4).fill('enqueued'));
    expect(settled).to.have.nested.property('[1].id', receipts[1]?.id);
    await app.worker({ concurrency: 1 }).start();
    await eventually(() => expect(seen).to.deep.equal([1, 2, 3, 4]));
  });

  it('refuses to wait inside for what its commit decides', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]);
    const failures: unknown[] = [];
    const note = (error: unknown): void => void failures.push(error);
    const receipt = await app.transaction(async () => {
      const first = await app.tasks(Loans).recompute(1);
      await first.settled().catch(note);
      await first.result({ timeout: '1h' }).catch(note);
      await app.transaction(async () => {
        const second = await app.tasks(Loans).recompute(2);
        await first.settled().catch(note);
        await second.settled().catch(note);
      });
      return first;
    });
    expect(failures).to.have.length(4);
    for (const failure of failures) {
      expect(failure).to.include({ code: 'CONFIG' });
      expect(failure)
        .to.have.property('message')
        .that.matches(/Loans\.recompute: .*when app\.transaction\(\) has resolved/);
    }
    expect(await receipt.settled()).to.include({ status: 'enqueued' });
  });

  // T1
  it('publishes nothing and locks nothing when it is rolled back', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]);
    const ids = published(app);
    let receipt: Receipt | undefined;
    const transaction = app.transaction(async () => {
      receipt = await app.tasks(Loans).recompute(1);
      throw rollBack;
    });
    expect(await transaction.catch((error: unknown) => error)).to.equal(rollBack);
    expect(await receipt?.settled()).to.deep.equal({ status: 'rolledBack' });
    expect(await stage.record('Loans.recompute', 'loan:1')).to.equal(undefined);
    const next = await app.tasks(Loans).recompute(1);
    expect(next).to.include({ status: 'enqueued' });
    expect(ids).to.deep.equal([next.id]);
    expect(await next.settled()).to.equal(next);
  });

  // T1
  it('drops what a savepoint enqueued that was rolled back, and only that', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]);
    const ids = published(app);
    const receipts: Record<string, Receipt> = {};
    const nested = async (name: string, end: () => unknown): Promise<void> => {
      receipts[`${name} before`] = await app.tasks(Loans).note({ id: 1 });
      await app.transaction(async () => {
        receipts[`${name} inside`] = await app.tasks(Loans).note({ id: 2 });
        await end();
      });
    };
    await app.transaction(async () => {
      await nested('a', () => nested('c', () => {}).then(() => Promise.reject(rollBack))).catch(swallow);
      await nested('b', () => nested('d', () => Promise.reject(rollBack)).catch(swallow));
      receipts['last'] = await app.tasks(Loans).note({ id: 3 });
      expect(ids).to.deep.equal([]);
      const dropped = receipts['a inside']?.settled();
      expect(await dropped, 'known before the commit').to.deep.equal({ status: 'rolledBack' });
    });
    const kept = ['a before', 'b before', 'b inside', 'd before', 'last'];
    expect(ids).to.deep.equal(kept.map((name) => receipts[name]?.id));
    for (const name of ['a inside', 'c before', 'c inside', 'd inside']) {
      expect(await receipts[name]?.settled(), name).to.deep.equal({ status: 'rolledBack' });
    }
  });

  // T1
  it('publishes what savepoints enqueued side by side in the order of the calls', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]);
    const ids = published(app);
    const gate = new Gate();
    const receipts: Receipt[] = [];
    const enqueue = async (): Promise<void> => void receipts.push(await app.tasks(Loans).note({ id: 1 }));
    await app.transaction(async () => {
      await enqueue();
      const savepoint = app.transaction(async () => {
        await enqueue();
        await gate.pass();
        await enqueue();
      });
      await enqueue();
      gate.open();
      await savepoint;
      await enqueue();
    });
    expect(receipts).to.have.length(5);
    expect(ids).to.deep.equal(receipts.map(({ id }) => id));
  });

  // T2
  it('stands when the broker is down at its commit: the event and the receipts tell', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans], { publishTimeout: 1_000 });
    const failures: TaskEvents['enqueue:failed'][] = [];
    app.on('enqueue:failed', (event) => failures.push(event));
    await app.connect();
    const begun = performance.now();
    const receipts = await app.transaction(async () => {
      const made = [await app.tasks(Loans).recompute(1)];
      for (let i = 0; i < 9; i++) made.push(await app.tasks(Loans).note({ id: 2 + i }));
      const lost = stage.count(app, 'broker:disconnected');
      stage.stopBroker();
      await eventually(() => expect(lost.total).to.be.above(0));
      return made;
    });
    // The others do not wait in turn.
    expect(performance.now() - begun).to.be.below(5_000);
    expect(failures.map(({ id }) => id)).to.have.members(receipts.map(({ id }) => id));
    expect(failures[0]).to.include({ task: 'Loans.recompute', key: 'loan:1', queue: stage.queue });
    for (const receipt of receipts) {
      const failure = await receipt.settled().catch((error: unknown) => error);
      expect(failure).to.have.property('code', 'BROKER_UNAVAILABLE');
    }
    stage.startBroker();
    await eventually(async () => expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'enqueued' }));
  });

  it('publishes the others, in order, when one has no queue', async () => {
    class Loans {
      @Task({ queue: stage.queue })
      async note(id: number) {
        return id;
      }
    }
    class Gone {
      @Task({ name: 'gone', queue: `${stage.queue}.gone`, unique: 'gone:<id>' })
      async away(id: number) {
        return id;
      }
    }
    const app = stage.app([Loans, Gone]);
    const failed = stage.count(app, 'enqueue:failed');
    const ids = published(app);
    await app.connect();
    await stage.removeQueue(`${stage.queue}.gone`);
    const [first, lost, last] = await app.transaction(() =>
      Promise.all([app.tasks(Loans).note(1), app.tasks(Gone).away(2), app.tasks(Loans).note(3)]),
    );
    expect(ids).to.deep.equal([first.id, last.id]);
    expect(failed.total).to.equal(1);
    const failure = await lost.settled().catch((error: unknown) => error);
    expect(failure).to.have.property('code', 'UNROUTABLE');
    expect((await stage.record('gone', 'gone:2'))?.owner).to.equal(undefined);
  });

  it('computes key and payload at the call, and refuses there what cannot be enqueued', async () => {
    const seen: unknown[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<id>' })
      async recompute(loan: { id: number | null; notes: string[] }) {
        seen.push(loan);
      }
    }
    const app = stage.app([Loans]);
    const receipt = await app.transaction(async () => {
      const loan = { id: 1, notes: ['as it was'] };
      const deferred = await app.tasks(Loans).recompute(loan);
      loan.id = 2;
      loan.notes.push('later');
      const wrong = await app
        .tasks(Loans)
        .recompute({ id: null, notes: [] })
        .catch((error: unknown) => error);
      expect(wrong).to.have.property('code', 'KEY');
      return deferred;
    });
    expect(await receipt.settled()).to.include({ status: 'enqueued', key: 'loan:1' });
    await app.worker().start();
    await eventually(() => expect(seen).to.deep.equal([{ id: 1, notes: ['as it was'] }]));
  });

  it('settles a duplicate with its holder, in the transaction or outside', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]);
    const held = await app.tasks(Loans).recompute(1);
    const [outside, first, second] = await app.transaction(async () => [
      await app.tasks(Loans).recompute(1),
      await app.tasks(Loans).recompute(2),
      await app.tasks(Loans).recompute(2),
    ]);
    expect(await outside?.settled()).to.include({ status: 'discarded', id: held.id });
    expect(await first?.settled()).to.include({ status: 'enqueued', id: first?.id });
    expect(await second?.settled()).to.include({ status: 'discarded', id: first?.id });
  });

  it('publishes at once, and for good, what has afterCommit false by its task or by the call', async () => {
    const { Loans, seen } = loansOf(stage);
    const app = stage.app([Loans]);
    const ids = published(app);
    const rolledBack = app.transaction(async () => {
      const byTask = await app.tasks(Loans).audit(1);
      const byCall = await app.tasks(Loans, { afterCommit: false }).recompute(2);
      expect([byTask.status, byCall.status]).to.deep.equal(['enqueued', 'enqueued']);
      expect(ids).to.deep.equal([byTask.id, byCall.id]);
      const deferred = await app.tasks(Loans, { afterCommit: true }).audit(3);
      expect(deferred.status).to.equal('deferred');
      throw rollBack;
    });
    await rolledBack.catch(swallow);
    await app.worker().start();
    await eventually(() => expect(seen).to.have.members([1, 2]));
  });

  it('keeps batches and what is sent by name until its commit', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]);
    const ids = published(app);
    const receipts = await app.transaction(async () => {
      const sent = await app.send('Loans.note', { args: [{ id: 1 }] });
      const batch = await app.enqueueMany(Loans, 'recompute', [[1], [2], [1]]);
      // Nobody waits for it, and it is longer than what goes on its way together.
      const list = Array.from({ length: 600 }, (_, id): [{ id: number }] => [{ id }]);
      const forgotten = app.enqueueMany(Loans, 'note', list);
      const atOnce = await app.enqueueMany(Loans, 'recompute', [[5]], { afterCommit: false });
      expect(ids).to.deep.equal(atOnce.map(({ id }) => id));
      return { sent, batch, forgotten };
    });
    const all = [receipts.sent, ...receipts.batch, ...(await receipts.forgotten)];
    expect(new Set(all.map(({ status }) => status))).to.deep.equal(new Set(['deferred']));
    const settled = await Promise.all(all.map((receipt) => receipt.settled()));
    const [, first, , double, ...others] = settled;
    expect(double).to.deep.include({ status: 'discarded', id: receipts.batch[0]?.id });
    expect([settled[0], first, settled[2], ...others].map((end) => end?.status)).to.deep.equal(
      Array(603).fill('enqueued'),
    );
    expect(ids.slice(1, 3)).to.deep.equal([receipts.sent.id, receipts.batch[0]?.id]);
    expect(ids).to.have.length(604);
  });

  it('does not reach into the tasks that it publishes at once', async () => {
    const statuses: string[] = [];
    class Loans {
      @Task({ queue: stage.queue, afterCommit: false })
      async outer() {
        statuses.push((await tasks(Loans).inner()).status);
      }

      @Task({ queue: stage.queue })
      async inner() {
        return taskContext().id;
      }
    }
    const app = stage.app([Loans]);
    await app.worker().start();
    await app.transaction(async () => {
      await app.tasks(Loans).outer();
      await eventually(() => expect(statuses).to.deep.equal(['enqueued']));
    });
  });

  it('leaves the enqueues of another app alone', async () => {
    const { Loans } = loansOf(stage);
    const [one, other] = [stage.app([Loans]), stage.app([Loans])];
    const status = async (receipt: Promise<Receipt>) => (await receipt).status;
    await one.transaction(async () => {
      expect(await status(other.tasks(Loans).recompute(1))).to.equal('enqueued');
      expect(await status(one.tasks(Loans).recompute(2))).to.equal('deferred');
      await other.transaction(async () => {
        expect(await status(other.tasks(Loans).recompute(3))).to.equal('deferred');
        expect(await status(one.tasks(Loans).recompute(4))).to.equal('deferred');
      });
      expect(await status(one.tasks(Loans).recompute(3))).to.equal('deferred');
    });
    await eventually(async () => expect(await stage.ready()).to.equal(4));
  });

  it('publishes at once what somebody enqueues in its context after its end', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]);
    for (const end of [async () => {}, () => Promise.reject(rollBack)]) {
      const gate = new Gate();
      let forgotten: Promise<Receipt> | undefined;
      const transaction = app.transaction(async () => {
        forgotten = gate.pass().then(() => app.tasks(Loans).note({ id: 1 }));
        await end();
      });
      await transaction.catch(swallow);
      gate.open();
      expect(await forgotten).to.include({ status: 'enqueued' });
    }
  });

  it('shares its end with a savepoint that nobody waited for', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]);
    for (const [end, status] of [
      [async () => {}, 'enqueued'],
      [() => Promise.reject(rollBack), 'rolledBack'],
    ] as const) {
      const gate = new Gate();
      let forgotten: Promise<Receipt> | undefined;
      const transaction = app.transaction(async () => {
        forgotten = app.transaction(async () => {
          const receipt = await app.tasks(Loans).note({ id: 1 });
          await gate.pass();
          return receipt;
        });
        await end();
      });
      await transaction.catch(swallow);
      gate.open();
      expect(await (await forgotten)?.settled()).to.include({ status });
    }
  });

  it('finds its body by a runner where a library runs it in an async context of its own', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]);
    const jobs = new EventEmitter();
    // The loop was begun outside of any transaction, and whatever it calls runs outside, too.
    const loop = (async () => {
      for await (const [job] of on(jobs, 'job', { close: ['close'] })) (job as () => void)();
    })();
    const transaction = <T>(body: () => Promise<T>): Promise<T> =>
      new Promise((resolve, reject) => jobs.emit('job', () => body().then(resolve, reject)));
    const enqueue = () => app.tasks(Loans).note({ id: 1 });
    expect(await app.transaction(() => transaction(enqueue))).to.include({ status: 'enqueued' });
    const receipt = await app.transaction((body) => transaction(body), enqueue);
    expect(receipt).to.include({ status: 'deferred' });
    expect(await receipt.settled()).to.include({ status: 'enqueued' });
    jobs.emit('close');
    await loop;
  });

  it('counts the last call of a body that its runner repeats, and gives the result of the runner', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]);
    const receipts: Receipt[] = [];
    let calls = 0;
    const result = await app.transaction(
      async (body) => {
        await body('a').catch(swallow);
        // Its commit failed.
        await body('b');
        return `${await body('c')}!`;
      },
      async (tx: string) => {
        receipts.push(await app.tasks(Loans).recompute(1));
        if (calls++ === 0) throw rollBack;
        return tx;
      },
    );
    expect(result).to.equal('c!');
    const ends = await Promise.all(receipts.map((receipt) => receipt.settled()));
    expect(ends.map(({ status }) => status)).to.deep.equal(['rolledBack', 'rolledBack', 'enqueued']);
  });

  it('is refused, with its body not begun, by an app that is closed', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]);
    await app.close();
    let begun = false;
    const refused = await app.transaction(() => (begun = true)).catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'CLOSED');
    expect(begun).to.equal(false);
  });

  it('is waited for by the close of its app, which takes no new enqueues', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]);
    const gate = new Gate();
    const transaction = app.transaction(async () => {
      const receipt = await app.tasks(Loans).recompute(1);
      await gate.pass();
      const refused = await app
        .tasks(Loans)
        .recompute(2)
        .catch((error: unknown) => error);
      expect(refused).to.have.property('code', 'CLOSED');
      return receipt;
    });
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const closing = app.close();
    gate.open();
    expect(await (await transaction).settled()).to.include({ status: 'enqueued' });
    await closing;
  });

  it('does not block a close from inside: what it enqueued is reported as lost', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]);
    const failed = stage.count(app, 'enqueue:failed');
    const receipt = await app.transaction(async () => {
      const deferred = await app.tasks(Loans).recompute(1);
      await app.close();
      return deferred;
    });
    const failure = await receipt.settled().catch((error: unknown) => error);
    expect(failure).to.have.property('code', 'CLOSED');
    expect(failed.total).to.equal(1);
  });

  it('names what it takes when it is given something else', async () => {
    const { Loans } = loansOf(stage);
    const app = stage.app([Loans]) as unknown as { transaction(...given: unknown[]): Promise<unknown> };
    for (const given of [[], [5], [undefined, () => {}], [() => {}, undefined], [() => {}, () => {}, {}]]) {
      const refused = await app.transaction(...given).catch((error: unknown) => error);
      expect(refused).to.have.property('code', 'CONFIG');
      expect(refused)
        .to.have.property('message')
        .that.matches(/a body, or a runner and a body/);
    }
  });
});

describe('a transaction of an app that cannot connect', () => {
  class Loans {
    @Task({ queue: 'nowhere' })
    async note(id: number) {
      return id;
    }
  }
  const links = { broker: 'amqp://127.0.0.1:1', locks: 'redis://127.0.0.1:1', publishTimeout: 200 };

  it('does not need the broker before its commit', async () => {
    await using app = createApp({ ...links, services: [Loans] });
    const receipt = await app.transaction(() => app.tasks(Loans).note(1));
    expect(receipt.status).to.equal('deferred');
    const failure = await receipt.settled().catch((error: unknown) => error);
    expect(failure)
      .to.have.property('code')
      .that.matches(/UNAVAILABLE/);
  });

  // T2
  it('leaves no rejection unhandled when nobody asks what became of its tasks', async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', listen);
    try {
      await using app = createApp({ ...links, services: [Loans] });
      const failed = new Promise((resolve) => app.on('enqueue:failed', resolve));
      await app.transaction(async () => void (await app.tasks(Loans).note(1)));
      await failed;
      await setImmediate();
      expect(unhandled).to.deep.equal([]);
    } finally {
      process.off('unhandledRejection', listen);
    }
  });
});

describe('the result of a task that was enqueued in a transaction', () => {
  class Loans {
    @Task()
    async double(loanId: number) {
      return loanId * 2;
    }
  }
  const links = { broker: 'memory:', locks: 'memory:', results: true } as const;

  it('is given by its deferred receipt', async () => {
    await using app = createApp({ ...links, services: [Loans] });
    await app.worker().start();
    const receipt = await app.transaction(() => app.tasks(Loans).double(21));
    expect(receipt.status).to.equal('deferred');
    expect(await receipt.result({ timeout: '5s' })).to.equal(42);
  });

  it('is refused after a rollback', async () => {
    await using app = createApp({ ...links, services: [Loans] });
    let receipt: Receipt | undefined;
    const rolledBack = app.transaction(async () => {
      receipt = await app.tasks(Loans).double(21);
      throw rollBack;
    });
    await rolledBack.catch(swallow);
    const refused = await receipt?.result().catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'ROLLED_BACK');
  });
});
