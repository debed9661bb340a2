import { expect } from 'chai';
import { Task } from '../../lib/index.js';
import { ConfigError, NotATaskError } from '../../lib/errors.js';
import { define, Registry } from '../../lib/declarations/registry.js';

describe('Registry', () => {
  class LoanService {
    @Task({ unique: '<loanId>' }) recompute(loanId: number) {
      return loanId;
    }
    @Task({ name: 'loans.close' }) close() {}
    audit() {}
  }
  class ReportService {
    @Task() report(id: number) {
      return id;
    }
  }

  it('lists the tasks of classes and of instances', () => {
    const registry = new Registry([LoanService, new ReportService()]);
    const names = registry.definitions.map(({ name }) => name);
    expect(names).to.have.members(['LoanService.recompute', 'loans.close', 'ReportService.report']);
    expect(registry.services).to.deep.equal([LoanService, ReportService]);
    expect(registry.lists(ReportService)).to.equal(true);
    expect(registry.find('loans.close')).to.equal(registry.of(LoanService, 'close'));
    expect(registry.find('loans.open')).to.equal(undefined);
    expect(registry.warnings).to.deep.equal([]);
  });

  it('gives frozen definitions', () => {
    const definition = new Registry([LoanService]).of(LoanService, 'recompute');
    const parts = [definition, definition.retry, definition.unique, definition.parameters, definition.parameters[0]];
    expect(parts.every(Object.isFrozen)).to.equal(true);
  });

  it('refuses a method that is no task, and suggests the nearest', () => {
    const registry = new Registry([LoanService]);
    expect(() => registry.of(LoanService, 'recompte')).to.throw(
      NotATaskError,
      "LoanService.recompte is no task; did you mean 'recompute'? (tasks: ",
    );
    for (const method of ['audit', 'constructor', 'toString', '__proto__']) {
      expect(() => registry.of(LoanService, method), method).to.throw(NotATaskError);
    }
    expect(() => registry.of(ReportService, 'report')).to.throw(NotATaskError, 'ReportService is not listed');
  });

  // F2
  it('refuses what is no service', () => {
    class Plain {
      m() {}
    }
    expect(() => new Registry([Plain])).to.throw(ConfigError, 'Plain has no tasks; decorate a method with @Task()');
    expect(() => new Registry([{}])).to.throw(ConfigError, 'neither a class nor an instance');
    for (const entry of [undefined, null, 'LoanService', 5, () => 1, Object.create(null)] as object[]) {
      expect(() => new Registry([entry]), String(typeof entry)).to.throw(ConfigError);
    }
    expect(() => new Registry([LoanService, new LoanService()])).to.throw(ConfigError, 'LoanService is listed twice');
  });

  it('refuses two tasks with one name', () => {
    class Other {
      @Task({ name: 'loans.close' }) stop() {}
    }
    expect(() => new Registry([LoanService, Other])).to.throw(
      ConfigError,
      "two tasks are named 'loans.close': LoanService.close and Other.stop",
    );
  });

  it('wants a name for a task of a class without one', () => {
    class nameless {
      @Task() m() {}
    }
    Object.defineProperty(nameless, 'name', { value: '' });
    expect(() => define(nameless)).to.throw(ConfigError, 'the class has no name');
  });

  it('warns of code that was compiled without decorator metadata', () => {
    class Untyped {
      m(a: unknown) {
        return a;
      }
      n() {}
    }
    for (const name of ['m', 'n'] as const) {
      (Task() as (...place: unknown[]) => void)(Untyped.prototype, name, { value: Untyped.prototype[name] });
    }
    const { warnings } = new Registry([Untyped]);
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.match(/^Untyped\.m: .*not validated: set "emitDecoratorMetadata": true in tsconfig\.json/);
  });
});

describe('inheritance', () => {
  class Base {
    @Task({ unique: '<id>' }) compute(id: number) {
      return id;
    }
    @Task() other() {}
  }

  it('gives the tasks of a base class to the class that is listed', () => {
    class Sub extends Base {
      @Task() own() {}
    }
    const definitions = define(Sub);
    expect(definitions.map(({ name }) => name)).to.have.members(['Sub.compute', 'Sub.other', 'Sub.own']);
    expect(definitions.every(({ service }) => service === Sub)).to.equal(true);
    expect(define(Base).map(({ name }) => name)).to.have.members(['Base.compute', 'Base.other']);
    expect(() => new Registry([Base, Sub])).not.to.throw();
  });

  it('lets an override keep the declaration, or bring its own', () => {
    class Sub extends Base {
      override compute(id: number) {
        return id + 1;
      }
      @Task({ queue: 'slow' }) override other() {}
    }
    const byMethod = new Map(define(Sub).map((definition) => [definition.method, definition]));
    expect(byMethod.get('compute')?.key?.([5])).to.equal('5');
    expect(byMethod.get('other')?.queue).to.equal('slow');
    expect(define(Base).find(({ method }) => method === 'other')?.queue).to.equal('tasks');
  });

  it('names the listed class in the errors of a key', () => {
    class Sub extends Base {}
    expect(() => define(Sub)[0]?.key?.([undefined])).to.throw('Sub.compute: <id> is undefined');
  });
});
