// Figures and checks as words.

const GROUPED = 100;

/** A figure with about three digits that say something. */
export function figure(value) {
  if (Number.isInteger(value) || Math.abs(value) >= GROUPED) return Math.round(value).toLocaleString('en');
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export const factor = (value) => (value >= 10 ? value.toFixed(1) : value.toFixed(2));

function bar({ least, most }) {
  if (least !== undefined) return `bar ≥ ${least}`;
  return most === undefined ? undefined : `bar ≤ ${most}`;
}

/** What a check found: `0.91 × floor`, and its bar. */
export function finding(check, { unit }) {
  const { of, against, over, figure: found } = check;
  const subject = of === 'solotask' ? '' : `${of}: `;
  if (against !== undefined) return { text: `${subject}${factor(found)} × ${against}`, bar: bar(check) };
  if (over !== undefined) return { text: `${figure(found)} ${unit} over ${over}`, bar: bar(check) };
  return { text: `${subject}${figure(found)} ${unit}`, bar: bar(check) };
}
