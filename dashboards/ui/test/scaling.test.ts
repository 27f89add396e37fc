import { parseDocument } from 'yaml';
import { describe, expect, test } from 'vitest';
import type { Held, Replay, ReplayOutcome } from '../src/api/types';
import type { Frame, Line } from '../src/chart/frame';
import { message } from '../src/i18n';
import en from '../src/locales/en.json';
import { hourly, ledgerCsv } from '../src/pages/scaling/ledger';
import { diffLines } from '../src/pages/scaling/diff';
import { closedWord, holdsOf } from '../src/pages/scaling/held';
import { policyPath, replayPath } from '../src/pages/scaling/paths';
import { carryText, loadFrame, mostOf, replicasFrame, saved, takeText } from '../src/pages/scaling/replay';
import { lineAt, locate, pathParts, readPolicy, template, toYaml, withoutUnset } from '../src/pages/scaling/policyText';
import { courseOf } from '../src/pages/scaling/course';

const POLICY = `service: web
max: 10
# what one replica carries
targets:
  - kind: rps
    value: 100
  - {kind: cpu, value: high}
scale_in: {replicas: 1}
`;

describe('a policy as text', () => {
  test('is written in the order in which people read it', () => {
    const text = toYaml({ targets: [{ value: 100, kind: 'rps' }], max: 9, hold: '5m', service: 'web', min: 2 });
    expect(text).toBe('service: web\nmin: 2\nmax: 9\ntargets:\n  - kind: rps\n    value: 100\nhold: 5m\n');
    expect(readPolicy(text, '').policy).toEqual({ targets: [{ value: 100, kind: 'rps' }], max: 9, hold: '5m', service: 'web', min: 2 });
  });

  test('keeps texts that look like something else', () => {
    const policy = { service: '1.10', notes: ['yes', '12:30', '2026-11-10', '0x1F', 'a: b'], hold: '15s' };
    expect(readPolicy(toYaml(policy), '').policy).toEqual(policy);
  });

  test('of the file is shown without what is not set', () => {
    expect(withoutUnset({ service: 'web', min: null, notes: [], predict: { enabled: false, bad_cost: null }, targets: [{ kind: 'rps', query: null }] })).toEqual({
      service: 'web',
      predict: { enabled: false },
      targets: [{ kind: 'rps' }],
    });
  });

  test('that is new is one', () => {
    const { policy, mistakes } = readPolicy(template('web'), '');
    expect(mistakes).toEqual([]);
    expect(policy).toMatchObject({ service: 'web', mode: 'observe', targets: [{ kind: 'rps', value: 100 }] });
  });

  test.each([
    ['a: [1, 2', 1],
    ['a: 1\na: 2\n', 2],
    ["a: 1\n  b: 2\n", 1],
  ])('%j has its mistake at line %d', (text, line) => {
    const { policy, mistakes } = readPolicy(text, '');
    expect(policy).toBeNull();
    expect(lineAt(text, mistakes[0]?.range?.from ?? -1).line).toBe(line);
  });

  test.each(['', '- a\n', 'just words'])('%j is no mapping', (text) => {
    expect(readPolicy(text, 'want a mapping').mistakes.map((mistake) => mistake.message)).toEqual(['want a mapping']);
  });

  test('does not unfold aliases without end', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let at = 1; at < 8; at += 1) lines.push(`a${at}: &a${at} [${Array.from({ length: 10 }, () => `*a${at - 1}`).join(', ')}]`);
    const { policy, mistakes } = readPolicy(lines.join('\n'), '');
    expect(policy).toBeNull();
    expect(mistakes.length).toBe(1);
  });
});

