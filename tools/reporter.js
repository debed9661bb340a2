// Mocha's `spec` reporter, and then one plain line alone that machines can read.
import Mocha from 'mocha';

export default class PlainCount extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once(Mocha.Runner.constants.EVENT_RUN_END, () => {
      process.stdout.write(`${this.stats.passes} passed, ${this.stats.failures} failed\n`);
    });
  }
}
