import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const TSC = join(ROOT, 'node_modules/@typescript/native/bin/tsc');
const BLOCK = /^```(\w+)\n(.*?)^```$/gms;
const NAMED = /^\/\/ (\S+\.ts)\n/;

/** A block of code in a document. */
export interface Example {
  readonly language: string;
  readonly text: string;
  /** The file that its first line names, as in `// src/app.ts`. */
  readonly path: string | undefined;
}

export const examplesOf = (markdown: string): readonly Example[] =>
  [...markdown.matchAll(BLOCK)].map(([, language = '', text = '']) => ({
    language,
    text,
    path: NAMED.exec(text)?.[1],
  }));

/** The anchors that GitHub gives to the headings of a page. */
export const anchorsOf = (markdown: string): string[] =>
  [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );

/** Writes a file, and the folders above it. */
export function write(folder: string, path: string, text: string): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** How a process ended, and all that it said. */
export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** A node process in a folder. */
export class NodeProcess {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  #output = '';

  constructor(args: readonly string[], folder: string, env: NodeJS.ProcessEnv = {}) {
    this.#child = spawn(process.execPath, args, { cwd: folder, env: { ...process.env, ...env } });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (data: Buffer) => (this.#output += data.toString()));
    }
    this.ended = once(this.#child, 'close').then(([code]) => ({ code: code as number | null, output: this.#output }));
  }

  get output(): string {
    return this.#output;
  }

  /** Signals, and waits for the end. */
  end(signal: NodeJS.Signals): Promise<Ended> {
    this.#child.kill(signal);
    return this.ended;
  }
}

/** Runs node to its end. */
export const runNode = (args: readonly string[], folder: string, env?: NodeJS.ProcessEnv): Promise<Ended> =>
  new NodeProcess(args, folder, env).ended;

/** Runs the compiler on the tsconfig.json of a folder. */
export const compile = (folder: string): Promise<Ended> => runNode([TSC, '-p', '.'], folder);
