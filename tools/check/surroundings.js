// What the library may not reach for: time and chance (but through the clock), the environment and the console (but in
// the command line).
import ts from 'typescript';
import { place, walk } from './source.js';

const CLOCK = 'lib/clock.ts';
const isCommandLine = (path) => path.startsWith('lib/cli/');

const TIMERS = new Set(['setTimeout', 'setInterval', 'setImmediate']);
const CHANCE = new Set(['randomUUID', 'randomBytes', 'randomInt', 'getRandomValues']);
const TIME_MEMBERS = new Set(['Date.now', 'performance.now', 'Math.random', 'process.hrtime', 'AbortSignal.timeout']);
const TIME_MODULES = /^(node:)?(timers|perf_hooks)(\/|$)/;
const OUTSIDE_MEMBERS = new Set(['process.env', 'process.stdout', 'process.stderr']);

/** `setTimeout` as a name of something else (`socket.setTimeout`, a method called so) is no use of the global one. */
function isOtherName(node) {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent))
    return parent.name === node && parent.expression.getText() !== 'globalThis';
  return parent.name === node && !ts.isImportSpecifier(parent) && !ts.isBindingElement(parent);
}

/** `globalThis.Date.now` is `Date.now`. */
const memberText = (node) =>
  node
    .getText()
    .replace(/\s|\?/g, '')
    .replace(/^globalThis\./, '');

function readsTime(node) {
  if (ts.isIdentifier(node)) return CHANCE.has(node.text) || (TIMERS.has(node.text) && !isOtherName(node));
  if (ts.isPropertyAccessExpression(node)) return TIME_MEMBERS.has(memberText(node));
  if (ts.isNewExpression(node)) return node.expression.getText() === 'Date' && !node.arguments?.length;
  if (ts.isCallExpression(node)) return node.expression.getText() === 'Date';
  return ts.isStringLiteral(node) && TIME_MODULES.test(node.text);
}

function readsOutside(node) {
  if (ts.isIdentifier(node)) return node.text === 'console' && !isOtherName(node);
  return ts.isPropertyAccessExpression(node) && OUTSIDE_MEMBERS.has(memberText(node));
}

export function checkSurroundings(sources) {
  const failures = [];
  for (const source of sources) {
    walk(source.tree, (node) => {
      const what = `${place(source, node)} uses ${node.getText().slice(0, 60)}`;
      if (source.path !== CLOCK && readsTime(node)) failures.push(`${what}: time and chance come through the Clock`);
      if (!isCommandLine(source.path) && readsOutside(node)) failures.push(`${what}: that is for lib/cli/ alone`);
    });
  }
  return failures;
}
