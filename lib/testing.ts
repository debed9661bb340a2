import { APP, App } from './app/app.js';
import type { AppOptions } from './app/app-options.js';
import { REHEARSE } from './app/rehearsal.js';
import { ConfigError } from './errors.js';
import { createMemoryGuard, MemoryLocks } from './guards/memory.js';
import type { Frame } from './message.js';
import type { QueueDeclaration } from './transport.js';
import { checkFlag, checkOptions } from './options.js';
import { Crew } from './testing/crew.js';
import { Ledger } from './testing/ledger.js';
import { makeTools, type TestTools } from './testing/test-app.js';
import { TestClock } from './testing/test-clock.js';
import { createMemoryTransport, MemoryBroker } from './transports/memory.js';

export type { DeadCall, DiscardedCall, EnqueuedCall } from './testing/ledger.js';
export type { DrainOptions, DrainSummary, TestTools } from './testing/test-app.js';

/** An app on memory parts, with what a test needs. */
export type TestApp = App & TestTools;

/** Options of `testApp`. */
export interface TestAppOptions {
  /**
   * An enqueue runs its task before it resolves, retries included, and rejects with what the task died of. The message
   * still passes through its bytes, the broker and the lock. What has a delay waits for `drain()`.
   * @default false
   */
  readonly inline?: boolean;
}

/** The apps that play on memory parts, and how to set their mode. */
const rehearsed = new WeakMap<App, (inline: boolean) => void>();

/** The memory broker, which tells of each message that it takes. */
class WatchedBroker extends MemoryBroker {
  readonly foreign = new Set<string>();
  stored: (queue: string, frame: Frame) => void = () => {};

  override put(name: string, frame: Frame): 'stored' | 'unroutable' | 'refused' {
    const outcome = super.put(name, frame);
    if (outcome === 'stored') this.stored(name, frame);
    return outcome;
  }

  /** Somebody else's queue, which a real broker would have. One that a task of the app is on is worked on all the same. */
  override declare(declaration: QueueDeclaration): void {
    const { name, passive, deadLetters } = declaration;
    if (passive === true && deadLetters !== true && this.queue(name) === undefined) this.foreign.add(name);
    super.declare({ ...declaration, passive: false });
  }

  override hold(...held: Parameters<MemoryBroker['hold']>): void {
    super.hold(...held);
    const [queue, frame] = held;
    this.stored(queue, frame);
  }
}

/**
 * An app for tests: on memory parts, whatever its code and the environment say of broker and locks, and without a
 * worker but during `drain()`. Where it lists a class, the free `tasks(Class)` enqueues here.
 * @param source options as for `createApp`, or an app that was not used yet: then that very app is returned, now on
 * memory parts. Given again it is reset.
 * @throws ConfigError for wrong options, and for an app that is in use.
 */
export function testApp(source: App | AppOptions, options: TestAppOptions = {}): TestApp {
  const { inline } = checkOptions(options, ['inline'], 'testApp()');
  const app = appFrom(source);
  const mode = checkFlag(inline, 'inline of testApp()', false);
  const known = rehearsed.get(app);
  if (known !== undefined) (app as TestApp).reset();
  (known ?? rehearse(app))(mode);
  return app as TestApp;
}

function appFrom(source: App | AppOptions): App {
  if (source instanceof App) return source;
  if (APP in source)
    throw new ConfigError("testApp() was given an app of another copy of solotask: see 'npm ls solotask'");
  return new App(source);
}

/** Returns what sets the mode. */
function rehearse(app: App): (inline: boolean) => void {
  const clock = new TestClock();
  const broker = new WatchedBroker(clock);
  const locks = new MemoryLocks();
  const ledger = new Ledger(app);
  const queues = (): string[] => broker.workQueues.filter((name) => !broker.foreign.has(name));
  const parts = { app, clock, broker, ledger, queues };
  const crew = new Crew(parts);
  let inline = false;
  broker.stored = (queue, frame) => ledger.record(queue, frame);
  app[REHEARSE]({
    clock,
    transport: createMemoryTransport({ clock, broker }),
    guard: createMemoryGuard({ clock, store: locks }),
    run: async (receipt) => {
      const waits = inline && receipt.status === 'enqueued' && ledger.dueAtOnce(receipt.id);
      if (waits) await crew.untilEnded(receipt.id);
      return receipt;
    },
  });
  Object.assign(app, makeTools({ ...parts, crew, locks }));
  const setMode = (mode: boolean): void => void (inline = mode);
  rehearsed.set(app, setMode);
  return setMode;
}
