/** A body waits on it until the test opens it. */
export class Gate {
  #open!: () => void;
  readonly #opened = new Promise<void>((resolve) => (this.#open = resolve));
  /** How many have come to the gate. */
  arrivals = 0;

  async pass(): Promise<void> {
    this.arrivals++;
    await this.#opened;
  }

  open(): void {
    this.#open();
  }
}
