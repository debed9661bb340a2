import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'libsql';
import { Ledger, type Body, type Enqueued, type Word } from '../simulation/ledger.js';

const TABLES = `
  CREATE TABLE IF NOT EXISTS calls (
    version INTEGER PRIMARY KEY, key TEXT NOT NULL, called REAL NOT NULL,
    returned REAL, status TEXT NOT NULL DEFAULT 'pending', id TEXT NOT NULL DEFAULT '', phase TEXT);
  CREATE TABLE IF NOT EXISTS bodies (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, version INTEGER NOT NULL, id TEXT NOT NULL,
    attempt INTEGER NOT NULL, fence INTEGER NOT NULL, process TEXT NOT NULL, started REAL NOT NULL,
    ended REAL, end TEXT NOT NULL DEFAULT 'open');
  CREATE TABLE IF NOT EXISTS words (at REAL NOT NULL, event TEXT NOT NULL, id TEXT NOT NULL, more TEXT NOT NULL);
`;

/** ms by the machine's monotonic clock, which all of its processes share. */
export const machineTime = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000;

type CallRow = Omit<Enqueued, 'key' | 'returned' | 'phase'> & {
  key: string;
  returned: number | null;
  phase: string | null;
};
type BodyRow = Omit<Body, 'key' | 'ended'> & { key: string; ended: number | null };

/**
 * What one process promised and did: a file of its own, outside of what is tried, that outlives whoever writes it. Of
 * its own, for a process that is stopped in the middle of a write would hold up all others.
 */
export class Books {
  readonly #db: Database.Database;
  readonly #statements = new Map<string, Database.Statement>();
  #version = 0;

  constructor(folder: string, name: string) {
    this.#db = new Database(join(folder, `${name.replaceAll(' ', '-')}.db`));
    this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA busy_timeout = 5000;');
    this.#db.exec(TABLES);
  }

  /** A call begins; its version, which is above those of calls that began earlier, in whichever process. */
  called(key: string): number {
    const called = machineTime();
    // Microseconds, then the process: two of them may call within one.
    const version = Math.max(this.#version + 100, Math.round(called * 1_000) * 100 + (process.pid % 100));
    this.#version = version;
    this.#write('INSERT INTO calls (version, key, called) VALUES (?, ?, ?)', [version, key, called]);
    return version;
  }

  returned(version: number, status: string, id: string, phase: string | null): void {
    const text = 'UPDATE calls SET returned = ?, status = ?, id = ?, phase = ? WHERE version = ?';
    this.#write(text, [machineTime(), status, id, phase, version]);
  }

  /** A body begins; its number. */
  began({ key, version, id, attempt, fence, process }: Omit<Body, 'started' | 'ended' | 'end'>): number {
    const text = 'INSERT INTO bodies (key, version, id, attempt, fence, process, started) VALUES (?, ?, ?, ?, ?, ?, ?)';
    return this.#write(text, [key, version, id, attempt, fence, process, machineTime()]);
  }

  ended(number: number, end: Body['end']): void {
    this.#write('UPDATE bodies SET ended = ?, end = ? WHERE number = ?', [machineTime(), end, number]);
  }

  said({ event, id, more }: Omit<Word, 'at'>): void {
    this.#write('INSERT INTO words VALUES (?, ?, ?, ?)', [machineTime(), event, id, more]);
  }

  rows<T>(table: 'calls' | 'bodies' | 'words'): T[] {
    return this.#db.prepare(`SELECT * FROM ${table}`).all([]) as T[];
  }

  close(): void {
    this.#db.close();
  }

  #write(text: string, values: unknown[]): number {
    const statement = this.#statements.get(text) ?? this.#db.prepare(text);
    this.#statements.set(text, statement);
    return Number(statement.run(values).lastInsertRowid);
  }
}

/** What the crew tells of its processes. */
export interface Fates {
  /** When each process was killed. */
  readonly deaths: ReadonlyMap<string, number>;
  /** Task ids in the dead letters. */
  readonly dead: ReadonlySet<string>;
}

/** The books of all processes, one ledger a key. */
export function readLedgers(folder: string, { deaths, dead }: Fates): Map<string, Ledger> {
  const ledgers = new Map<string, Ledger>();
  const words: Word[] = [];
  const of = (key: string): Ledger => {
    const ledger = ledgers.get(key) ?? new Ledger();
    ledgers.set(key, ledger);
    return ledger;
  };
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.db'))) {
    const books = new Books(folder, file.slice(0, -3));
    for (const row of books.rows<CallRow>('calls')) {
      of(row.key).calls.push({ ...row, returned: row.returned ?? Infinity, phase: row.phase ?? undefined });
    }
    for (const row of books.rows<BodyRow>('bodies')) of(row.key).bodies.push(ended(row, deaths.get(row.process)));
    words.push(...books.rows<Word>('words'));
    books.close();
  }
  const byId = new Map<string, Word[]>();
  for (const word of words) byId.set(word.id, [...(byId.get(word.id) ?? []), word]);
  for (const { calls, bodies, words: own, letters } of ledgers.values()) {
    calls.sort((one, other) => one.version - other.version);
    bodies.sort((one, other) => one.started - other.started);
    for (const id of new Set(calls.map((call) => call.id))) own.push(...(byId.get(id) ?? []));
    for (const { id } of bodies) if (dead.has(id)) letters.push({ id, code: '' });
  }
  return ledgers;
}

/** A body that was open when its process was killed ended there. */
const ended = (row: BodyRow, death: number | undefined): Body =>
  row.ended === null && death !== undefined
    ? { ...row, ended: death, end: 'died' }
    : { ...row, ended: row.ended ?? Infinity };
