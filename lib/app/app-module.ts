import type { App } from './app.js';
import { ConfigError } from '../errors.js';

// Not imported from the app's module: that would load a second copy of everything beside the app's own.
const APP = Symbol.for('solotask.app');

/** What `App[APP]` says of the methods that a binary or a thread calls. */
const PROTOCOL = 1;

const isApp = (value: unknown): value is App => typeof value === 'object' && value !== null && APP in value;

/**
 * The app that a module exports: the default export, or the only named one that is an app. A CommonJS module comes as the
 * default export, and has its own `default` inside. `file` names it in errors.
 *
 * @throws ConfigError when there is none, or one too many.
 */
export function exportedApp(module: object, file: string): App {
  const main: unknown = Reflect.get(module, 'default');
  if (isApp(main)) return known(main, file);
  const values: unknown[] = [...Object.values(module), ...(typeof main === 'object' ? Object.values(main ?? {}) : [])];
  const [app, ...others] = new Set(values.filter(isApp));
  if (app === undefined) {
    const how = 'export it from there (export default createApp({ … })), or name the module that does';
    throw new ConfigError(`${file} exports no app: ${how}`, { file });
  }
  if (others.length > 0) {
    throw new ConfigError(`${file} exports ${others.length + 1} apps: make one of them the default export`, { file });
  }
  return known(app, file);
}

function known(app: App, file: string): App {
  if (Reflect.get(app, APP) === PROTOCOL) return app;
  throw new ConfigError(`${file}: its app is of a version of solotask that this one does not know`, { file });
}
