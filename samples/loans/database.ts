import Database from 'libsql';

/**
 * Loans and their events are what the service knows; summaries are what it computed. `runs` and `drops` keep the books
 * of the demo: every run of a task body, and every message that ended without one. `workers` are the processes that
 * were ready to run something, by their ids.
 *
 * `started` and `ended` are ticks of one counter in this file. SQLite lets one writer at a time pass, in whatever
 * process it lives, so two ticks are never equal and their order is the order of the commits: no clock is read.
 */
const schema = `
  CREATE TABLE IF NOT EXISTS loans (
    id INTEGER PRIMARY KEY, principal REAL NOT NULL, rate REAL NOT NULL, months INTEGER NOT NULL
  );
  CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, loan INTEGER NOT NULL REFERENCES loans, month INTEGER NOT NULL,
    kind TEXT NOT NULL, value REAL NOT NULL
  );
  CREATE INDEX IF NOT EXISTS events_of_loan ON events (loan, id);
  CREATE TABLE IF NOT EXISTS summaries (
    loan INTEGER PRIMARY KEY REFERENCES loans, version INTEGER NOT NULL, fence INTEGER NOT NULL, body TEXT NOT NULL
  );
  CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, task TEXT NOT NULL, loan INTEGER NOT NULL, version INTEGER NOT NULL, fence INTEGER NOT NULL,
    worker INTEGER NOT NULL, started INTEGER NOT NULL, ended INTEGER, good INTEGER
  );
  CREATE INDEX IF NOT EXISTS runs_of_loan ON runs (loan, started);
  CREATE TABLE IF NOT EXISTS drops (task TEXT PRIMARY KEY, fate TEXT NOT NULL, running INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS workers (pid INTEGER PRIMARY KEY);
  CREATE TABLE IF NOT EXISTS ticks (last INTEGER NOT NULL);
  INSERT INTO ticks SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM ticks);
`;

/** Opens the database file, and creates its tables when they are missing. Several processes may have it open. */
export function openDatabase(path: string): Database.Database {
  const database = new Database(path, { timeout: 5000 });
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = NORMAL');
  database.exec(`BEGIN IMMEDIATE; ${schema} COMMIT;`);
  return database;
}
