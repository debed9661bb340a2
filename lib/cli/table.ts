import type { Paint } from './colours.js';
import { oneLine } from './exit.js';

/**
 * Rows under a heading, in columns, each line at most `width` wide; where they do not fit, one paragraph per row: its
 * first cell, and the others below it with their headings.
 */
export function table(heading: readonly string[], rows: readonly (readonly string[])[], width: number): string {
  const widths = heading.map((_, column) => Math.max(...[heading, ...rows].map((row) => row[column]?.length ?? 0)));
  const total = widths.reduce((sum, one) => sum + one + 2, -2);
  if (total > width) return rows.map((row) => paragraph(heading, row)).join('\n');
  return [heading.map((word) => word.toUpperCase()), ...rows].map((row) => line(row, widths)).join('');
}

function line(row: readonly string[], widths: readonly number[]): string {
  const cells = row.map((cell, column) => cell.padEnd(widths[column] ?? 0));
  return `${cells.join('  ').trimEnd()}\n`;
}

function paragraph(heading: readonly string[], [title = '', ...cells]: readonly string[]): string {
  const names = heading.slice(1);
  const longest = Math.max(...names.map(({ length }) => length));
  const lines = cells.map((cell, index) => `  ${(names[index] ?? '').padEnd(longest)}  ${cell}\n`);
  return `${title}\n${lines.join('')}`;
}

/** How a table of records looks. */
export interface TableLook {
  /** No line is wider. */
  readonly width: number;
  readonly paint: Paint;
  /** The columns that give way, those first that may lose most; the others keep their width. */
  readonly shrink: readonly number[];
}

/** A column is never narrower. */
const LEAST = 8;

/** Rows under a heading; what does not fit ends in an ellipsis. For records of which `show` and `--json` have the rest. */
export function records(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  { width, paint, shrink }: TableLook,
): string {
  const cells = rows.map((row) => row.map(oneLine));
  const widths = heading.map((_, column) => Math.max(...[heading, ...cells].map((row) => row[column]?.length ?? 0)));
  fit(widths, width, shrink);
  const cut = (row: readonly string[]): string =>
    line(
      row.map((cell, i) => ellipsis(cell, widths[i] ?? 0)),
      widths,
    );
  const top = cut(heading.map((word) => word.toUpperCase())).trimEnd();
  return `${paint('bold', top)}\n${cells.map(cut).join('')}`;
}

/** Takes the excess from the columns that may shrink, each time from the widest. */
function fit(widths: number[], width: number, shrink: readonly number[]): void {
  for (let excess = widths.reduce((sum, one) => sum + one + 2, -2) - width; excess > 0; excess--) {
    const widest = shrink.reduce((a, b) => ((widths[b] ?? 0) > (widths[a] ?? 0) ? b : a), shrink[0] ?? 0);
    if ((widths[widest] ?? 0) <= LEAST) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}

const ellipsis = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;

/** Names and values below each other; what is undefined is left out. */
export function facts(pairs: readonly (readonly [string, string | undefined])[], paint: Paint): string {
  const given = pairs.filter(([, value]) => value !== undefined);
  const longest = Math.max(...given.map(([name]) => name.length));
  return given.map(([name, value]) => `${paint('dim', name.padEnd(longest))}  ${oneLine(value ?? '')}\n`).join('');
}
