import { expect } from 'chai';
import { AmbiguousAppError, createApp, NotBoundError, ShouldCompute, Task } from '../../lib/index.js';
import { define } from '../../lib/declarations/registry.js';

const memory = { broker: 'memory:', locks: 'memory:' } as const;

/** A service of its own for each test. */
function reports() {
  class Reports {
    @Task()
    @ShouldCompute('report:<loanId>')
    async report(loanId: number, _reason = 'none') {
      return loanId;
    }
  }
  return Reports;
}

const failure = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

describe('a method under @ShouldCompute', () => {
  it('keeps its name and length, and its parameters are those of the method', () => {
    const Reports = reports();
    const { name, length } = Reflect.get(Reports.prototype, 'report') as Function;
    expect([name, length]).to.deep.equal(['report', 1]);
    expect(define(Reports)[0]?.parameters.map(({ name }) => name)).to.deep.equal(['loanId', '_reason']);
  });

  it('is never run unguarded: without an app that lists the class the call rejects, and says what to do', async () => {
    const Reports = reports();
    const error = await failure(new Reports().report(1));
    expect(error).to.be.instanceOf(NotBoundError);
    expect(error)
      .to.have.property('message')
      .that.contains('Reports.report is guarded by @ShouldCompute')
      .and.contains("createApp({ broker: 'memory:', locks: 'memory:', services: [Reports] })");
  });

  it('cannot choose between two apps', async () => {
    const Reports = reports();
    const apps = [createApp({ ...memory, services: [Reports] }), createApp({ ...memory, services: [Reports] })];
    expect(await failure(new Reports().report(1))).to.be.instanceOf(AmbiguousAppError);
    await apps[0]?.close();
    expect(await new Reports().report(1)).to.equal(1);
    await apps[1]?.close();
  });

  it('gives a promise also where it is not async, and rejects where it throws', async () => {
    class Reports {
      @Task() @ShouldCompute('report') report(bad: boolean): number | undefined {
        if (bad) throw new RangeError('bad');
        return 1;
      }
    }
    const app = createApp({ ...memory, services: [Reports] });
    const given: unknown = new Reports().report(false);
    expect(given).to.be.instanceOf(Promise);
    expect(await given).to.equal(1);
    expect(await failure(Promise.resolve(new Reports().report(true)))).to.be.instanceOf(RangeError);
    await app.close();
  });

  it('is found through the class that an app lists: the instance’s own, or one that it extends', async () => {
    const Reports = reports();
    class Special extends Reports {}
    const app = createApp({ ...memory, services: [Reports] });
    expect(await new Special().report(3)).to.equal(3);
    const detached: unknown = Reflect.get(Reports.prototype, 'report');
    expect(await (detached as (loanId: number) => Promise<number>)(4)).to.equal(4);
    await app.close();
  });
});
