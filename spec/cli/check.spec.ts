import { expect } from 'chai';
import { fixture, taskWorker } from './task-worker-process.js';

describe('task-worker check', () => {
  it('is content with a sound app, loads no driver for it, and ends though the app keeps a timer', async () => {
    const { code, stdout, stderr } = await taskWorker(['check', '-a', fixture('named')]);
    expect({ code, stdout }).to.deep.equal({ code: 0, stdout: 'ok: 4 tasks on spec\n' });
    expect(stderr).to.equal('loaded commander\n');
  });

  it('says so in JSON as well', async () => {
    const good = await taskWorker(['check', '--json'], { TASK_WORKER_APP: fixture('app'), SPEC_QUEUE: 'loans' });
    expect(JSON.parse(good.stdout)).to.deep.equal({ ok: true, tasks: 4, queues: ['loans'], warnings: [] });
    const bad = await taskWorker(['check', '--json', '-a', fixture('wrong/no-tasks')]);
    expect(bad.code).to.equal(78);
    expect(JSON.parse(bad.stdout)).to.have.property('ok', false);
    expect(JSON.parse(bad.stdout)).to.have.nested.property('error.code', 'CONFIG');
  });

  // F2
  const wrong = {
    option: "Service.run: @Task has no option 'uniqe'; did you mean 'unique'?",
    placeholder: 'no parameter carries <laonId> (parameters: _loanId)',
    'same-name': "two tasks are named 'loans.run': One.run and Other.go; set the name of one",
    'no-services': 'the app has no tasks: list the classes that have them in services of createApp',
    'no-tasks': 'Service has no tasks; decorate a method with @Task()',
    throws: 'throws.js cannot be loaded: RangeError: the settings are missing',
    'no-app': 'exports no app: export it from there (export default createApp({ … }))',
    'two-apps': 'exports 2 apps: make one of them the default export',
  };
  for (const [name, text] of Object.entries(wrong)) {
    it(`ends with 78 and one line that says how to mend it: ${name}`, async () => {
      const { code, stdout, stderr } = await taskWorker(['check', '-a', fixture(`wrong/${name}`)]);
      expect({ code, stdout }).to.deep.equal({ code: 78, stdout: '' });
      expect(stderr).to.contain(text);
      expect(stderr.trimEnd().split('\n')).to.have.length(1);
    });
  }

  it('shows the stack of what an app threw when the log level asks for it', async () => {
    const { stderr } = await taskWorker(['check', '-a', fixture('wrong/throws')], { LOG_LEVEL: 'debug' });
    expect(stderr).to.match(/caused by: RangeError: the settings\nare missing\n\s+at .*throws/);
  });

  it('is no success when the module never finishes loading', async () => {
    expect((await taskWorker(['check', '-a', fixture('wrong/endless')])).code).to.equal(1);
  });

  it('names the path it tried, and the file that is probably meant', async () => {
    const { code, stderr } = await taskWorker(['check', '-a', fixture('app').replace(/\.js$/, '')]);
    expect(code).to.equal(78);
    expect(stderr).to.match(/there is no app at .*fixtures\/app; did you mean .*app\.js\?/);
  });

  it('suggests a module with a similar name, else that the app wants to be compiled', async () => {
    const typo = await taskWorker(['check', '-a', fixture('app').replace(/app\.js$/, 'ap.js')]);
    expect(typo.stderr).to.match(/there is no app at .*fixtures\/ap\.js; did you mean .*fixtures\/app\.js\?/);
    const early = await taskWorker(['check', '-a', 'nowhere/app.js']);
    expect(early.stderr).to.match(/there is no app at .*nowhere\/app\.js; compile it first \(npx tsc\)/);
  });

  it('says of a TypeScript file that it wants to be compiled', async () => {
    const { code, stderr } = await taskWorker(['check', '-a', 'src/app.ts']);
    expect(code).to.equal(78);
    expect(stderr)
      .to.contain('src/app.ts is TypeScript: compile it with tsc and name the .js file')
      .and.contain('tsx drops it');
  });
});
