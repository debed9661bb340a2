// The results as a picture: a group of bars a row, each group on a scale of its own. Light or dark as the reader's screen.
import { caption } from './table.js';
import { figure, finding } from './words.js';

const WIDTH = 980;
const MARGIN = 24;
/** Where the bars begin, how long the longest is, and where the findings begin. */
const BARS = 190;
const LONGEST = 330;
const FINDINGS = 640;
const LINE = 20;
const BAR = 13;
const TITLE = 26;
const GAP = 14;
const HEAD = 54;
const CAPTION = 120;

/** By class: on light ground and on dark. Not every viewer knows variables. */
const COLOURS = {
  ground: ['fill', '#ffffff', '#0d1117'],
  text: ['fill', '#1f2328', '#e6edf3'],
  dim: ['fill', '#656d76', '#9198a1'],
  missed: ['fill', '#cf222e', '#ff7b72'],
  ours: ['fill', '#0969da', '#4493f8'],
  floor: ['fill', '#8c959f', '#6e7681'],
  hand: ['fill', '#8250df', '#a371f7'],
  peer: ['fill', '#d4812f', '#e0912f'],
  celery: ['fill', '#4a9a4a', '#57ab5a'],
  mark: ['stroke', '#1f2328', '#e6edf3'],
  spread: ['stroke', '#1f2328', '#e6edf3'],
};

const colours = (place) =>
  Object.entries(COLOURS)
    .map(([name, values]) => `.${name} { ${values[0]}: ${values[place]}; }`)
    .join(' ');

const STYLE = `
text { font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif; }
text.name { font-size: 18px; font-weight: 600; }
text.title { font-size: 13px; font-weight: 600; }
.missed { font-weight: 600; }
.end { text-anchor: end; }
.mark { stroke-width: 2; }
.spread { stroke-width: 1; opacity: 0.6; }
${colours(1)}
@media (prefers-color-scheme: dark) { ${colours(2)} }`;

const KINDS = [
  [/^BullMQ/, 'peer'],
  [/^Celery/, 'celery'],
  [/^by hand/, 'hand'],
  [/^(floor|node -e 0)/, 'floor'],
];

const kindOf = (label) => KINDS.find(([pattern]) => pattern.test(label))?.[1] ?? 'ours';

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

const text = (x, y, content, ...kinds) =>
  `<text x="${x}" y="${y}" class="${['text', ...kinds].join(' ')}">${escaped(content)}</text>`;

const coordinate = (number) => String(Math.round(number * 10) / 10);

const line = (x1, x2, y1, y2, kind) =>
  `<line class="${kind}" x1="${coordinate(x1)}" x2="${coordinate(x2)}" y1="${y1}" y2="${y2}"/>`;

/** Where the bar of a check lies on the scale of its row: a ratio's is a share of the other series. */
function limitOf({ least, most, against, over }, series) {
  const limit = least ?? most;
  if (limit === undefined) return undefined;
  if (against !== undefined) return limit * series[against].median;
  return over === undefined ? limit : limit + series[over].median;
}

/** The bars of a row: its median, what the rounds lay between, and what it has to reach. */
function seriesOf({ series, checks, unit }, top) {
  const entries = Object.entries(series);
  const limits = checks.flatMap((check) => limitOf(check, series) ?? []);
  const scale = LONGEST / Math.max(...entries.map(([, { greatest }]) => greatest), ...limits);
  return entries.flatMap(([label, { median, least, greatest }], i) => {
    const y = top + i * LINE;
    const middle = y + BAR / 2;
    const own = checks.filter(({ of }) => of === label).flatMap((check) => limitOf(check, series) ?? []);
    const end = BARS + Math.max(median, greatest, ...own) * scale + 8;
    return [
      text(MARGIN, y + 11, label),
      `<rect class="${kindOf(label)}" x="${BARS}" y="${y}" width="${coordinate(Math.max(1, median * scale))}" height="${BAR}" rx="2"/>`,
      line(BARS + least * scale, BARS + greatest * scale, middle, middle, 'spread'),
      ...own.map((limit) => line(BARS + limit * scale, BARS + limit * scale, y - 2, y + BAR + 2, 'mark')),
      text(coordinate(end), y + 11, `${figure(median)} ${unit}`, 'dim'),
    ];
  });
}

function findingsOf(row, top) {
  return row.checks.map((check, i) => {
    const { text: found, bar } = finding(check, row);
    const limit = bar === undefined ? '' : ` (${bar})`;
    return text(FINDINGS, top + i * LINE + 11, found + limit, ...(check.ok === false ? ['missed'] : []));
  });
}

const heightOf = ({ series, checks }) => TITLE + Math.max(Object.keys(series).length, checks.length) * LINE + GAP;

/** Breaks a text between its parts. */
function broken(content) {
  const lines = [''];
  for (const part of content.split(/(?<=[;,]) /)) {
    if (lines.at(-1).length + part.length > CAPTION) lines.push('');
    lines.push(`${lines.pop()} ${part}`.trim());
  }
  return lines;
}

/** The SVG; the same results give the same text. */
export function chart({ about, rows }) {
  let top = HEAD;
  const parts = rows.flatMap((row) => {
    const y = top;
    top += heightOf(row);
    const title = text(MARGIN, y + 13, row.less ? `${row.name} (less is better)` : row.name, 'title');
    return [title, ...seriesOf(row, y + TITLE), ...findingsOf(row, y + TITLE)];
  });
  const captions = broken(caption(about)).map((each, i) => text(MARGIN, top + 16 + i * 18, each, 'dim'));
  const height = top + captions.length * 18 + MARGIN;
  const legend = 'bar: median · thin line: least to greatest · mark: what it has to reach';
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="solotask's benchmark">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}"/>`,
    text(MARGIN, 32, 'solotask, its floor, and others', 'name'),
    text(WIDTH - MARGIN, 32, legend, 'dim', 'end'),
    ...parts,
    ...captions,
    '</svg>',
    '',
  ].join('\n');
}
