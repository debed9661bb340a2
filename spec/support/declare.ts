import { define } from '../../lib/declarations/registry.js';
import type { Class, TaskDefinition } from '../../lib/task-definition.js';

/** What an error says about itself, for specs that look at several properties. */
export function thrownBy(act: () => unknown): Error & { code?: string; data?: Record<string, unknown> } {
  try {
    act();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

/** The one task of a class, or the one of that method. */
export function only(service: Class, method?: string): TaskDefinition {
  const found = define(service).filter((definition) => method === undefined || definition.method === method);
  if (found.length !== 1) throw new Error(`${found.length} tasks`);
  return found[0]!;
}
