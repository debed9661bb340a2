// What the private servers take of the machine: each is a process group, whose processes Linux accounts for.
import { readdirSync, readFileSync } from 'node:fs';

/** Of Linux; it has been 100 on every machine of this century. */
const TICKS_PER_SECOND = 100;
const [GROUP, USER, SYSTEM] = [2, 11, 12];

/** The fields of a process behind its name, which may hold anything. */
function statOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** CPU time so far of all processes in these groups, µs. */
function timeOf(groups) {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const own = processes.map(statOf).filter((stat) => stat !== undefined && groups.includes(Number(stat[GROUP])));
  const ticks = own.reduce((sum, stat) => sum + Number(stat[USER]) + Number(stat[SYSTEM]), 0);
  return (ticks / TICKS_PER_SECOND) * 1e6;
}

/** Reads what the private servers have taken since it was made, µs of CPU for each operation; undefined elsewhere. */
export function serversWatch({ rabbit = [], redis = [] } = {}) {
  const kinds = { RabbitMQ: rabbit, Redis: redis };
  const groups = Object.entries(kinds).map(([name, servers]) => [name, servers.flatMap(({ pid }) => pid ?? [])]);
  if (process.platform !== 'linux' || groups.some(([, pids]) => pids.length === 0)) return () => undefined;
  const before = groups.map(([, pids]) => timeOf(pids));
  return (operations) =>
    Object.fromEntries(groups.map(([name, pids], i) => [name, (timeOf(pids) - before[i]) / operations]));
}