describe('a mistake', () => {
  const document = parseDocument(POLICY);
  const at = (path: string) => {
    const range = locate(document, path);
    return range ? POLICY.slice(range.from, range.to) : null;
  };
  test.each([
    ['max', '10'],
    ['targets', 'targets'],
    ['targets[0]', 'kind'],
    ['targets[0].value', '100'],
    ['targets[1].value', 'high'],
    ['targets[1].query', 'kind'],
    ['scale_in.replicas', '1'],
    ['scale_in.period', 'scale_in'],
    ['targets[7]', 'targets'],
    ['gone', null],
    ['', null],
    ['autoscaling[3].dependencies', null],
  ])('at %s is shown at %s', (path, text) => {
    expect(at(path)).toBe(text);
  });

  test('has a path of names and places', () => {
    expect(pathParts('dependencies[10].ratio')).toEqual(['dependencies', 10, 'ratio']);
  });

  test('has a line and a column from 1', () => {
    expect(lineAt('ab\ncd', 0)).toEqual({ line: 1, column: 1 });
    expect(lineAt('ab\ncd', 4)).toEqual({ line: 2, column: 2 });
  });
});

describe('two versions', () => {
  const signs = (before: string, after: string) => diffLines(before, after).map((line) => `${{ same: '=', added: '+', removed: '-' }[line.kind]}${line.text}`);
  test.each([
    ['a\nb\nc\n', 'a\nB\nc\n', ['=a', '-b', '+B', '=c']],
    ['', 'a\n', ['+a']],
    ['a\nb', '', ['-a', '-b']],
    ['a\nb\n', 'a\nb\n', ['=a', '=b']],
    ['a\nb\nc', 'b\nc\nd', ['-a', '=b', '=c', '+d']],
  ])('%j and %j', (before, after, expected) => {
    expect(signs(before, after)).toEqual(expected);
  });

  test('that are very long are shown as replaced', () => {
    const long = Array.from({ length: 3000 }, (_, line) => `a${line}`).join('\n');
    expect(diffLines(long, long).length).toBe(6000);
  });
});

describe('what holds a service', () => {
  const none: Held = { paused: { in: false, out: false }, paused_by: '', paused_by_policy: { in: false, out: false }, frozen_since_ms: null, frozen_reason: '', windows: [] };
  const t = (key: string, args?: Record<string, unknown>) => message(en, 'en-GB', key, args);

  test('is nothing at first', () => {
    expect(holdsOf(none, t)).toEqual([]);
  });

  test('is said with the most serious first', () => {
    const held = { ...none, paused: { in: true, out: false }, paused_by: 'ann', paused_by_policy: { in: true, out: true }, frozen_since_ms: 5, frozen_reason: 'refused', windows: ['sale'] };
    expect(holdsOf(held, t).map((hold) => hold.text)).toEqual(['Left alone after failed tries', 'Scale-in paused by ann', 'Scaling paused by its policy', 'Freeze window sale is open']);
  });

  test.each([
    [{ in: false, out: false }, null],
    [{ in: true, out: false }, 'in'],
    [{ in: false, out: true }, 'out'],
    [{ in: true, out: true }, 'both'],
  ])('%j closes %s', (paused, word) => {
    expect(closedWord(paused)).toBe(word);
  });
});

describe('shadow mode', () => {
  const line = (values: (number | null)[]): Line => ({ key: '', label: '', labels: {}, kind: 'step', colour: 0, values, last: null, mean: null, max: null });
  const frame = (lines: Line[]): Frame => ({ times: [0, 1800, 3600, 5400, 7200], lines, hidden: 0 });
  const actual = line([2, 2, 4, null, 4]);
  const decided = line([2, 3, 3, 3, 1]);

  test('counts only times of which both are known', () => {
    const load = [150, 250, 350, 350, null];
    expect(courseOf(actual, frame([actual, decided]), [decided], load, 100)).toEqual({ replicaHours: 6, changes: 1, shortRatio: 1 / 3 });
    expect(courseOf(decided, frame([actual, decided]), [actual], load, 100)).toEqual({ replicaHours: 4.5, changes: 2, shortRatio: 1 / 3 });
  });

  test('says nothing about what is unknown', () => {
    expect(courseOf(line([null, null]), frame([]), [], null, null)).toBeNull();
    expect(courseOf(actual, frame([]), [], null, 100)?.shortRatio).toBeNull();
  });
});

