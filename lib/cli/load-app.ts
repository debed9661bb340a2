import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { App } from '../app/app.js';
import { exportedApp } from '../app/app-module.js';
import { ConfigError, toError } from '../errors.js';
import { nearest } from '../nearest.js';
import { EXIT, exitCode, oneLine } from './exit.js';

const LOADER = /(?:^|\s)(?:--import|--require|-r|--loader|--experimental-loader)\b/;

/**
 * Imports the app's module, by its path from the current directory, and gives the app that it exports: the default
 * export, or the only named one that is an app.
 *
 * @throws ConfigError for everything that is wrong with it.
 */
export async function loadApp(file: string): Promise<App> {
  const path = resolve(file);
  refuseTypeScript(file);
  if (!existsSync(path)) throw missing(file, path);
  return exportedApp(await load(file, path), file);
}

function refuseTypeScript(file: string): void {
  const options = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ');
  if (!/\.[cm]?tsx?$/.test(file) || LOADER.test(options)) return;
  throw new ConfigError(
    `${file} is TypeScript: compile it with tsc and name the .js file (or run node with a loader that keeps decorator ` +
      `metadata, such as swc's; plain tsx drops it)`,
    { file },
  );
}

/**
 * The app, when there is anything in it to run.
 * @throws ConfigError for one whose `services` are empty.
 */
export function demandTasks(app: App): App {
  if (app.definitions.length > 0) return app;
  throw new ConfigError('the app has no tasks: list the classes that have them in services of createApp', {
    option: 'services',
  });
}

function missing(file: string, path: string): ConfigError {
  const meant = ['.js', '.mjs', '/app.js', '/index.js'].find((ending) => existsSync(path + ending));
  const right = meant === undefined ? neighbour(file, path) : `${file.replace(/\/$/, '')}${meant}`;
  const advice = right === undefined ? 'compile it first (npx tsc), and name the .js file' : `did you mean ${right}?`;
  return new ConfigError(`there is no app at ${path}; ${advice}`, { path });
}

/** The module beside it whose name is nearest. */
function neighbour(file: string, path: string): string | undefined {
  const folder = dirname(path);
  const modules = existsSync(folder) ? readdirSync(folder).filter((name) => /\.[cm]?js$/.test(name)) : [];
  const name = nearest(basename(path), modules);
  return name && join(dirname(file), name);
}

async function load(file: string, path: string): Promise<object> {
  try {
    return (await import(pathToFileURL(path).href)) as object;
  } catch (thrown) {
    const error = toError(thrown);
    // Our own texts begin with the place; of another error the kind says most ("SyntaxError").
    const kind = exitCode(error) === EXIT.failed ? `${error.name}: ` : '';
    throw new ConfigError(`${file} cannot be loaded: ${kind}${oneLine(error.message)}`, { file }, error);
  }
}
