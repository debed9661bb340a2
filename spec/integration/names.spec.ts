import { expect } from 'chai';
import { createApp, ShouldCompute, Task, taskContext } from 'solotask';
import { eventually } from '../support/eventually.js';
import { thrownBy } from '../support/declare.js';
import { uniqueName } from '../support/servers.js';
import { onEveryStage } from '../support/stage.js';

const ODD = ['größe 貸付 🏦', 'a b  c', '<>{}:%25 %', `"'\\/#*;,`, '__proto__', '{tag}:lock:'];
const filled = (start: string, bytes: number): string => start + 'x'.repeat(bytes - Buffer.byteLength(start));

// F4
onEveryStage('odd and long names', (stage) => {
  for (const odd of [...ODD, filled('ü:<', 240)]) {
    it(`work for tasks, queues, keys, ids and headers: ${odd.slice(0, 20)}`, async () => {
      const seen: unknown[] = [];
      const queue = filled(`${uniqueName('q')} ${odd}`.slice(0, 200), 240).slice(0, 240);
      class Loans {
        @Task({ name: `${odd} loans`.slice(0, 250), queue, unique: (name: string) => name })
        async recompute(name: string) {
          const { task, key, id } = taskContext();
          seen.push([task, key, id, name]);
        }

        @Task({ name: `${odd} report`.slice(0, 250), queue })
        @ShouldCompute('<name>')
        async report(name: string) {
          seen.push(name);
        }
      }
      const app = stage.app([Loans]);
      const loans = app.tasks(Loans, { id: odd, headers: { note: odd } });
      expect(await loans.recompute(odd)).to.include({ status: 'enqueued', id: odd, key: odd });
      const other = await app.tasks(Loans).recompute(odd);
      expect(other).to.include({ status: 'discarded', id: odd });
      await app.worker().start();
      await eventually(() => expect(seen).to.deep.equal([[`${odd} loans`.slice(0, 250), odd, odd, odd]]));
      await app.tasks(Loans).report(odd);
      await eventually(() => expect(seen).to.have.length(2));
      await eventually(async () => expect((await app.tasks(Loans).recompute(odd)).status).to.equal('enqueued'));
      await eventually(() => expect(seen).to.have.length(3));
      await stage.removeQueue(queue);
      await stage.removeQueue(`${queue}.dead`);
    });
  }

  it('are refused, before anything is opened, where a broker or Redis would not carry them', async () => {
    const declare = (options: object) =>
      thrownBy(() => {
        class Loans {
          @Task(options)
          async recompute() {}
        }
        return Loans;
      });
    for (const text of ['x'.repeat(256), 'a\u0000b', 'a\nb', '\ud800', ' ', '']) {
      for (const option of ['name', 'queue']) {
        const thrown = declare({ [option]: text });
        expect(thrown).to.have.property('code', 'CONFIG');
        expect(thrown).to.have.property('message').that.contains(`Loans.recompute: @Task option '${option}'`);
      }
      expect(thrownBy(() => createApp({ services: [], queues: { [text]: {} } }))).to.have.property('code', 'CONFIG');
    }
    class Loans {
      @Task({ queue: stage.queue, unique: '<name>' })
      async recompute(name: string) {
        return name;
      }
    }
    const { recompute } = stage.app([Loans]).tasks(Loans);
    for (const key of ['x'.repeat(513), '\ud800']) {
      expect(await recompute(key).catch((error: unknown) => error)).to.have.property('code', 'KEY');
    }
    expect(await recompute('x'.repeat(512))).to.include({ status: 'enqueued' });
    expect(await stage.ready()).to.equal(1);
  });
});