describe('the ledger', () => {
  const rows = [
    { key: '7200000', replica_seconds: 7200, cost: 0 },
    { key: '0', replica_seconds: 3600, cost: 1 },
  ];

  test('has a gap where nothing was counted', () => {
    const frame = hourly(rows, 0, 10_800_000, 'replicas');
    expect(frame.times).toEqual([0, 3600, 7200, 10_800]);
    expect(frame.lines[0]?.values).toEqual([1, null, 2, 2]);
    expect(frame.lines[0]?.mean).toBe(1.5);
    expect(hourly([], 0, 7_200_000, 'replicas').lines).toEqual([]);
  });

  test('is saved with its names quoted', () => {
    expect(ledgerCsv('team', [{ key: 'a "b", c', replica_seconds: 5400, cost: 0.25 }])).toBe('team,replica_hours,cost\n"a ""b"", c",1.5,0.25');
  });
});

test('the page of a policy is found by its name', () => {
  expect(policyPath('a.b')).toBe('/autoscaling?tab=policies&policy=a.b');
  expect(policyPath('*new', 'web')).toBe('/autoscaling?tab=policies&policy=*new&for=web');
});

describe('a replay', () => {
  const outcome = (by: ReplayOutcome['by'], wanted: number[], replica_hours: number): ReplayOutcome => ({
    by,
    wanted,
    ready: wanted,
    bad_ratio: 0.001,
    bad_minutes: 2,
    replica_hours,
    actions: 1,
    reversals: 0,
  });
  const replay: Replay = {
    policy: 'web',
    service: 'web',
    start_ms: 60_000,
    step_ms: 15_000,
    query: 'sum(load)',
    unit: 'RPS',
    per_replica: 100,
    startup_seconds: 30,
    startup_measured: true,
    notes: [],
    load: [90, 150, 210],
    outcomes: [outcome('policy', [1, 2, 3], 6), outcome('hpa', [2, 3, 4], 8), outcome('actual', [4, 4, 4], 12)],
  };

  test('has its load over what the replicas carry, and the replicas of every way to scale', () => {
    const load = loadFrame(replay, { load: 'Load', capacity: 'Carries' });
    expect(load.times).toEqual([60, 75, 90]);
    expect(load.lines.map((line) => [line.label, line.values, line.kind])).toEqual([
      ['Load', [90, 150, 210], 'line'],
      ['Carries', [100, 200, 300], 'step'],
    ]);
    const replicas = replicasFrame(replay, (by) => `by ${by}`);
    expect(replicas.lines.map((line) => line.label)).toEqual(['by policy', 'by hpa', 'by actual']);
    expect(new Set(replicas.lines.map((line) => line.colour)).size).toBe(3);
    expect(replicas.lines[2]).toMatchObject({ last: 4, mean: 4, max: 4, kind: 'step' });
  });

  test('says what it saves, if that can be said', () => {
    expect(saved(replay, 'hpa')).toBeCloseTo(-0.25);
    expect(saved(replay, 'actual')).toBeCloseTo(-0.5);
    expect(saved(replay, 'fixed')).toBeNull();
    expect(replay.outcomes.map(mostOf)).toEqual([3, 4, 4]);
  });

  test('takes the text of the editor along, once and for its policy only', () => {
    carryText('web', 'max: 3');
    expect(takeText('web')).toBe('max: 3');
    expect(takeText('web')).toBeNull();
    carryText('web', 'max: 3');
    expect(takeText('shop')).toBeNull();
    expect(takeText('web')).toBeNull();
    expect(replayPath('a b')).toBe('/autoscaling?tab=replay&policy=a+b&from=now-1d&run=1');
  });
});
