// The work of a unique task with the simplest lock that anybody would write by hand, on the floor's messages.
import { keyOf, numberOf, Side as Floor } from './floor.js';

/** ms */
const LEASE = 60_000;

const CLAIM = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`;

const RELEASE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`;

export class Side extends Floor {
  #fail;

  async open(args) {
    await super.open(args);
    this.redis.defineCommand('claim', { numberOfKeys: 1, lua: CLAIM });
    this.redis.defineCommand('release', { numberOfKeys: 1, lua: RELEASE });
  }

  work(task) {
    const failure = new Promise((_, reject) => (this.#fail = reject));
    return Promise.race([super.work(task), failure]);
  }

  run(message, channel, tally) {
    void this.#runLocked(message, channel, tally).catch(this.#fail);
  }

  async #runLocked(message, channel, tally) {
    const i = numberOf(message);
    const [key, id] = [keyOf(i), message.properties.messageId];
    if ((await this.redis.claim(key, id, LEASE)) !== 1) throw new Error(`the claim of ${key} was refused`);
    if ((await this.redis.release(key, id)) !== 1) throw new Error(`the release of ${key} was refused`);
    channel.ack(message);
    // Not before: with the last count the channel is closed.
    tally.count(i);
  }
}
