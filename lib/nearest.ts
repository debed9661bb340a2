/** Levenshtein distance, letter case left out: the number of single-letter edits between two words. */
function distance(one: string, other: string): number {
  const [a, b] = [Array.from(one.toLowerCase()), Array.from(other.toLowerCase())];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of a.entries()) {
    const next = [i + 1];
    for (const [j, against] of b.entries()) {
      const swap = row[j]! + (letter === against ? 0 : 1);
      next.push(Math.min(swap, row[j + 1]! + 1, next[j]! + 1));
    }
    row = next;
  }
  return row.at(-1)!;
}

/** The known word that was most likely meant by `word`; undefined when none is near. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const limit = Math.max(2, Math.floor(word.length / 3));
  let best: { word: string; off: number } | undefined;
  for (const candidate of known) {
    const off = distance(word, candidate);
    if (off <= limit && off < candidate.length && off < (best?.off ?? Infinity)) best = { word: candidate, off };
  }
  return best?.word;
}

/** `; did you mean 'queue'?`, or nothing: to be put at the end of an error's text. */
export function hint(word: string, known: Iterable<string>): string {
  const meant = nearest(word, known);
  return meant === undefined ? '' : `; did you mean '${meant}'?`;
}
