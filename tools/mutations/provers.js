// What may notice that a rule is missing: simulated histories, and specs by file and name.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** A mutation may make something wait for ever. */
const PATIENCE = 90_000;

/** Runs node; `failed` as soon as `wrong` matches what it prints, or when it does not end. */
async function run(args, { folder, env, wrong }) {
  const child = spawn(process.execPath, args, { cwd: folder, env: { ...process.env, ...env } });
  let output = '';
  let failed = false;
  const end = () => {
    failed = true;
    child.kill('SIGKILL');
  };
  const timer = setTimeout(end, PATIENCE);
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
      if (!failed && wrong.test(output)) end();
    });
  }
  const [code] = await once(child, 'close');
  clearTimeout(timer);
  return { failed: failed || code !== 0, output };
}

/** Histories of the real client and worker, until the first that breaks a promise. */
function simulation(name, seeds, ...more) {
  const args = ['dist/spec/simulation/main.js', '--seeds', String(seeds), ...more];
  return { name, run: (folder, env) => run(args, { folder, env, wrong: /^seed \d+: /m }) };
}

export const SIMULATION = simulation('simulation', 2_000);
/** All of them with `discard`, which only a third of the others have. */
export const SIMULATED_DISCARD = simulation('simulation --discard', 2_000, '--discard');

/** With claims that are executed after their deliveries were dropped. */
export const SIMULATED_LATE = simulation('simulation --late', 2_000, '--late');

/** With tasks that are all long. */
export const SIMULATED_LONG = simulation('simulation --long', 2_000, '--long');

/** Specs whose names match, of one file or more, until the first that fails. */
export function spec(files, grep, label) {
  const paths = [files].flat().map((file) => `dist/spec/${file}.spec.js`);
  const args = [
    'node_modules/mocha/bin/mocha.js',
    '--bail',
    '--exit',
    '--timeout',
    '10000',
    ...paths,
    ...(grep ? ['--grep', grep] : []),
  ];
  const name = label ?? `${[files].flat().join(', ')}${grep ? `: ${grep}` : ''}`;
  return { name, run: (folder, env) => run(args, { folder, env, wrong: /^\s+[1-9]\d* failing$/m }) };
}

/** Of an integration spec what plays on memory parts; `words`: of its name. */
export const integration = (file, words) =>
  spec(`integration/${file}`, `on memory parts.*${words}`, `integration/${file}: ${words}`);

const GUARD_SPECS = ['holder', 'running', 'publishing', 'newest', 'expiry', 'waiting'].map(
  (name) => `conformance/guard-${name}`,
);

export const MEMORY_GUARD = spec(GUARD_SPECS, 'guard: memory', 'conformance, memory');
export const REDIS_GUARD = spec(GUARD_SPECS, 'guard: redlock', 'conformance, Redis');
export const EQUIVALENCE = spec('conformance/guard-equivalence', undefined, 'equivalence of both guards');

/** The specs of chosen moments at which Redis or the broker fails. */
export const faults = (words) => spec('integration/faults', words);

/** A mutation of a module of lib/. */
export const without = (rule, name, path, edits, ...by) => ({ rule, name, file: `dist/lib/${path}.js`, edits, by });
