// Where private servers come from: installed binaries, a Docker engine, or Debian's packages.
import { accessSync, constants, existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from './child.js';
import { dockerWorks, startDockerRabbit, startDockerRedis } from './docker.js';
import { startLocalRabbit, startLocalRedis } from './local.js';

const BEYOND_PATH = [
  '/usr/local/bin',
  '/usr/local/sbin',
  '/usr/bin',
  '/usr/sbin',
  '/opt/homebrew/bin',
  '/opt/homebrew/sbin',
];

function executable(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

const inPath = () => [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), ...BEYOND_PATH];

/** Debian's command in PATH runs only as root or rabbitmq, and changes the user; what it calls lies here. */
function rabbitDirectories() {
  const releases = '/usr/lib/rabbitmq/lib';
  const inside = existsSync(releases) ? readdirSync(releases).map((release) => join(releases, release, 'sbin')) : [];
  return [...inside, '/usr/lib/rabbitmq/bin', '/opt/rabbitmq/sbin'];
}

const first = (directories, name) => directories.map((directory) => join(directory, name)).find(executable);

/** The servers: how each is found on this machine, started, and called in Debian. */
const KINDS = {
  redis: {
    find: () => first(inPath(), 'redis-server'),
    local: startLocalRedis,
    docker: startDockerRedis,
    debian: 'redis-server',
  },
  rabbit: {
    find() {
      const script = first([...rabbitDirectories(), ...inPath()], 'rabbitmq-server');
      return script === undefined ? undefined : realpathSync(script);
    },
    local: startLocalRabbit,
    docker: startDockerRabbit,
    debian: 'rabbitmq-server',
  },
};

// Debian's packages start their servers when they are installed, unless policy-rc.d says no (exit 101). Where the machine
// has such a policy already it is put back.
const INSTALL = `
policy=/usr/sbin/policy-rc.d
saved=$policy.solotask-saved
trap '' HUP INT TERM
trap 'rm -f $policy; [ ! -e $saved ] || mv $saved $policy' EXIT
[ ! -e $policy ] || mv $policy $saved
printf '#!/bin/sh\\nexit 101\\n' > $policy
chmod 755 $policy
export DEBIAN_FRONTEND=noninteractive
apt-get -q -o DPkg::Lock::Timeout=300 update
apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
`;

const canInstall = () => process.getuid?.() === 0 && first(inPath(), 'apt-get') !== undefined;

async function install(packages, reason, say) {
  say(`${packages.join(' and ')} not found: installing with apt-get, as ${reason}\n`);
  const args = ['-c', INSTALL, 'install', ...packages];
  const { ok, output } = await run('/bin/sh', args, { timeout: 900_000 });
  if (!ok) throw new Error(`apt-get install ${packages.join(' ')} failed: ${output.slice(-1500)}`);
}

/** For what has no other source. @throws when this is no Debian, or not root's. */
export async function installDebian(packages, reason, say) {
  if (!canInstall())
    throw new Error(`${reason}: install ${packages.join(' and ')} (apt-get install ${packages.join(' ')})`);
  await install(packages, reason, say);
}

const startInstalled = (kind) => {
  const found = kind.find();
  return found === undefined ? undefined : (options) => kind.local(found, options);
};

const search = async (names, say) => {
  const missing = names.filter((name) => KINDS[name].find() === undefined);
  const docker = missing.length > 0 && (await dockerWorks());
  if (missing.length > 0 && !docker) {
    const packages = missing.map((name) => KINDS[name].debian);
    if (!canInstall()) {
      throw new Error(
        `solotask's specs and demo need real servers: install ${packages.join(' and ')} ` +
          `(apt-get install ${packages.join(' ')}), or start Docker, or set AMQP_URL and REDIS_URL for the demo ` +
          `(SOLOTASK_TEST_AMQP_URL and SOLOTASK_TEST_REDIS_URL for the tests).`,
      );
    }
    await install(packages, 'the specs and the demo run on real servers', say);
  }
  return names.map((name) => startInstalled(KINDS[name]) ?? KINDS[name].docker);
};

let queue = Promise.resolve();

/** For each of `names` ('redis', 'rabbit') a function that starts such a server. One search at a time. */
export function starters(names, say) {
  const found = queue.then(() => search(names, say));
  queue = found.catch(() => {});
  return found;
}
