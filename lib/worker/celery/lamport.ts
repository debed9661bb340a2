/** A logical clock: Celery's monitors put the events of all workers in order by it. */
export class Lamport {
  value = 0;

  forward(): number {
    return (this.value += 1);
  }

  /** Another's clock was heard of; what is no time is none. */
  adjust(other: unknown): void {
    const heard = Number.isSafeInteger(other) ? (other as number) : 0;
    this.value = Math.max(this.value, heard) + 1;
  }
}
