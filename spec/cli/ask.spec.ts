import { expect } from 'chai';
import { PassThrough } from 'node:stream';
import { agreed } from '../../lib/cli/ask.js';
import { UsageError } from '../../lib/cli/exit.js';

describe('a question before something is lost', () => {
  const asked = async (answer: string): Promise<{ yes: boolean; text: string }> => {
    const input = Object.assign(new PassThrough(), { isTTY: true });
    const output = new PassThrough();
    input.write(`${answer}\n`);
    const yes = await agreed('Drop it?', false, { input, output });
    return { yes, text: String(output.read()) };
  };

  it('is answered at the terminal; anything but a yes is a no', async () => {
    for (const answer of ['y', 'Yes', ' YES ']) expect((await asked(answer)).yes, answer).to.equal(true);
    for (const answer of ['', 'n', 'yesterday']) expect((await asked(answer)).yes, answer).to.equal(false);
    expect((await asked('n')).text).to.contain('Drop it? [y/N] ');
  });

  it('is a mistake where nobody can answer, unless the answer was given before', async () => {
    const nobody = { input: new PassThrough(), output: new PassThrough() };
    expect(await agreed('Drop it?', true, nobody)).to.equal(true);
    expect(await agreed('Drop it?', false, nobody).catch((error: unknown) => error)).to.be.instanceOf(UsageError);
  });

  it('that nobody answers is a no', async () => {
    const input = Object.assign(new PassThrough(), { isTTY: true });
    input.end();
    expect(await agreed('Drop it?', false, { input, output: new PassThrough() })).to.equal(false);
  });
});
