import { AmbiguousAppError, NotBoundError } from '../errors.js';
import { currentApp } from '../task-context.js';
import type { Class } from '../task-definition.js';

/** What the free `tasks()` needs of an app. */
export interface Bindable {
  lists(service: Class): boolean;
}

const live = new Set<Bindable>();

/** From its creation an app can be found by the classes it lists. */
export const bind = (app: Bindable): void => void live.add(app);
export const unbind = (app: Bindable): void => void live.delete(app);

/**
 * The app that a class belongs to: that of the current run if it lists the class, else the only one that does.
 * @throws NotBoundError, AmbiguousAppError
 */
export function appOf(service: Class): Bindable {
  const current = currentApp() as Bindable | undefined;
  if (current?.lists(service) === true) return current;
  const listing = [...live].filter((app) => app.lists(service));
  const data = { service: service.name };
  if (listing.length > 1) {
    throw new AmbiguousAppError(`${listing.length} apps list ${service.name}: write app.tasks(${service.name})`, data);
  }
  if (listing[0] !== undefined) return listing[0];
  const text = `no app lists ${service.name}: add it to the services of createApp, and load that module before the first call`;
  throw new NotBoundError(text, data);
}
