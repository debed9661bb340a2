import { expect } from 'chai';
import { nearest } from '../lib/nearest.js';

describe('nearest', () => {
  const known = ['unique', 'queue', 'retry', 'acksLate'];

  it('finds the word that was meant', () => {
    expect(nearest('uniqe', known)).to.equal('unique');
    expect(nearest('acks_late', known)).to.equal('acksLate');
    expect(nearest('QUEUE', known)).to.equal('queue');
  });

  it('suggests nothing when nothing is near', () => {
    expect(nearest('concurrency', known)).to.equal(undefined);
    expect(nearest('x', known)).to.equal(undefined);
    expect(nearest('x', [])).to.equal(undefined);
  });
});
