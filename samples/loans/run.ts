import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { App, Receipt } from 'solotask';
import type { Promised } from './audit.js';
import { audit, unsettled } from './audit.js';
import type { Crew } from './crew.js';
import { startEmbeddedCrew, startProcessCrew } from './crew.js';
import type { LoanEvent } from './events.js';
import { termsOf } from './events.js';
import { summaryServer } from './http.js';
import { killWorkers } from './kills.js';
import { LoanService } from './loan-service.js';
import type { LoanStore } from './loan-store.js';
import { loanStore } from './loan-store.js';
import type { DemoOptions } from './options.js';
import { Progress } from './progress.js';
import type { Report } from './report.js';
import { report } from './report.js';
import { streamEvents } from './stream.js';

/** How long nothing at all may happen before what is still open counts as lost, ms; a crashed run is back sooner. */
const PATIENCE = 60_000;

/** Streams the events, waits until all published work has ended, and reads the books. */
export async function run(
  options: DemoOptions,
  events: readonly LoanEvent[],
  say: (text: string) => unknown,
): Promise<{ report: Report; complaints: string[] }> {
  const store = loanStore();
  for (const loanId of new Set(events.map((event) => event.loanId))) store.open(loanId, termsOf(loanId, options.seed));
  const http = summaryServer(store).listen(0, '127.0.0.1');
  await once(http, 'listening');
  say(`Summaries: http://127.0.0.1:${(http.address() as AddressInfo).port}/loans/${events[0]?.loanId}/summary`);
  // Imported only now: the app reads its addresses from the environment.
  const { default: app } = await import('./app.js');
  const crew = options.servers ? await startProcessCrew(2, store) : await startEmbeddedCrew(app);
  const complaints: string[] = [];
  const close = async (): Promise<void> => {
    complaints.push(...(await crew.stop()));
    await app.close();
    http.close();
    http.closeAllConnections();
  };
  const working = work(events, { store, app, crew, options });
  await working.then(close, close);
  const { tally, ...end } = await working;
  const lost = unsettled(store, tally.promised);
  return { report: report(options, tally, audit(store), { ...end, lost }), complaints };
}

type Enqueue = (loanId: number) => Promise<Receipt>;

interface Setting {
  readonly store: LoanStore;
  readonly app: App;
  readonly crew: Crew;
  readonly options: DemoOptions;
}

async function work(events: readonly LoanEvent[], setting: Setting) {
  const { store, app, crew, options } = setting;
  const begin = performance.now();
  const progress = new Progress(events.length);
  const over = new AbortController();
  const killing = killWorkers(options.kill, { store, crew, share: () => progress.share, over: over.signal });
  const streaming = streamEvents(events, store, enqueuer(app, options), () => progress.step()).then(async (tally) => {
    await workDone(setting, tally.promised);
    return tally;
  });
  const tally = await streaming.finally(() => over.abort());
  return { tally, killed: await killing, seconds: Math.round(performance.now() - begin) / 1000 };
}

/** How the recomputation of a loan is enqueued, by recipe and strategy. */
function enqueuer(app: App, { recipe, strategy }: DemoOptions): Enqueue {
  const loans = app.tasks(LoanService);
  if (strategy === 'off') return (loanId) => loans.recomputeAlways(loanId);
  const method = {
    coalesce: { enqueue: 'recompute', worker: 'report' },
    discard: { enqueue: 'recomputeOrDiscard', worker: 'reportOrDiscard' },
  } as const;
  return (loanId) => loans[method[strategy][recipe]](loanId);
}

/** Resolves when every promise is kept and every key is free, or when nothing is to be expected any more. */
async function workDone({ store, app, crew }: Setting, promised: readonly Promised[]): Promise<void> {
  const { locks } = await app.inspector();
  // A worker that was killed after its run and before it let go leaves a message, and a key until its lease ends.
  const open = async (): Promise<number> =>
    unsettled(store, promised) || (await locks.list({ match: 'LoanService.', limit: 1000 })).locks.length;
  let left = await open();
  for (let quietSince = performance.now(); left > 0 && crew.working() && performance.now() - quietSince < PATIENCE;) {
    await pause(100);
    const now = await open();
    if (now !== left) quietSince = performance.now();
    left = now;
  }
}
