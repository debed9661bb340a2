// Imports go down only, without cycles; drivers load only from their adapters.
import { posix } from 'node:path';
import ts from 'typescript';
import { place, walk } from './source.js';

/**
 * From the words up to the doors. A name stands for its file and its folder. A file imports from its own layer and those
 * before it; parts of one layer that are separated by `apart` do not know each other.
 */
const WORDS = ['errors', 'message', 'task-definition', 'clock'];
const PURE = [
  'nearest',
  'redis-node',
  'options',
  'duration',
  'json',
  'signals',
  'celery-protocol',
  'fence',
  'gather-writes',
  'soon',
];
const PORTS = ['transport', 'guard', 'result-backend', 'presence', 'notes', 'tracing'];
const LAYERS = [
  { parts: WORDS },
  { parts: [...PURE, ...PORTS] },
  { parts: ['declarations', 'decorators', 'task-context'] },
  { parts: ['transports', 'guards', 'results', 'presences'], apart: true },
  { parts: ['client', 'worker'], apart: true },
  { parts: ['metrics', 'inspector', 'health'] },
  { parts: ['app'] },
  { parts: ['testing', 'cli'], apart: true },
  { parts: ['index'] },
];

/** These load an adapter by its URL scheme, with a dynamic import, so that a driver loads only when it is asked for. */
const LOADERS = ['lib/app/adapters.ts'];
/** Made of memory parts, which have no driver, whatever its users ask for. */
const ON_MEMORY = ['lib/testing.ts', 'lib/testing/'];
const ADAPTERS = ['transports', 'guards', 'results', 'presences'];

/** Where each package may be imported: files whose path begins so. */
const DRIVERS = {
  amqplib: 'lib/transports/rabbitmq',
  ioredis: ['lib/guards/redlock', 'lib/results/redis'],
  redlock: 'lib/guards/redlock',
  commander: 'lib/cli/',
  pino: 'lib/cli/',
  'prom-client': 'lib/metrics',
  '@opentelemetry': 'lib/tracing',
  piscina: 'lib/worker/thread-pool',
};

const partOf = (path) => path.replace(/^lib\//, '').replace(/(\/.*|\.ts)$/, '');

const layerOf = (path) => LAYERS.findIndex(({ parts }) => parts.includes(partOf(path)));

/** The module named by `node`, if it is an import of any kind. */
function specifierOf(node) {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node)) return node.argument.literal;
  if (ts.isExternalModuleReference(node)) return node.expression;
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) return node.arguments[0];
  return undefined;
}

function importsOf(source) {
  const imports = [];
  walk(source.tree, (node) => {
    const specifier = specifierOf(node);
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return;
    const name = specifier.text;
    const to = name.startsWith('.') ? posix.join(posix.dirname(source.path), name).replace(/\.js$/, '.ts') : undefined;
    imports.push({ from: source.path, at: place(source, node), name, to, dynamic: ts.isCallExpression(node) });
  });
  return imports;
}

function wrongDriver({ from, at, name }) {
  const homes = [DRIVERS[name.split('/')[0]] ?? from].flat();
  if (homes.some((home) => from.startsWith(home))) return undefined;
  return `${at} imports ${name}: only ${homes.map((home) => `${home}*`).join(', ')} may`;
}

function wrongAdapter({ from, at, to, dynamic }) {
  const [own, other] = [partOf(from), partOf(to)];
  if (own === other || !ADAPTERS.includes(other) || ADAPTERS.includes(own)) return undefined;
  if (ON_MEMORY.some((home) => from.startsWith(home)) && /\/memory\b/.test(to)) return undefined;
  if (!LOADERS.includes(from)) return `${at} imports the adapter ${to}: only ${LOADERS.join(', ')} knows adapters`;
  return dynamic ? undefined : `${at} imports the adapter ${to} statically: use a dynamic import`;
}

function wrongDirection({ from, at, to }) {
  if (partOf(to) === 'index') return `${at} imports index.ts: nobody in lib/ does`;
  const [own, other] = [layerOf(from), layerOf(to)];
  if (other > own) return `${at} imports ${to}, which is above it`;
  const strangers = other === own && LAYERS[own]?.apart === true && partOf(from) !== partOf(to);
  return strangers ? `${at} imports ${to}: ${partOf(from)}/ and ${partOf(to)}/ do not know each other` : undefined;
}

/** Every cycle once, as the path around it. */
function cycles(graph) {
  const found = [];
  const done = new Set();
  const visit = (path, trail) => {
    const start = trail.indexOf(path);
    if (start >= 0) found.push([...trail.slice(start), path].join(' -> '));
    if (start >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return found.map((cycle) => `import cycle: ${cycle}`);
}

export function checkImports(sources) {
  const homeless = sources.filter(({ path }) => layerOf(path) < 0);
  const imports = sources.flatMap(importsOf);
  const local = imports.filter(({ to }) => to !== undefined && to.startsWith('lib/'));
  const graph = new Map(
    sources.map(({ path }) => [path, local.filter(({ from }) => from === path).map(({ to }) => to)]),
  );
  return [
    ...homeless.map(({ path }) => `${path} has no layer: place it, or add it to LAYERS in tools/check/imports.js`),
    ...imports.map(wrongDriver),
    ...local.map(wrongAdapter),
    ...local.map(wrongDirection),
    ...cycles(graph),
  ].filter((failure) => failure !== undefined);
}
