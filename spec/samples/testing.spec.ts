import { expect } from 'chai';
import { join } from 'node:path';
import { ROOT, runNode } from '../support/doc-examples.js';

describe('samples/testing', () => {
  it('is a suite that passes in a mocha of its own, without servers, and ends by itself', async () => {
    const mocha = join(ROOT, 'node_modules/mocha/bin/mocha.js');
    const suite = join(ROOT, 'dist/samples/testing/loan-service.test.js');
    const { code, output } = await runNode([mocha, suite], ROOT, { AMQP_URL: '', REDIS_URL: '' });
    expect(code, output).to.equal(0);
    expect(output).to.match(/^ {2}8 passing/m);
    // It loads mocha and the library once more.
  }).timeout(60_000);
});
