import { Option } from 'commander';
import { UsageError } from './exit.js';
import { textValue } from './option-values.js';

export const option = (flags: string, text: string, parse: (value: string) => unknown): Option =>
  new Option(flags, text).argParser(parse);

/** What every command takes. */
export const appOption = (): Option =>
  option('-a, --app <file>', "the app's compiled module, such as dist/app.js", textValue).env('TASK_WORKER_APP');

/** The app's module. @throws UsageError when nobody named it. */
export function named({ app }: { readonly app?: string | undefined }): string {
  if (app !== undefined && app !== '') return app;
  throw new UsageError('which app? Name its compiled module: -a dist/app.js, or TASK_WORKER_APP');
}
