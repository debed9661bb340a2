/** Writes what a command was asked for to stdout; resolves when it is out, so that the process may end. */
export function print(text: string): Promise<void> {
  return new Promise((resolve) => void process.stdout.write(text, () => resolve()));
}
