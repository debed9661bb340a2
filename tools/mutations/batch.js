// What goes to a node as one script is answered step by step: client rules 1 and 7.
import { spec, without } from './provers.js';

const FILE = 'guards/redlock-batch';
const by = (words) => spec(FILE, words);

export const BATCH = [
  {
    rule: '7',
    name: 'a failed step leaves the others of its script alone',
    file: 'dist/lib/guards/scripts/batch.lua',
    edits: [['pcall(', '(function(step) return true, step() end)(']],
    by: [by('no record of ours')],
  },
  without(
    '7',
    'so does a record that nobody can read',
    'guards/redlock-votes',
    [['catch (cause) {\n', 'catch (cause) {\n        throw cause;\n']],
    by('no record of ours'),
  ),
  without(
    '7',
    'each step of a script has its own answer',
    FILE,
    [['answers[index]', 'answers[0]']],
    by('as if it had come alone'),
  ),
  without(
    '7',
    'steps are taken in the order in which they were asked for',
    FILE,
    [['this.#steps.push({', 'this.#steps.unshift({']],
    by('as if it had come alone'),
  ),
  without(
    '7',
    'what a cluster has in different slots is asked for alone',
    FILE,
    [['OTHER_SLOTS.test(error.message)', 'false']],
    by('one of a cluster'),
  ),
  without(
    '7',
    'what is asked before a close is answered',
    FILE,
    [['if (this.#open + this.#steps.length > 0)', 'if (this.#open > 0)']],
    by('all of them before it closes'),
  ),
];
