// Small files, small functions.
import ts from 'typescript';
import { lineOf, place, walk } from './source.js';

const FILE = { median: 120, most: 400, what: 'files' };
const FUNCTION = { median: 8, most: 60, what: 'functions' };

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor((numbers.length - 1) / 2)] ?? 0;

const linesOf = (text) => text.split('\n').length - (text.endsWith('\n') ? 1 : 0);

function functionsOf(source) {
  const found = [];
  walk(source.tree, (node) => {
    if (!ts.isFunctionLike(node) || node.body === undefined) return;
    const first = lineOf(source.tree, node.getStart(source.tree));
    found.push({ at: place(source, node), lines: lineOf(source.tree, node.end) - first + 1 });
  });
  return found;
}

function overBudget(measured, { median: middle, most, what }) {
  const long = measured.filter(({ lines }) => lines > most);
  const actual = median(measured.map(({ lines }) => lines));
  const failures = long.map(({ at, lines }) => `${at} has ${lines} lines; ${what} have at most ${most}`);
  return actual > middle ? [...failures, `the median of ${what} is ${actual} lines, above ${middle}`] : failures;
}

export function checkBudgets(sources) {
  const files = sources.map(({ path, text }) => ({ at: path, lines: linesOf(text) }));
  return [...overBudget(files, FILE), ...overBudget(sources.flatMap(functionsOf), FUNCTION)];
}
