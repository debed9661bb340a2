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
