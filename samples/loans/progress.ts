const WIDTH = 30;

/** How far the stream is, on stderr: a bar that is drawn over on a terminal, a line for every tenth elsewhere. */
export class Progress {
  readonly #total: number;
  readonly #out: NodeJS.WriteStream;
  #done = 0;
  #drawn = 0;

  constructor(total: number, out: NodeJS.WriteStream = process.stderr) {
    this.#total = total;
    this.#out = out;
  }

  /** From 0 to 1. */
  get share(): number {
    return this.#done / this.#total;
  }

  /** One more event is through. */
  step(): void {
    this.#done++;
    const percent = Math.floor((100 * this.#done) / this.#total);
    const grain = this.#out.isTTY ? 1 : 10;
    if (percent - this.#drawn < grain) return;
    this.#drawn = percent - (percent % grain);
    const text = `${String(this.#drawn).padStart(3)} %  ${format(this.#done)} of ${format(this.#total)} events`;
    this.#out.write(this.#out.isTTY ? `\r${bar(percent)} ${text}${percent === 100 ? '\n' : ''}` : `${text}\n`);
  }
}

const bar = (percent: number): string => {
  const full = Math.round((WIDTH * percent) / 100);
  return `[${'█'.repeat(full)}${' '.repeat(WIDTH - full)}]`;
};

const format = (number: number): string => number.toLocaleString('en');
