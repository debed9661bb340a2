import { expect } from 'chai';
import { Task, type App, type TaskOptions } from 'solotask';
import { eventually } from './eventually.js';
import { Gate } from './gate.js';
import type { Stage } from './stage.js';

/** A declaration that most specs of coalesce share. */
export const COALESCE = { key: 'loan:<loanId>', onDuplicate: 'coalesce' } as const;

/** A service under coalesce, and the rates that its body ran with, at once: each run waits at the gate. */
export function gatedLoans(stage: Stage, options: TaskOptions = {}) {
  const gate = new Gate();
  const rates: number[] = [];
  class Loans {
    @Task({ queue: stage.queue, unique: COALESCE, ...options })
    async recompute(loanId: number, rate: number) {
      rates.push(rate);
      await gate.pass();
      return loanId;
    }
  }
  return { Loans, gate, rates };
}

/** A worker runs the first task, with rate 1, as far as the gate. */
export async function firstRuns(app: App, { Loans, gate }: Pick<ReturnType<typeof gatedLoans>, 'Loans' | 'gate'>) {
  await app.worker().start();
  const first = await app.tasks(Loans).recompute(1, 1);
  await eventually(() => expect(gate.arrivals).to.equal(1));
  return first;
}

/** After a last run: nothing waits, nobody has the key, no arguments are kept. */
export async function nothingIsLeft(stage: Stage, task = 'Loans.recompute'): Promise<void> {
  await eventually(async () => {
    const record = await stage.record(task, 'loan:1');
    expect([record?.owner, record?.args, record?.mark]).to.deep.equal([undefined, undefined, undefined]);
    expect(await stage.ready()).to.equal(0);
  });
}
