/** The properties of an AMQP message that solotask reads or writes. */
export interface FrameProperties {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly correlationId?: string;
  readonly messageId?: string;
  readonly replyTo?: string;
  readonly priority?: number;
  /** Milliseconds as a string; used on Celery's queues only. */
  readonly expiration?: string;
  /** Epoch seconds. */
  readonly timestamp?: number;
}

/** A header table; its values are like JSON's. */
export type Headers = Readonly<Record<string, unknown>>;

/** A message as a broker carries it: real bytes, whatever the transport. */
export interface Frame {
  readonly properties: FrameProperties;
  readonly headers: Headers;
  readonly body: Buffer;
}

/** Which side decides on duplicates: the producer at enqueue, or (`@ShouldCompute`) the worker. */
export type LockMode = 'enqueue' | 'worker';

/** What a message says about its lock. The owner id of the lock is the message's id. */
export interface MessageLock {
  /** The unique key, computed once (protocol.md rule 10); per task, without namespace. */
  readonly key: string;
  readonly mode: LockMode;
  /** The enqueue fence = the sequence of the arguments; absent when nobody claimed at enqueue. */
  readonly fence: number | undefined;
}

/** The head of a task message: everything but its arguments, so that a lock can be freed whatever the body is. */
export interface MessageHead {
  /** Task id; also the owner id of its lock. */
  readonly id: string;
  /** Task name on the wire. */
  readonly task: string;
  /** The run that this message asks for, from 1. */
  readonly attempt: number;
  readonly lock: MessageLock | undefined;
  /** Fresh for each publish; `''` when a foreign producer sent none. */
  readonly copy: string;
  /** Epoch ms. */
  readonly enqueuedAt: number | undefined;
  /** Epoch ms before which it must not run (our `due`, or Celery's `eta`). */
  readonly due: number | undefined;
  /** Epoch ms after which it is dropped (Celery's `expires`). */
  readonly expires: number | undefined;
  /** Set in a copy that stands in for a message which was acknowledged as its run began; names what it stands in for. */
  readonly standIn: string | undefined;
  /** A copy of a delivery that the broker had flagged as redelivered: its body may have begun before. */
  readonly suspect: boolean;
  readonly rootId: string | undefined;
  readonly parentId: string | undefined;
  /** How long a body may run, ms, by a foreign sender's wish; our own tasks have theirs in their code. */
  readonly timeLimit: number | undefined;
  /** The sender asks that the result be not kept. */
  readonly ignoreResult: boolean;
}

/** The body of a task message: JSON values. */
export interface MessageBody {
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}

/** A task message to be published. Retries and parked copies reuse the frame and change headers only. */
export interface TaskMessage extends MessageBody {
  readonly id: string;
  readonly task: string;
  readonly attempt: number;
  readonly lock: MessageLock | undefined;
  /** Epoch ms. */
  readonly enqueuedAt: number;
  readonly priority: number | undefined;
  /** Epoch ms after which a worker drops it. @default never */
  readonly expires?: number | undefined;
  /** How long its body may run, for a Celery worker, ms: until its signal fires, and until it is ended. @default none */
  readonly timeLimit?: { readonly soft: number | undefined; readonly hard: number | undefined } | undefined;
  readonly rootId: string | undefined;
  readonly parentId: string | undefined;
  /** The caller's own headers; names that the wire format uses are refused. */
  readonly headers: Headers;
}
