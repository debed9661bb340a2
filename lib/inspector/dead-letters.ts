import { Reservation } from '../client/reservation.js';
import { revive } from '../celery-protocol.js';
import { DEFAULT_POLICY, PUBLISH_WINDOW, recordName } from '../declarations/uniqueness.js';
import { BrokerUnavailableError, ConfigError, PublishOutcomeUnknownError, toError } from '../errors.js';
import type { Identity, Phase } from '../guard.js';
import type { MessageHead } from '../message.js';
import { deadQueue, type Delivery, type Pull } from '../transport.js';
import { headOf, viewOf, type DeadLetterView } from './dead-letter.js';
import type { InspectorParts } from './parts.js';

/** Which dead letters: `'all'`, or the ids (or beginnings of ids, eight characters at least) of some. */
export type Choice = 'all' | readonly string[];

/** What became of one dead letter. All but `retried` and `dropped` left it where it was. */
export type DeadLetterEnd =
  | { readonly end: 'dropped'; readonly letter: DeadLetterView }
  /** `id`: the new one, whose `parent_id` is the old one. */
  | { readonly end: 'retried'; readonly letter: DeadLetterView; readonly id: string }
  /** Another task has its key. */
  | {
      readonly end: 'held';
      readonly letter: DeadLetterView;
      readonly holder: { readonly id: string; readonly phase: Phase };
    }
  | { readonly end: 'unreadable'; readonly letter: DeadLetterView }
  | { readonly end: 'failed'; readonly letter: DeadLetterView; readonly error: Error };

/** Told of each end as it comes: thousands take a while. */
export type Told = (end: DeadLetterEnd) => void;

/** A dead letter in hand. */
interface Taken {
  readonly letter: DeadLetterView;
  readonly delivery: Delivery;
}

/** A publish must be decided while its window is open. */
const LONGEST_PUBLISH = PUBLISH_WINDOW - 1_000;

/** What tasks left behind that nothing more could be done for. */
export class DeadLetters {
  readonly #parts: InspectorParts;
  readonly #reservation: Reservation;

  constructor(parts: InspectorParts) {
    this.#parts = parts;
    this.#reservation = new Reservation(parts);
  }

