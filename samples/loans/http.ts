import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { LoanStore } from './loan-store.js';

/** Serves `GET /loans/<id>/summary` directly from the summaries table: nothing is computed while a reader waits. */
export function summaryServer(store: LoanStore): Server {
  return createServer((request, response) => {
    const loanId = /^\/loans\/(\d{1,9})\/summary$/.exec(request.url ?? '')?.[1];
    const summary = loanId === undefined || request.method !== 'GET' ? undefined : store.summary(Number(loanId));
    response.writeHead(summary === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(summary ?? '{"error":"no such summary"}');
  });
}
