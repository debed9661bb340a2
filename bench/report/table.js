// The results for a terminal.
import { figure, finding } from './words.js';

const WIDTH = 32;
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const RED = '\u001B[31m';
const GREEN = '\u001B[32m';
const BOLD = '\u001B[1m';
const PLAIN = '\u001B[0m';

/** A bar of up to `WIDTH` characters, in eighths of one. */
export function bar(share) {
  const eighths = Math.max(1, Math.round(share * WIDTH * 8));
  return '█'.repeat(eighths >> 3) + EIGHTHS[eighths & 7];
}

const plural = (number, word) => `${number} ${word}${number === 1 ? '' : 's'}`;

/** What the results were measured on, in one line. */
export function caption({ cpu, cores, versions, operations, rounds, load, date }) {
  const parts = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const size = `${operations.toLocaleString('en')} operations, medians of ${plural(rounds, 'round')}`;
  const busy = load === undefined ? '' : `, load ${load.toFixed(1)} before`;
  return `${date}, ${cpu}, ${plural(cores, 'core')}${busy}; ${parts.join(', ')}; ${size}`;
}

function serversText(servers = {}) {
  const texts = Object.entries(servers).map(([name, cpu]) => `${name} ${cpu.toFixed(0)}`);
  return texts.length === 0 ? '' : `  (${texts.join(', ')} µs)`;
}

function seriesLines({ unit, series }) {
  const entries = Object.entries(series);
  const most = Math.max(...entries.map(([, { median }]) => median));
  return entries.map(([label, { median, least, greatest, cpu, servers }]) => {
    const spread = `${figure(least)}–${figure(greatest)}`;
    const cost = cpu === undefined ? '' : `${cpu.toFixed(1)} µs CPU`;
    const cells = [
      label.padEnd(26),
      figure(median).padStart(10),
      unit.padEnd(11),
      spread.padStart(19),
      cost.padStart(13),
    ];
    return `  ${cells.join(' ')}  ${bar(median / most)}${serversText(servers)}`;
  });
}

/** All rows. `colour`: with the escape sequences for it. */
export function table({ about, rows }, { colour }) {
  const paint = (code, text) => (colour ? code + text + PLAIN : text);
  const check = (row, each) => {
    const { text, bar: limit } = finding(each, row);
    if (limit === undefined) return `    ${text}`;
    const mark = each.ok ? paint(GREEN, 'ok') : paint(RED, 'BELOW THE BAR');
    return `    ${text}   ${limit}   ${mark}`;
  };
  const blocks = rows.map((row) => {
    const title = paint(BOLD, row.name) + (row.less ? ', less is better' : '');
    const lines = [title, ...seriesLines(row), ...row.checks.map((each) => check(row, each))];
    return lines.join('\n');
  });
  return `${[...blocks, caption(about)].join('\n\n')}\n`;
}
