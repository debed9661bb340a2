/** One call of a producer, as its caller sees it. */
export interface Enqueued {
  readonly key: number | string;
  /** Later calls have larger ones; it is what the task is called with. */
  readonly version: number;
  readonly called: number;
  returned: number;
  status: 'pending' | 'enqueued' | 'discarded' | 'coalesced' | 'failed';
  /** The receipt's: of this task, or of the holder. */
  id: string;
  /** Of the holder; what failed calls say. */
  phase: string | undefined;
  /** From when its message may be dropped. @default never */
  readonly expires?: number | undefined;
  /** By name, without a lock. */
  readonly foreign?: boolean;
  /** What `receipt.result()` came to: what the body returned, or an error's code. */
  result?: Returned | string | undefined;
}

/** What a body returns. */
export interface Returned {
  readonly version: number;
  readonly fence: number;
}

/** One body, from its first line to its last. */
export interface Body {
  readonly key: number | string;
  readonly version: number;
  readonly id: string;
  readonly attempt: number;
  readonly fence: number;
  readonly process: string;
  readonly started: number;
  ended: number;
  end: 'open' | 'good' | 'threw' | 'aborted' | 'deaf' | 'died';
  /** When its signal asked it to end. */
  aborted?: number;
  /** It goes on all the same. */
  readonly deaf?: boolean;
}

/** What became of messages, as workers say it. */
export interface Word {
  readonly at: number;
  readonly event: string;
  readonly id: string;
  /** Id of the holder that it was dropped for. */
  readonly holder?: string;
  /** A code or a reason. */
  readonly why?: string;
  /** Of a success: its message came again and was found done. */
  readonly recovered?: boolean;
  readonly more: string;
}

/** A time in which a process did nothing. */
export interface Block {
  readonly process: string;
  readonly from: number;
  readonly to: number;
}

/** The books of one history, kept outside of what they are about. */
export class Ledger {
  readonly calls: Enqueued[] = [];
  readonly bodies: Body[] = [];
  readonly words: Word[] = [];
  /** The dead letters: a task can be there twice, with its own arguments and with those of others. */
  readonly letters: { readonly id: string; readonly code: string }[] = [];
  readonly blocks: Block[] = [];
  /** Messages that nobody can run. */
  readonly strays: string[] = [];
  /** Versions of the calls whose message the broker took. */
  readonly stored = new Set<number>();

  /** Task ids in the dead letters. */
  get dead(): ReadonlySet<string> {
    return new Set(this.letters.map(({ id }) => id));
  }

  /** Is there a dead letter of that task with one of the codes? */
  diedOf(id: string, codes: readonly string[]): boolean {
    return this.letters.some((letter) => letter.id === id && codes.includes(letter.code));
  }

  /** Everything in its order, for people. */
  lines(): string[] {
    const ms = (time: number): string => time.toFixed(1).padStart(9);
    const lines: [number, string][] = [
      ...this.calls.map((call): [number, string] => [
        call.called,
        `call    k${call.key} v${call.version} -> ${call.status} ${call.id.slice(0, 8)} ${call.phase ?? ''} at ${call.returned.toFixed(1)}`,
      ]),
      ...this.bodies.map((body): [number, string] => [
        body.started,
        `body    k${body.key} v${body.version} ${body.id.slice(0, 8)} #${body.attempt} ${body.process} fence ${body.fence} -> ${body.end} at ${body.ended.toFixed(1)}`,
      ]),
      ...this.words.map(({ at, event, id, holder = '', why = '', more }): [number, string] => [
        at,
        `${event} ${id.slice(0, 8)} ${more} ${why} ${holder.slice(0, 8)}`.trimEnd(),
      ]),
    ];
    return lines.sort(([one], [other]) => one - other).map(([at, text]) => `${ms(at)}  ${text}`);
  }
}
