import { checkTarget, recordName } from '../declarations/declaration.js';
import { ConfigError } from '../errors.js';
import { checkName } from '../options.js';

/** Longer parameter names are no names. */
const MAX_NAME_BYTES = 255;

/**
 * Names a parameter for key templates and for callers that pass arguments by name: where code is minified, a decorator
 * wraps the method, or the parameter is destructured.
 *
 * @throws ConfigError where it stands on no parameter of a method, or the name is empty or taken.
 */
export function Key(name: string): (target: object, method: string | symbol | undefined, index: number) => void {
  return (...place: readonly unknown[]) => {
    const target = checkTarget('@Key', place[0], place[1]);
    if (typeof place[2] !== 'number') throw new ConfigError(`@Key on ${target.where}: it belongs to a parameter`);
    const what = `${target.where}: the name of @Key`;
    recordName(target, place[2], checkName(name, what, MAX_NAME_BYTES));
  };
}