  /**
   * The first `limit` dead letters of these queues, and how many there are. They are taken and put back: from then on they
   * are flagged as redelivered, and a quorum queue may order them anew.
   */
  async list(queues: readonly string[], limit: number): Promise<{ letters: readonly DeadLetterView[]; total: number }> {
    const letters: DeadLetterView[] = [];
    let total = 0;
    for (const queue of queues) {
      total += (await this.#parts.transport.figures(deadQueue(queue))).ready;
      if (letters.length >= limit) continue;
      await this.#each(queue, async ({ frame }) => letters.push(viewOf(frame, queue)) < limit);
    }
    return { letters, total };
  }

  /**
   * The one with this id, or an id that begins so. Taken and put back, as by `list`.
   * @throws ConfigError when there is none, or the beginning fits several.
   */
  async show(queues: readonly string[], id: string): Promise<DeadLetterView> {
    return this.#withChosen(queues, [id], async ([first]) => (first as Taken).letter);
  }

  /** Takes them off their queues for good. @throws ConfigError as `show`, before anything is dropped. */
  drop(queues: readonly string[], which: Choice, tell: Told): Promise<void> {
    return this.#settle(queues, which, tell, async (letter) => ({ end: 'dropped', letter }));
  }

  /**
   * Publishes each under a new id to the queue it came from, through the lock as an enqueue does, and takes it off the
   * dead letters after the broker's confirm. A crash in between leaves it in both.
   * @throws ConfigError as `show`, before anything is published.
   */
  retry(queues: readonly string[], which: Choice, tell: Told): Promise<void> {
    return this.#settle(queues, which, tell, (letter, delivery) => this.#retry(letter, delivery));
  }

  async #settle(
    queues: readonly string[],
    which: Choice,
    tell: Told,
    act: (letter: DeadLetterView, delivery: Delivery) => Promise<DeadLetterEnd>,
  ): Promise<void> {
    const use = async ({ letter, delivery }: Taken): Promise<true> => {
      const end = await act(letter, delivery);
      if (end.end === 'retried' || end.end === 'dropped') acked(delivery);
      tell(end);
      return true;
    };
    if (which === 'all') {
      for (const queue of queues) {
        await this.#each(queue, (delivery) => use({ letter: viewOf(delivery.frame, queue), delivery }));
      }
    } else {
      await this.#withChosen(queues, which, async (found) => {
        for (const taken of found) await use(taken);
      });
    }
  }

  /** Looks at all of them first, so that a beginning that fits two changes nothing. They go back when `use` has ended. */
  async #withChosen<T>(
    queues: readonly string[],
    ids: readonly string[],
    use: (found: readonly Taken[]) => Promise<T>,
  ): Promise<T> {
    const found: Taken[] = [];
    const pulls: Pull[] = [];
    try {
      for (const queue of queues) {
        const pull = await this.#parts.transport.pull(deadQueue(queue));
        pulls.push(pull);
        await walk(pull, Infinity, async (delivery) => {
          const letter = viewOf(delivery.frame, queue);
          if (ids.some((id) => letter.id?.startsWith(id) === true)) found.push({ letter, delivery });
          return true;
        });
      }
      for (const id of ids) checkOne(id, found, queues);
      return await use(found);
    } finally {
      await Promise.all(pulls.map((pull) => pull.close()));
    }
  }

  /** As many as there are now: what dies meanwhile is for the next time. Stops when `use` says false. */
  async #each(queue: string, use: (delivery: Delivery) => Promise<boolean>): Promise<void> {
    const name = deadQueue(queue);
    const { ready } = await this.#parts.transport.figures(name);
    if (ready === 0) return;
    const pull = await this.#parts.transport.pull(name);
    try {
      await walk(pull, ready, use);
    } finally {
      await pull.close();
    }
  }

  async #retry(letter: DeadLetterView, delivery: Delivery): Promise<DeadLetterEnd> {
    const head = headOf(delivery.frame);
    if (head === undefined) return { end: 'unreadable', letter };
    const id = this.#parts.clock.uuid();
    try {
      if (head.lock?.mode !== 'enqueue') {
        await this.#publish(letter.queue, delivery, head, { id, fence: undefined });
        return { end: 'retried', letter, id };
      }
      return await this.#throughTheLock(letter, delivery, head, id);
    } catch (thrown) {
      return { end: 'failed', letter, error: toError(thrown) };
    }
  }

  async #throughTheLock(
    letter: DeadLetterView,
    delivery: Delivery,
    head: MessageHead,
    id: string,
  ): Promise<DeadLetterEnd> {
    const { guard, clock, namespace, publishTimeout, registry } = this.#parts;
    const record = recordName(namespace, head.task, head.lock?.key ?? '');
    const deadline = clock.monotonic() + publishTimeout;
    const reserved = await this.#reservation.reserve({ record, owner: id, deadline, expires: undefined, hasty: false });
    if ('holder' in reserved) {
      const { owner, phase } = reserved.holder;
      return { end: 'held', letter, holder: { id: owner, phase } };
    }
    await this.#publishReserved(letter, delivery, head, record, reserved.identity);
    const { ttl } = registry.find(head.task)?.unique ?? DEFAULT_POLICY;
    await guard.confirm(record, reserved.identity, ttl);
    return { end: 'retried', letter, id };
  }

  /** The key is let go when there is certainly no message. */
  async #publishReserved(
    letter: DeadLetterView,
    delivery: Delivery,
    head: MessageHead,
    record: string,
    { owner: id, fence }: Identity,
  ): Promise<void> {
    try {
      await this.#publish(letter.queue, delivery, head, { id, fence });
    } catch (error) {
      if (!(error instanceof PublishOutcomeUnknownError)) await this.#parts.guard.abandon(record, { owner: id, fence });
      throw error;
    }
  }

  #publish(
    queue: string,
    { frame }: Delivery,
    head: MessageHead,
    { id, fence }: { id: string; fence: number | undefined },
  ): Promise<void> {
    const { clock, transport, publishTimeout } = this.#parts;
    const lock = head.lock && { ...head.lock, fence };
    const fresh = revive(frame, { id, parentId: head.id, at: clock.now(), lock });
    return transport.publish({ queue, frame: fresh, timeout: Math.min(publishTimeout, LONGEST_PUBLISH) });
  }
}

/** A letter that comes back was neither dropped nor, as far as anybody can see here, retried. */
function acked(delivery: Delivery): void {
  if (delivery.ack() === 'settled') return;
  throw new BrokerUnavailableError(`the link to '${delivery.queue}' was lost`, { queue: delivery.queue });
}

async function walk(pull: Pull, most: number, use: (delivery: Delivery) => Promise<boolean>): Promise<void> {
  for (let count = 0; count < most; count++) {
    const delivery = await pull.next();
    if (delivery === undefined || !(await use(delivery))) return;
  }
}

function checkOne(id: string, found: readonly Taken[], queues: readonly string[]): void {
  const fitting = new Set(found.map(({ letter }) => letter.id).filter((other) => other?.startsWith(id)));
  if (fitting.size === 1) return;
  const where = queues.join(', ');
  const text =
    fitting.size === 0 ? `there is no dead letter ${id} of ${where}` : `several dead letters begin with ${id}`;
  throw new ConfigError(text, { id, queues });
}
