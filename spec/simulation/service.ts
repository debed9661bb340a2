import { ShouldCompute, Task } from 'solotask';
import type { Plan } from './plan.js';
import type { Returned } from './ledger.js';

export const QUEUE = 'work';
export const TASK = 'recompute';

/** The task's body: `this` has what the container gave. */
export type Body<Owner> = (owner: Owner, key: number, version: number) => Promise<Returned>;

/** The service of a history; abstract, for its instances come from the container. */
export type Service = abstract new () => { recompute(key: number, version: number): Promise<Returned> };

/** What an older release had. */
export class Before {
  @Task({ name: 'before', queue: QUEUE })
  nothing(): void {}
}

/** The task with the decorators that the plan says. */
export function declareService<Owner>(plan: Plan, body: Body<Owner>): Service {
  const { recipe, onDuplicate, lease, ttl, attempts, retryDelay, onLockError, acksLate, onConnectionLoss } = plan;
  const retry = { attempts, delay: retryDelay, maxDelay: Math.max(retryDelay, 5_000) };
  const keeps = plan.keepFor > 0 ? { keepFor: plan.keepFor } : {};
  // An enqueue cannot wait for its turn; plans with `requeue` are of the worker's side alone.
  const decided = onDuplicate === 'requeue' ? 'discard' : onDuplicate;
  const unique = { key: 'loan:<key>', onDuplicate: decided, lease, ttl, onLockError, ...keeps };
  const options = { name: TASK, queue: QUEUE, retry, acksLate, onConnectionLoss, long: plan.long > 0 && plan.long };
  class Loans {
    declare readonly owner: Owner;
    recompute(key: number, version: number): Promise<Returned> {
      return body(this.owner, key, version);
    }
  }
  const decorators = {
    enqueue: [Task({ ...options, unique })],
    worker: [Task(options), ShouldCompute({ key: 'loan:<key>', onDuplicate, lease, ...keeps })],
    both: [Task({ ...options, unique }), ShouldCompute({ onDuplicate, lease, ...keeps })],
  }[recipe];
  const method = Object.getOwnPropertyDescriptor(Loans.prototype, 'recompute') as PropertyDescriptor;
  for (const decorate of decorators) decorate(Loans.prototype, 'recompute', method as never);
  return Loans;
}
