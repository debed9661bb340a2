// Copies of the build, in which a mutation is applied and taken back. Nothing of the repository is touched.
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { MUTATIONS } from './index.js';

/** What the build looks for beside itself; `solotask` is found by the package.json, so it is a file of its own. */
const LINKED = ['node_modules', 'tools', 'lib', 'docs', 'README.md', 'package-lock.json', 'tsconfig.json'];
const COPIED = ['dist', 'package.json', '.mocharc.json'];

/** The text of a file with the edits of a mutation; an edit that does not fit exactly once is an error. */
function edited(text, { name, file, edits }) {
  return edits.reduce((before, [find, put]) => {
    const parts = before.split(find);
    if (parts.length !== 2) throw new Error(`${name} no longer applies: ${file} has ${parts.length - 1} times ${find}`);
    return parts.join(put);
  }, text);
}

/** Why mutations cannot be applied to the build; nothing when all can. */
export function misfits(mutations = MUTATIONS) {
  return mutations.flatMap((mutation) => {
    try {
      const text = readFileSync(mutation.file, 'utf8');
      return edited(text, mutation) === text ? [`${mutation.name} changes nothing`] : [];
    } catch (error) {
      return [error.message];
    }
  });
}

export class Copy {
  #restore = () => {};

  constructor(folder) {
    this.folder = folder;
    mkdirSync(folder);
    for (const path of COPIED) cpSync(path, join(folder, path), { recursive: true });
    for (const path of LINKED) symlinkSync(resolve(path), join(folder, path));
  }

  mutate(mutation) {
    const path = join(this.folder, mutation.file);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, edited(text, mutation));
    this.#restore = () => writeFileSync(path, text);
  }

  restore() {
    this.#restore();
  }
}
