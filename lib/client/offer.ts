import { argumentsText } from '../celery-protocol.js';
import { coalesces } from '../declarations/uniqueness.js';
import { PayloadError } from '../errors.js';
import { LARGEST_OFFER } from '../guard.js';
import type { TaskDefinition } from '../task-definition.js';

/**
 * What a call of a task with `coalesce` hands to whoever holds its key; undefined for other tasks.
 * @throws PayloadError for arguments too large to be kept with a key.
 */
export function offerOf(definition: TaskDefinition, args: readonly unknown[]): string | undefined {
  if (!coalesces(definition)) return undefined;
  const text = argumentsText({ args, kwargs: {} });
  const bytes = Buffer.byteLength(text);
  if (bytes <= LARGEST_OFFER) return text;
  const message = `${bytes} bytes; with onDuplicate 'coalesce' Redis keeps them, and takes ${LARGEST_OFFER}: pass an id instead`;
  throw new PayloadError(`${definition.name}: args: ${message}`, [{ path: 'args', message }], {
    task: definition.name,
  });
}
