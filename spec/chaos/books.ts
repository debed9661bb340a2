import Database from 'libsql';
import type { Body, Enqueued, Word } from '../simulation/ledger.js';
import { Ledger } from '../simulation/ledger.js';

const TABLES = `
  CREATE TABLE IF NOT EXISTS calls (
    version INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, called REAL NOT NULL,
    returned REAL, status TEXT NOT NULL DEFAULT 'pending', id TEXT NOT NULL DEFAULT '', phase TEXT);
  CREATE TABLE IF NOT EXISTS bodies (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, version INTEGER NOT NULL, id TEXT NOT NULL,
    attempt INTEGER NOT NULL, fence INTEGER NOT NULL, process TEXT NOT NULL, started REAL NOT NULL,
    ended REAL, end TEXT NOT NULL DEFAULT 'open');
  CREATE TABLE IF NOT EXISTS words (at REAL NOT NULL, event TEXT NOT NULL, id TEXT NOT NULL, more TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS deaths (process TEXT NOT NULL, at REAL NOT NULL);
`;

/** ms by the machine's monotonic clock, which all of its processes share. */
export const machineTime = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000;

/** The ledger of many processes: a file, outside of what is tried, that outlives whoever writes it. */
export class Books {
  readonly #db: Database.Database;

  constructor(file: string) {
    this.#db = new Database(file);
    this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA busy_timeout = 10000;');
    this.#db.exec(TABLES);
  }

  /** A call begins; its version. */
  called(key: string): number {
    const { lastInsertRowid } = this.#db
      .prepare('INSERT INTO calls (key, called) VALUES (?, ?)')
      .run([key, machineTime()]);
    return Number(lastInsertRowid);
  }

  returned(version: number, status: string, id: string, phase: string | null): void {
    this.#db
      .prepare('UPDATE calls SET returned = ?, status = ?, id = ?, phase = ? WHERE version = ?')
      .run([machineTime(), status, id, phase, version]);
  }

  /** A body begins; its number. */
  began({ key, version, id, attempt, fence, process }: Omit<Body, 'started' | 'ended' | 'end'>): number {
    const { lastInsertRowid } = this.#db
      .prepare('INSERT INTO bodies (key, version, id, attempt, fence, process, started) VALUES (?, ?, ?, ?, ?, ?, ?)')
      .run([key, version, id, attempt, fence, process, machineTime()]);
    return Number(lastInsertRowid);
  }

  ended(number: number, end: Body['end']): void {
    this.#db.prepare('UPDATE bodies SET ended = ?, end = ? WHERE number = ?').run([machineTime(), end, number]);
  }

  said({ event, id, more }: Omit<Word, 'at'>): void {
    this.#db.prepare('INSERT INTO words VALUES (?, ?, ?, ?)').run([machineTime(), event, id, more]);
  }

  /** A process was killed: its bodies ended then. */
  died(process: string): void {
    const at = machineTime();
    this.#db.prepare("UPDATE bodies SET ended = ?, end = 'died' WHERE process = ? AND end = 'open'").run([at, process]);
  }

  count(table: 'calls' | 'bodies', where = '1'): number {
    const row = this.#db.prepare(`SELECT count(*) AS n FROM ${table} WHERE ${where}`).get([]) as { n: number };
    return row.n;
  }

  /** One ledger a key. */
  ledgers(dead: ReadonlySet<string>): Map<string, Ledger> {
    const ledgers = new Map<string, Ledger>();
    const of = (key: string): Ledger => {
      const ledger = ledgers.get(key) ?? new Ledger();
      ledgers.set(key, ledger);
      return ledger;
    };
    for (const row of this.#db.prepare('SELECT * FROM calls ORDER BY version').all([]) as (Enqueued & {
      key: string;
    })[]) {
      of(row.key).calls.push({ ...row, returned: row.returned ?? Infinity, phase: row.phase ?? undefined });
    }
    for (const row of this.#db.prepare('SELECT * FROM bodies ORDER BY number').all([]) as (Body & { key: string })[]) {
      of(row.key).bodies.push({ ...row, ended: row.ended ?? Infinity });
    }
    const words = this.#db.prepare('SELECT * FROM words').all([]) as Word[];
    const byId = new Map<string, Word[]>();
    for (const word of words) byId.set(word.id, [...(byId.get(word.id) ?? []), word]);
    for (const ledger of ledgers.values()) {
      for (const { id } of ledger.calls) ledger.words.push(...(byId.get(id) ?? []));
      for (const id of dead) ledger.dead.add(id);
    }
    return ledgers;
  }

  close(): void {
    this.#db.close();
  }
}
