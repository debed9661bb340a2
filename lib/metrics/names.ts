import type { TaskDefinition } from '../task-definition.js';

/** Names besides those of the app's own tasks and queues that get series of their own. */
const MOST = 200;

/** Everything beyond. */
const OTHER = 'other';

/**
 * Keeps the number of series within bounds: whoever writes into our queues chooses the task's name, and each call may
 * name another queue.
 */
export class Names {
  readonly #tasks: Set<string>;
  readonly #queues: Set<string>;
  readonly #most: number;

  constructor(definitions: readonly TaskDefinition[]) {
    this.#tasks = new Set(definitions.map(({ name }) => name));
    this.#queues = new Set(definitions.map(({ queue }) => queue));
    this.#most = MOST + definitions.length;
  }

  of({ task, queue }: { readonly task: string; readonly queue: string }): { task: string; queue: string } {
    return { task: this.task(task), queue: this.#bounded(this.#queues, queue) };
  }

  task(task: string): string {
    return this.#bounded(this.#tasks, task);
  }

  #bounded(known: Set<string>, name: string): string {
    if (known.has(name)) return name;
    if (known.size >= this.#most) return OTHER;
    known.add(name);
    return name;
  }
}
