import type { Tree } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';
import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import * as prometheus from 'prom-client';
import { createApp, Task } from 'solotask';
import { parse, parseAllDocuments } from 'yaml';
import { duration } from '../lib/duration.js';
import { declareMetrics } from '../lib/metrics/declared.js';
import { anchorsOf, examplesOf, ROOT } from './support/doc-examples.js';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const PAGE = read('docs/operations.md');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const { groups } = parse(read('docs/operations/alerts.yml')) as { groups: { name: string; rules: Rule[] }[] };
const RULES = groups.flatMap(({ rules }) => rules);

/** Of each metric what may stand between its braces. */
async function exposed(): Promise<Map<string, readonly string[]>> {
  const registry = new Registry();
  declareMetrics(prometheus, registry);
  const described = registry.getMetricsAsArray() as unknown as { name: string; labelNames: string[]; type: string }[];
  class Loans {
    @Task()
    async recompute() {}
  }
  await using app = createApp({ broker: 'memory:', locks: 'memory:', services: [Loans] });
  const text = await (await app.metrics()).text();
  const told = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => ({ name, type }));
  expect(told.map(({ name }) => name)).to.have.members(described.map(({ name }) => name));
  const series = new Map<string, readonly string[]>();
  for (const { name, type } of told) {
    const labels = described.find((one) => one.name === name)?.labelNames ?? [];
    if (type === 'histogram') {
      for (const part of ['count', 'sum']) series.set(`${name}_${part}`, labels);
      series.set(`${name}_bucket`, [...labels, 'le']);
    } else series.set(name, labels);
  }
  return series;
}

/** The texts of all nodes of a kind. */
function found(expr: string, kinds: readonly string[]): string[] {
  const texts: string[] = [];
  const tree: Tree = parser.parse(expr);
  tree.iterate({
    enter: (node) => {
      if (node.type.isError) throw new Error(`${expr}: an error at ${node.from}`);
      if (kinds.includes(node.name)) texts.push(expr.slice(node.from, node.to));
    },
  });
  return texts;
}

describe('the alert rules of docs/operations/alerts.yml', () => {
  it('are named once each, say what happened, and lead to a heading that says what to do', () => {
    expect(RULES).to.have.length.above(12);
    expect(new Set(RULES.map(({ alert }) => alert)).size).to.equal(RULES.length);
    for (const { alert, labels, annotations, for: wait = '1m' } of RULES) {
      expect(labels, alert).to.have.property('severity').that.is.oneOf(['warning', 'critical']);
      expect(annotations['summary'], alert).to.have.length.above(20);
      expect(duration(wait, alert)).to.be.above(0);
      const [file, anchor = ''] = (annotations['runbook_url'] ?? '').split('#');
      expect([file, anchor], alert).to.deep.equal(['docs/operations.md', alert.toLowerCase()]);
      expect(anchorsOf(PAGE), alert).to.include(anchor);
    }
  });

  it('are all that the page tells of', () => {
    const [, section = ''] = PAGE.split('\n## Alerts\n');
    const told = [...section.matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
    expect(told).to.have.members(RULES.map(({ alert }) => alert));
  });

  it('ask, in good PromQL, for metrics and labels that there are', async () => {
    const metrics = await exposed();
    for (const { alert, expr, annotations } of RULES) {
      const names = found(expr, ['Identifier']);
      expect(names, alert).to.have.length.above(0);
      expect([...metrics.keys()], alert).to.include.members(names);
      const labels = new Set(names.flatMap((name) => metrics.get(name) ?? []));
      const used = found(expr, ['LabelName']);
      expect([...labels], alert).to.include.members(used);
      const grouped = found(expr, ['GroupingLabels']).flatMap((list) => found(`sum by ${list} (x)`, ['LabelName']));
      const kept = /\b(sum|max)\b/.test(expr) ? grouped : ['instance', 'job', ...labels];
      const shown = Object.values(annotations).flatMap((text) =>
        [...text.matchAll(/\$labels\.(\w+)/g)].map(([, label = '']) => label),
      );
      expect(kept, alert).to.include.members(shown);
    }
  });
});

describe('docs/operations.md', () => {
  it('has a place for every metric, and names no other', async () => {
    const registry = new Registry();
    declareMetrics(prometheus, registry);
    const names = registry.getMetricsAsArray().map(({ name }) => name);
    const [, table = ''] = /### Metrics\n(.*?)\n## /s.exec(PAGE) ?? [];
    const told = [...table.matchAll(/`(solotask_\w+)`/g)].map(([, name = '']) => name);
    expect(told).to.have.members(names);
  });

  it('has a manifest whose probes and times fit together', () => {
    const [yaml = ''] = examplesOf(PAGE).flatMap(({ language, text }) =>
      language === 'yaml' && text.includes('kind: Deployment') ? [text] : [],
    );
    interface Container {
      command: string[];
      args: string[];
      ports: { name: string; containerPort: number }[];
      livenessProbe: { httpGet: { path: string; port: string } };
      readinessProbe: { httpGet: { path: string; port: string } };
    }
    const { template } = (
      parse(yaml) as {
        spec: { template: { spec: { terminationGracePeriodSeconds: number; containers: Container[] } } };
      }
    ).spec;
    const { terminationGracePeriodSeconds, containers } = template.spec;
    const [worker] = containers;
    if (worker === undefined) throw new Error('no container');
    const flag = (name: string): string => worker.args[worker.args.indexOf(name) + 1] ?? '';
    expect(terminationGracePeriodSeconds * 1000).to.be.at.least(duration(flag('--shutdown-timeout'), 'it') + 10_000);
    expect(worker.ports).to.deep.equal([{ name: 'health', containerPort: Number(flag('--health-port')) }]);
    expect(worker.livenessProbe.httpGet).to.deep.equal({ path: '/livez', port: 'health' });
    expect(worker.readinessProbe.httpGet).to.deep.equal({ path: '/readyz', port: 'health' });
  });
});

describe('the YAML of the documents', () => {
  it('is YAML', () => {
    const pages = ['README.md', ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`)];
    const blocks = pages
      .filter((path) => path.endsWith('.md'))
      .flatMap((path) => examplesOf(read(path)).map((block) => ({ ...block, path })))
      .filter(({ language }) => language === 'yaml' || language === 'yml');
    expect(blocks).to.have.length.above(2);
    for (const { path, text } of blocks) {
      const wrong = parseAllDocuments(text).flatMap(({ errors, warnings }) => [...errors, ...warnings]);
      expect(wrong.map(String), path).to.deep.equal([]);
    }
  });
});
