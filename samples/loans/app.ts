import 'reflect-metadata';
import { createApp } from 'solotask';
import { LoanService } from './loan-service.js';
import { loanStore } from './loan-store.js';

/** The app that the demo enqueues with and that `task-worker` runs; the environment says on which servers. */
const app = createApp({
  broker: process.env.AMQP_URL,
  locks: process.env.REDIS_URL,
  services: [LoanService],
});

app.on('task:discarded', ({ id, side, reason }) => {
  if (side === 'worker') loanStore().drop(id, 'discarded', reason === 'running');
});
app.on('task:coalesced', ({ id, side, holder }) => {
  if (side === 'worker') loanStore().drop(id, 'coalesced', holder.phase === 'running');
});
app.on('task:dead', ({ id }) => loanStore().drop(id, 'dead', false));
app.on('worker:ready', () => loanStore().hire(process.pid));

export default app;
