import { App } from 'solotask';
import { createContext } from './app.js';
import { PaymentService } from './loans.js';

const context = await createContext();
// SIGTERM and SIGINT close the context, and with it the app.
context.enableShutdownHooks();

const payments = context.get(PaymentService, { strict: false });
for (const loanId of [42, 42]) console.log(`loan ${loanId} ${await payments.paid(loanId)}`);
await context.get(App, { strict: false }).worker().start();
console.log('ready');
// What keeps a server alive in earnest: an HTTP listener, or the links to RabbitMQ.
setInterval(() => {}, 60_000);
