import { pause, type Clock } from '../clock.js';

/** How often Redis is asked again when it does not answer: for a good second. */
const TRIES = 5;

/** Asks again while nobody knows: a Redis that reconnects is back in a moment. For what is safe to repeat. */
export function insist<A>(clock: Clock, ask: () => Promise<A | 'unknown'>): Promise<A | 'unknown'> {
  return ask().then((answer) => (answer === 'unknown' ? again(clock, ask) : answer));
}

async function again<A>(clock: Clock, ask: () => Promise<A | 'unknown'>): Promise<A | 'unknown'> {
  let answer: A | 'unknown' = 'unknown';
  for (let tries = 0; answer === 'unknown' && tries < TRIES; tries++) {
    await pause(clock, 50 * 2 ** tries);
    answer = await ask();
  }
  return answer;
}
