// The results for docs/performance.md.
import { figure, finding } from './words.js';
import { caption } from './table.js';

const seriesCell = ({ series, unit }) =>
  Object.entries(series)
    .map(([label, { median, least, greatest }]) => `${label} ${figure(median)} (${figure(least)}–${figure(greatest)})`)
    .join('; ') + `, ${unit}`;

function checkCell(row) {
  const found = row.checks.map((check) => {
    const { text, bar } = finding(check, row);
    const missed = check.ok === false ? ', missed' : '';
    return bar === undefined ? text : `${text} (${bar}${missed})`;
  });
  return found.join('; ') || '–';
}

export function markdown({ about, rows }) {
  const lines = rows.map((row) => `| ${row.name} | ${seriesCell(row)} | ${checkCell(row)} |`);
  return ['| row | median (least–greatest) | compared |', '| --- | --- | --- |', ...lines, '', caption(about), ''].join(
    '\n',
  );
}
