import 'reflect-metadata';
import { container } from 'tsyringe';
import app from './app.js';
import { Payments } from './loans.js';

const done = new Promise<void>((resolve) => app.on('task:succeeded', () => resolve()));

await app.connect();
const payments = container.resolve(Payments);
for (const loanId of [42, 42]) console.log(`loan ${loanId} ${await payments.paid(loanId)}`);
await app.worker().start();
await done;
await app.close();
