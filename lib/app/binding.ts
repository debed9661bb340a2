import { AmbiguousAppError, NotBoundError } from '../errors.js';
import { currentApp } from '../task-context.js';
import type { Class } from '../task-definition.js';

/** What the free `tasks()` needs of an app. */
export interface Bindable {
  lists(service: Class): boolean;
}

const live = new Set<Bindable>();
/** Those of them that go first. */
const preferred = new Set<Bindable>();

/** From its creation an app can be found by the classes it lists. */
export const bind = (app: Bindable): void => void live.add(app);
/** Where a test app lists a class, no other is asked: a test must not enqueue where production does. */
export const prefer = (app: Bindable): void => void preferred.add(app);
export const unbind = (app: Bindable): void => {
  live.delete(app);
  preferred.delete(app);
};

/**
 * The app that a class belongs to: that of the current run if it lists the class, else the only one that does, test
 * apps first.
 * @throws NotBoundError, AmbiguousAppError
 */
export function appOf(service: Class): Bindable {
  const current = currentApp() as Bindable | undefined;
  if (current?.lists(service) === true) return current;
  const rehearsed = [...preferred].filter((app) => app.lists(service));
  const listing = rehearsed.length > 0 ? rehearsed : [...live].filter((app) => app.lists(service));
  const data = { service: service.name };
  if (listing.length > 1) {
    throw new AmbiguousAppError(`${listing.length} apps list ${service.name}: write app.tasks(${service.name})`, data);
  }
  if (listing[0] !== undefined) return listing[0];
  const text = `no app lists ${service.name}: add it to the services of createApp, and load that module before the first call`;
  throw new NotBoundError(text, data);
}
