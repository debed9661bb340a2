// The table of docs/guarantees.md: which rule is caught by what.
import { readFileSync, writeFileSync } from 'node:fs';
import { MUTATIONS } from './index.js';

const PAGE = 'docs/guarantees.md';
const PLACE = /(<!-- mutations -->\n)[^]*?(<!-- \/mutations -->)/;

const line = ({ rule, name, by }) =>
  `| ${rule} | ${name} | ${by.map((prover) => prover.name.replaceAll('|', '\\|')).join('; ')} |`;

/** The page as it has to be. */
export function pageWithTable(page = readFileSync(PAGE, 'utf8')) {
  const rows = ['', '| rule | taken away | caught by |', '| --- | --- | --- |', ...MUTATIONS.map(line), '', ''];
  return page.replace(PLACE, (_, before, after) => before + rows.join('\n') + after);
}

/** Prettier aligns it. */
export const writeTable = () => writeFileSync(PAGE, pageWithTable()) ?? 0;
