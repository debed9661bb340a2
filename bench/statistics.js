// From the figures of the rounds to the figures of a row.

export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** By the name of a server, the median of what it took. */
function medians(samples) {
  const names = Object.keys(samples[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(samples.map((sample) => sample[name]))]));
}

/**
 * The median of some figures, the least and the greatest; `cpu`: µs an operation, where it was taken; `servers`: what the
 * servers took.
 */
function summaryOf(samples) {
  const values = samples.map(({ value }) => value);
  const cpus = samples.flatMap(({ cpu }) => (cpu === undefined ? [] : [cpu]));
  const servers = samples.flatMap((sample) => sample.servers ?? []);
  return {
    median: median(values),
    least: Math.min(...values),
    greatest: Math.max(...values),
    ...(cpus.length > 0 ? { cpu: median(cpus) } : {}),
    ...(servers.length > 0 ? { servers: medians(servers) } : {}),
    values,
  };
}

/** The median of what the rounds say: whatever else the machine did hit both sides of a round. */
function compared(ours, others, compare) {
  return median(ours.map((value, round) => compare(value, others[round])));
}

const ratio = (a, b) => a / b;
const difference = (a, b) => a - b;

/** What a check says: its figure, and whether it holds; undefined when one of its series was not measured. */
function judge(check, series) {
  const { of = 'solotask', against, over, least, most } = check;
  const other = against ?? over;
  const ours = series[of]?.values;
  const others = other === undefined ? ours : series[other]?.values;
  if (ours === undefined || others === undefined) return undefined;
  const single = other === undefined ? median(ours) : undefined;
  const figure = single ?? compared(ours, others, against === undefined ? difference : ratio);
  const barred = least !== undefined || most !== undefined;
  const ok = (least === undefined || figure >= least) && (most === undefined || figure <= most);
  return { ...check, of, figure, ...(barred ? { ok } : {}) };
}

/** A row with the figures of its series, in the order in which they came, and its checks. */
export function resultOf({ name, unit, less = false, checks }, samples) {
  const series = Object.fromEntries([...samples].map(([label, taken]) => [label, summaryOf(taken)]));
  const judged = checks.map((check) => judge(check, series)).filter((check) => check !== undefined);
  return { name, unit, less, series, checks: judged };
}
