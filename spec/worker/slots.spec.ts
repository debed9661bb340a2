import { expect } from 'chai';
import { Slots } from '../../lib/worker/slots.js';

describe('the places of a worker', () => {
  it('are given in turns to those who wait in different lines, and in order within one', async () => {
    const slots = new Slots(1);
    const [long, short] = [slots.line(), slots.line()];
    const order: string[] = [];
    const wait = (line: typeof long, name: string): void => {
      void line.take()?.then(() => order.push(name));
    };
    expect(long.take()).to.equal(undefined);
    for (const name of ['a1', 'a2', 'a3', 'a4']) wait(long, name);
    for (const name of ['b1', 'b2']) wait(short, name);
    for (let given = 0; given < 6; given++) {
      long.give();
      await Promise.resolve();
    }
    expect(order).to.deep.equal(['a1', 'b1', 'a2', 'b2', 'a3', 'a4']);
    long.give();
    expect(short.take()).to.equal(undefined);
    expect(short.take()).to.be.instanceOf(Promise);
  });

  it('are there for everybody once they are open', async () => {
    const slots = new Slots(1);
    const [one, other] = [slots.line(), slots.line()];
    expect(one.take()).to.equal(undefined);
    const waiting = [one.take(), other.take()].map((place) => Promise.resolve(place));
    slots.open();
    for (const turn of waiting) await turn;
    expect(other.take()).to.equal(undefined);
  });
});
