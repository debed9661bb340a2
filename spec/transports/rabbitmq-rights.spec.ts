import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createApp, RejectTask, RetryTask, Task, taskContext, type App } from 'solotask';
import { ROOT } from '../support/doc-examples.js';
import { eventually } from '../support/eventually.js';
import { type RabbitServer, startRabbit, testRedisUrl } from '../support/servers.js';
import { fresh, rejection } from '../support/transports.js';

const PAGE = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');

/** The arguments of a command of the page, in quotes or bare. */
function command(name: string): string[] {
  const [, line = ''] = new RegExp(`^rabbitmqctl (${name} .*)$`, 'm').exec(PAGE) ?? [];
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare = '']) => quoted ?? bare);
}

describe('the commands for RabbitMQ in docs/operations.md', () => {
  let server: RabbitServer;
  let links: { broker: string; locks: string };

  before(async () => {
    server = await startRabbit();
    await server.ctl('add_vhost', 'loans');
    await server.ctl('add_user', 'loans', 'secret');
    await server.ctl(...command('set_permissions'));
    const url = new URL(server.url);
    [url.username, url.password, url.pathname] = ['loans', 'secret', '/loans'];
    links = { broker: url.href, locks: testRedisUrl() };
  });
  after(() => server.stop());

  /** Its queue and its namespace are those of the page. */
  function loansApp(publishTimeout = 10_000) {
    class Loans {
      @Task({ queue: 'loans', unique: 'loan:<loanId>' })
      async recompute(loanId: string) {
        if (taskContext().attempt === 1) throw new RetryTask({ delay: '1s' });
        throw new RejectTask(`loan ${loanId}`);
      }
    }
    return { app: createApp({ ...links, services: [Loans], publishTimeout }), Loans };
  }
  const refusal = (app: App): Promise<Error> => rejection(app.connect({ timeout: 10_000 }));

  it('give rights by which tasks are delayed, run, retried, buried, looked at and published again', async () => {
    const { app: made, Loans } = loansApp();
    await using app = made;
    const buried: string[] = [];
    app.on('task:dead', ({ code }) => buried.push(code));
    const worker = app.worker();
    await worker.start();
    const { id } = await app.tasks(Loans, { delay: '1s' }).recompute(fresh('loan'));
    await eventually(() => expect(buried).to.deep.equal(['REJECTED']), { timeout: 30_000 });
    await worker.stop();
    const inspector = await app.inspector();
    expect(await inspector.dead.show(['loans'], id)).to.include({ code: 'REJECTED', attempt: 2 });
    const ends: string[] = [];
    await inspector.dead.retry(['loans'], [id], ({ end }) => void ends.push(end));
    expect(ends).to.deep.equal(['retried']);
    const { total } = await inspector.dead.list(['loans'], 0);
    expect(total).to.equal(0);
  });

  it('give no right to a queue of somebody else', async () => {
    class Others {
      @Task({ queue: 'others' })
      async recompute() {}
    }
    await using app = createApp({ ...links, services: [Others] });
    expect(await refusal(app)).to.have.property('code', 'ACCESS_REFUSED');
  });

  it('bound a queue: what it does not take is refused, and its key is free', async () => {
    await server.ctl(...command('set_policy').map((part) => part.replace('100000', '1')));
    const { app: made, Loans } = loansApp(2_000);
    await using app = made;
    const tasks = app.tasks(Loans);
    const keys: string[] = [];
    const call = (): Promise<unknown> => {
      keys.push(fresh('loan'));
      return tasks.recompute(keys.at(-1) ?? '');
    };
    await call();
    // A quorum queue notices its limit late: it takes one or two more.
    const refused = await eventually(() => rejection(call()), { timeout: 30_000 });
    expect(refused).to.have.property('code', 'PUBLISH_REFUSED');
    const { locks } = await app.inspector();
    const holders = await Promise.all(keys.map((key) => locks.show(`Loans.recompute loan:${key}`)));
    expect(holders.at(0)?.phase).to.equal('queued');
    expect(holders.at(-1)?.phase).to.equal(undefined);
  });
});
