// A stand-in for the server with plausible data, so that the UI can be worked on without one.
//
//   node dev/mock.mjs [PORT] [few|many|empty]
//
// It serves the API on 127.0.0.1:PORT (9090 unless told) and, when there is one, the built UI under the same strict
// content security policy as the real server.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const port = Number(process.argv[2] ?? 9090);
const size = process.argv[3] ?? 'few';
const dist = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../dist');
const started = Date.now() - 5_400_000;

const MINUTE = 60_000;
const CSP =
  "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; connect-src 'self'; " +
  "frame-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'self'";

/** The same numbers at the same times, however often they are asked for. */
function noise(seed, at) {
  const value = Math.sin(seed * 127.1 + at * 311.7) * 43758.5453;
  return value - Math.floor(value);
}

function hash(text) {
  let value = 0;
  for (const letter of text) value = (value * 31 + letter.charCodeAt(0)) | 0;
  return Math.abs(value) % 1000;
}

/** Load that comes and goes in waves, in parts of its height. */
function wave(seed, ms, period = 40 * MINUTE) {
  return 0.5 + 0.42 * Math.sin((ms / period) * 2 * Math.PI + seed) + 0.08 * noise(seed, Math.floor(ms / 15_000));
}

const names = size === 'many' ? Array.from({ length: 1200 }, (_, at) => `service-${at}-of-a-rather-large-platform`) : size === 'empty' ? [] : ['checkout', 'demo-service', 'haproxy', 'payments', 'search', 'recommendations-with-a-long-name'];

const health = (name) => (name === 'checkout' ? 'critical' : name === 'search' ? 'warning' : hash(name) % 17 === 3 ? 'unknown' : 'ok');
const reasons = {
  ok: '',
  warning: 'p95 1.8 × its usual for 12 min',
  critical: 'errors 4.2 % of requests since 14:02, usual 0.1 %',
  unknown: 'no sample for 6 min',
};

function serviceRow(name) {
  const now = Date.now();
  const known = health(name) !== 'unknown';
  const seed = hash(name);
  const scaled = name === 'demo-service' || name === 'checkout';
  const rps = known ? 20 + 700 * wave(seed, now) : null;
  const wanted = scaled ? Math.max(1, Math.ceil((rps ?? 0) / 100)) : (seed % 4) + 1;
  return {
    cluster: 'default',
    service: name,
    health: health(name),
    health_reason: reasons[health(name)],
    rps,
    errors_ratio: known ? (name === 'checkout' ? 0.042 : 0.0006) : null,
    p95_seconds: known ? 0.02 + 0.2 * wave(seed + 1, now) : null,
    queue: known ? (seed % 3 ? 0 : 4) : null,
    replicas_ready: known ? wanted : null,
    replicas_wanted: wanted,
    min: scaled ? 1 : null,
    max: scaled ? 8 : null,
    cpu_cores: known ? 0.3 + wave(seed, now) : null,
    memory_bytes: known ? 8e7 + seed * 3e5 : null,
    owner: seed % 2 ? 'shop team' : '',
    orchestrator: scaled ? 'process' : 'swarm',
    autoscaled: scaled,
    mode: scaled ? modes.get(name) : null,
    rps_spark: Array.from({ length: 30 }, (_, at) => (at < 3 && seed % 5 === 0 ? null : 20 + 700 * wave(seed, now - (30 - at) * 2 * MINUTE))),
    last_seen_ms: known ? now - 4000 : now - 6 * MINUTE,
  };
}

const modes = new Map([
  ['demo-service', 'act'],
  ['checkout', 'advise'],
]);

const hostNames = size === 'many' ? Array.from({ length: 400 }, (_, at) => `node-${at}.rack-${at % 12}.example`) : size === 'empty' ? ['vm'] : ['db-01.example', 'node-01', 'node-02', 'node-03'];

function hostRow(host) {
  const seed = hash(host);
  const now = Date.now();
  const bad = host === 'db-01.example';
  return {
    host,
    cluster: 'default',
    room: '',
    rack: '',
    health: bad ? 'warning' : 'ok',
    health_reason: bad ? '/var is 94 % full, full in 5 days' : '',
    cpu_ratio: 0.1 + 0.6 * wave(seed, now),
    memory_ratio: 0.35 + (seed % 40) / 100,
    disk_ratio: bad ? 0.94 : 0.2 + (seed % 50) / 100,
    load1: 0.4 + 3 * wave(seed, now),
    net_bytes_per_second: 4e6 * wave(seed + 2, now),
    pressure_ratio: seed % 2 ? 0.004 : null,
    uptime_seconds: 86_400 * (3 + (seed % 90)),
    containers: size === 'empty' ? 0 : 3 + (seed % 9),
    os: 'Debian GNU/Linux 12',
    cores: 4,
    memory_bytes: 16 * 2 ** 30,
    last_seen_ms: now - 3000,
    cpu_spark: Array.from({ length: 30 }, (_, at) => 0.1 + 0.6 * wave(seed, now - (30 - at) * 2 * MINUTE)),
  };
}

const chart = (id, unit, queries, extra = {}) => ({
  id,
  title_key: `chart.${id}`,
  unit,
  queries: queries.map(([expr, legend]) => ({ expr, legend })),
  step_lines: false,
  thresholds: [],
  forecast: null,
  ...extra,
});

function hostCharts(host) {
  const on = `{instance="${host}"}`;
  return [
    chart('host.cpu', 'ratio', [[`sum by (mode) (rate(node_cpu_seconds_total${on}[1m]))`, '{{mode}}']]),
    chart('host.load', 'count', [[`node_load1${on}`, '1 min'], [`node_load5${on}`, '5 min']], { thresholds: [{ value: 4, label_key: 'threshold.limit' }] }),
    chart('host.memory', 'bytes', [[`node_memory_MemTotal_bytes${on} - node_memory_MemAvailable_bytes${on}`, 'used']]),
    chart('host.pressure', 'ratio', [[`rate(node_pressure_cpu_waiting_seconds_total${on}[1m])`, 'CPU'], [`rate(node_pressure_io_waiting_seconds_total${on}[1m])`, 'I/O']]),
    chart('host.disk_io', 'bytes_per_second', [[`rate(node_disk_read_bytes_total${on}[1m])`, 'read {{device}}'], [`rate(node_disk_written_bytes_total${on}[1m])`, 'written {{device}}']]),
    chart('host.network', 'bytes_per_second', [[`rate(node_network_receive_bytes_total${on}[1m])`, 'in {{device}}'], [`rate(node_network_transmit_bytes_total${on}[1m])`, 'out {{device}}']]),
  ];
}

function serviceCharts(service) {
  return [
    chart('service.rps', 'rps', [[`sum(rate(haproxy_backend_http_requests_total{proxy="${service}"}[1m]))`, 'requests']], {
      forecast: { query: `tidewatch_forecast{service="${service}"}` },
    }),
    chart('service.errors', 'ratio', [[`errors_ratio{service="${service}"}`, 'errors']], { thresholds: [{ value: 0.05, label_key: 'threshold.critical' }] }),
    chart('service.latency', 'seconds', [[`histogram_quantile(0.95, request_duration_seconds_bucket{service="${service}"})`, 'p95'], [`histogram_quantile(0.5, request_duration_seconds_bucket{service="${service}"})`, 'p50']]),
    chart('service.replicas', 'count', [[`replicas_ready{service="${service}"}`, 'ready'], [`replicas_wanted{service="${service}"}`, 'wanted']], { step_lines: true }),
  ];
}

const changes = () =>
  size === 'empty'
    ? []
    : [
        [3, 'scale', 'demo-service', '3 → 5: 412 RPS needs 5 replicas at 100 RPS each', 'autoscaler'],
        [9, 'alert', 'checkout', 'CheckoutErrors fires: 4.2 % of requests fail', 'rules'],
        [12, 'deploy', 'checkout', 'image checkout:1.42.0 → checkout:1.43.0', 'swarm'],
        [21, 'new_log_pattern', 'payments', 'connection to <*> refused, retry in <*> s', 'patterns'],
        [33, 'restart', 'search', 'search.2 exited with 137 and was started again', 'swarm'],
        [48, 'config', '', 'tidewatch.yaml loaded', 'operator'],
      ].map(([ago, kind, service, summary, actor]) => ({ time_ms: minuteStart() - ago * MINUTE, kind, cluster: 'default', service, subject: '', actor, summary, details: {} }));

/** Events stand still while the page is refreshed. */
const minuteStart = () => started + 5_400_000;

const alert = (rule, severity, service, state, ago, value, summary, ticket, resolvedAgo = null) => ({
  rule,
  group: 'demo',
  fingerprint: hash(rule + service + ago).toString(16).padStart(16, '0'),
  labels: { alertname: rule, severity, service },
  annotations: { summary },
  state,
  value,
  expression: `sum(rate(http_errors_total{service="${service}"}[5m])) / sum(rate(http_requests_total{service="${service}"}[5m])) > 0.02`,
  active_at_ms: minuteStart() - (ago + 1) * MINUTE,
  fired_at_ms: state === 'pending' ? null : minuteStart() - ago * MINUTE,
  resolved_at_ms: resolvedAgo === null ? null : minuteStart() - resolvedAgo * MINUTE,
  ticket_id: ticket,
});

const alerts = () =>
  size === 'empty'
    ? []
    : [
        alert('CheckoutErrors', 'critical', 'checkout', 'firing', 9, '4.2e-02', 'checkout fails 4.2 % of its requests', 12),
        alert('SlowSearch', 'warning', 'search', 'firing', 14, '2.15e-01', 'search p95 is 215 ms, 1.8 times its usual', 11),
        alert('QueueGrows', 'warning', 'payments', 'pending', 1, '4', 'payments has 4 requests waiting', null),
      ];

const pastAlerts = () => (size === 'empty' ? [] : [...alerts(), alert('HighLoad', 'warning', 'demo-service', 'resolved', 44, '5.1e+02', 'demo-service carries 510 RPS', 10, 31), alert('HighLoad', 'warning', 'demo-service', 'resolved', 25, '6.2e+02', 'demo-service carries 620 RPS', 10, 19)]);

const tickets =
  size === 'empty'
    ? []
    : [
        [12, 'checkout fails 4.2 % of its requests', 'critical', 'checkout', 'open', null, 9],
        [11, 'search p95 is 215 ms', 'warning', 'search', 'acknowledged', 'Ada', 14],
        [10, 'demo-service carries 510 RPS', 'warning', 'demo-service', 'resolved', 'Lin', 44],
      ].map(([id, title, severity, service, state, owner, ago]) => ({
        id,
        title,
        severity,
        service,
        state,
        owner,
        opened_at_ms: minuteStart() - ago * MINUTE,
        updated_at_ms: minuteStart() - (ago - 2) * MINUTE,
        resolved_at_ms: state === 'resolved' ? minuteStart() - 31 * MINUTE : null,
        timeline: [
          { time_ms: minuteStart() - ago * MINUTE, actor: 'tidewatch', text: 'opened by alert' },
          { time_ms: minuteStart() - (ago - 1) * MINUTE, actor: 'tidewatch', text: 'a deploy of checkout:1.43.0 happened 3 min before' },
          ...(owner ? [{ time_ms: minuteStart() - (ago - 2) * MINUTE, actor: owner, text: 'acknowledged: looking at the index' }] : []),
        ],
        evidence: [`sum(rate(http_requests_total{service="${service}"}[1m]))`, `errors_ratio{service="${service}"}`],
      }));

const seen = () => [
  { name: 'rps', value: 412.4, age_ms: 1200, query: 'sum(rate(haproxy_backend_http_requests_total{proxy="demo-service"}[30s]))', note: '' },
  { name: 'cpu', value: 0.62, age_ms: 2300, query: 'avg(rate(container_cpu_usage_seconds_total{service="demo-service"}[30s]))', note: '' },
  { name: 'forecast_rps', value: null, age_ms: null, query: 'forecast', note: 'needs 10 min of history' },
];

const decision = (id, ago, from, to, reason, state, result, service = 'demo-service') => ({
  id,
  time_ms: minuteStart() - ago * MINUTE,
  cluster: 'default',
  service,
  policy: 'demo',
  orchestrator: 'process',
  from,
  to,
  ready: from,
  mode: modes.get(service),
  reason,
  seen: seen(),
  candidates: [
    { name: 'target_rps', replicas: to, reason: '412 RPS / 100 per replica = 4.12, rounded up' },
    { name: 'target_cpu', replicas: Math.max(1, to - 1), reason: '0.62 cores / 0.70 × 5 = 4.4, rounded up' },
  ],
  guards: [
    { guard: 'bounds', before: to, after: to, reason: 'within 1 and 8' },
    { guard: 'stabilization', before: to, after: to, reason: 'scaling out does not wait' },
    { guard: 'cooldown', before: to, after: to, reason: 'last change 62 s ago, 10 s wanted' },
  ],
  state,
  result,
  acted_at_ms: state === 'verified' || state === 'acted' ? minuteStart() - ago * MINUTE + 300 : null,
  finished_at_ms: state === 'verified' ? minuteStart() - ago * MINUTE + 8000 : null,
});

const decisions = () =>
  size === 'empty'
    ? []
    : [
        decision(7, 3, 3, 5, '412 RPS needs 5 replicas at 100 RPS each', 'verified', 'ready after 8 s, load per replica back to 83'),
        decision(6, 11, 6, 3, '260 RPS for 15 s needs 3 replicas at 100 RPS each', 'verified', 'removed after 4 s, no request failed'),
        decision(5, 24, 3, 6, '545 RPS needs 6 replicas at 100 RPS each', 'verified', 'ready after 9 s, load per replica back to 91'),
        decision(4, 37, 1, 3, '231 RPS needs 3 replicas at 100 RPS each', 'failed', 'replica demo-service.3 did not become ready within 30 s'),
        decision(8, 6, 2, 4, 'checkout: 388 RPS needs 4 replicas at 100 RPS each', 'awaiting_approval', '', 'checkout'),
      ];

let stopped = null;
const scaled = () =>
  (size === 'empty' ? [] : ['demo-service', 'checkout']).map((service) => ({
    cluster: 'default',
    service,
    policy: 'demo',
    orchestrator: 'process',
    mode: modes.get(service),
    min: 1,
    max: 8,
    wanted: service === 'checkout' ? 2 : 5,
    ready: service === 'checkout' ? 2 : 5,
    targets: ['100 RPS per replica', '70 % CPU'],
    seen: seen(),
    load_query: `sum(rate(haproxy_backend_http_requests_total{proxy="${service}"}[30s]))`,
    forecast_query: `tidewatch_forecast{service="${service}",quantile="upper80"}`,
    forecast_selector: `tidewatch_forecast{service="${service}"}`,
    target_per_replica: 100,
    status: 'holding 5: 412 RPS fits 5 replicas; forecast unknown, so nothing is given back',
    last_round_ms: Date.now() - 2000,
    hold_seconds: 15,
    startup_seconds: 8.2,
    capacity: service === 'checkout' ? null : { unit: 'RPS', per_replica: 124, by: 'cpu', now: 620, most: 992, most_replicas: 8, words: '' },
    notes: service === 'demo-service' ? ['this policy holds 15 s only; for a demo'] : [],
    held: {
      paused: pauses.get(service) ?? { in: false, out: false },
      paused_by: 'operator',
      paused_by_policy: { in: false, out: false },
      frozen_since_ms: frozen.has(service) ? started : null,
      frozen_reason: frozen.has(service) ? 'the orchestrator refused 3 times: no quota left' : '',
      windows: [],
    },
  }));

const pauses = new Map();
const frozen = new Set(['checkout']);
const audit = [];
const note = (action, subject, facts, why) => audit.unshift({ time_ms: Date.now(), actor: 'operator', action, subject, facts, why: why ?? '' });
const freezeWindows = () => [
  { name: 'sale', services: [], closes: { in: true, out: false }, open: true, from_ms: minuteStart() - 60 * MINUTE, to_ms: minuteStart() + 600 * MINUTE, days: [], start: '', end: '', time_zone: '' },
  { name: 'settlement', services: ['checkout'], closes: { in: true, out: true }, open: false, from_ms: minuteStart() + 300 * MINUTE, to_ms: minuteStart() + 360 * MINUTE, days: ['mon', 'tue', 'wed', 'thu', 'fri'], start: '23:30', end: '00:30', time_zone: 'Asia/Shanghai' },
];

/** Kept policies by name: their versions, newest first. */
const kept = new Map([
  [
    'checkout',
    [
      { version: 2, time_ms: started, actor: 'ann', policy: { service: 'checkout', max: 8, min: 2, mode: 'advise', targets: [{ kind: 'rps', value: 100 }] } },
      { version: 1, time_ms: started - 60 * MINUTE, actor: 'bob', policy: { service: 'checkout', max: 4, targets: [{ kind: 'rps', value: 80 }] } },
    ],
  ],
]);
const keptPolicy = (name) => {
  const last = kept.get(name)?.[0];
  return last?.policy ? { name, service: last.policy.service, from_file: false, version: last.version, updated_at_ms: last.time_ms, actor: last.actor, problem: '', policy: last.policy } : null;
};
const filePolicy = { name: 'demo', service: 'demo-service', from_file: true, version: 0, updated_at_ms: null, actor: '', problem: '', policy: { service: 'demo-service', name: 'demo', min: 1, max: 8, mode: null, notes: [], targets: [{ kind: 'rps', value: 100, query: null }], hold: '15s' } };
const policies = () => (size === 'empty' ? [] : [filePolicy, ...[...kept.keys()].map(keptPolicy).filter(Boolean)]);
const mistakesOf = (policy) => [
  ...(typeof policy.service === 'string' ? [] : [{ path: '', message: 'missing field `service`' }]),
  ...(Number.isInteger(policy.max) && policy.max >= (policy.min ?? 1) ? [] : [{ path: 'max', message: `want a number from min (${policy.min ?? 1}) to 10000` }]),
  ...(policy.targets ?? []).flatMap((target, at) => (['rps', 'cpu', 'promql'].includes(target?.kind) ? [] : [{ path: `targets[${at}].kind`, message: `unknown "${target?.kind}"; want rps, cpu or promql` }])),
];

async function policyCall(request, name, part, query) {
  const object = name === 'demo' ? filePolicy : keptPolicy(name);
  if (part === 'check') return { problems: mistakesOf(await body(request)) };
  if (request.method === 'PUT') {
    const policy = await body(request);
    const version = (kept.get(name)?.[0].version ?? 0) + 1;
    kept.set(name, [{ version, time_ms: Date.now(), actor: 'operator', policy }, ...(kept.get(name) ?? [])]);
    note('scaling.policy.put', name, String(version), query.get('why'));
    return { policy: keptPolicy(name) };
  }
  if (request.method === 'DELETE') {
    kept.get(name)?.unshift({ version: kept.get(name)[0].version + 1, time_ms: Date.now(), actor: 'operator', policy: null });
    note('scaling.policy.delete', name, '', query.get('why'));
    return { name, removed: true };
  }
  return object || kept.has(name) ? { policy: object, versions: kept.get(name) ?? [] } : notFound;
}

function ledger(query) {
  const by = query.get('by') ?? 'service';
  const from = Number(query.get('from')) * 1000;
  const to = Number(query.get('to')) * 1000;
  const hours = Array.from({ length: Math.min(2000, Math.ceil((to - from) / (60 * MINUTE))) }, (_, at) => from + at * 60 * MINUTE);
  const sum = (key, part) => ({ key, replica_seconds: 3600 * 7 * part * (by === 'hour' ? 1 : hours.length), cost: 0.04 * 7 * part * hours.length });
  const keys = { service: [['demo-service', 0.7], ['checkout', 0.3]], team: [['shop', 0.3], ['', 0.7]], cluster: [['default', 1]] };
  const rows = size === 'empty' ? [] : by === 'hour' ? hours.map((ms, at) => sum(String(ms), 0.6 + 0.4 * noise(3, at))) : keys[by].map(([key, part]) => sum(key, part));
  return { from_ms: from, to_ms: to, by, rows, total: { ...sum('', 1), ...(size === 'empty' ? { replica_seconds: 0, cost: 0 } : {}) } };
}

const sources = () => [
  { name: 'host', kind: 'metrics', healthy: true, reading: '/proc', problem: '', delivered: 1_284_112, malformed: 0, last_ms: Date.now() - 2000 },
  { name: 'containers', kind: 'metrics', healthy: true, reading: 'cgroup v2', problem: '', delivered: 84_211, malformed: 0, last_ms: Date.now() - 3000 },
  { name: 'self', kind: 'metrics', healthy: true, reading: 'in process', problem: '', delivered: 310_877, malformed: 0, last_ms: Date.now() - 1000 },
  { name: 'system_logs', kind: 'logs', healthy: false, reading: 'journal', problem: 'no permission to read the journal: add the user to group systemd-journal', delivered: 0, malformed: 0, last_ms: null },
];

/** What a query answers: by the names in it. */
function answer(expr, startMs, endMs, stepMs) {
  const stop = expr.indexOf('?');
  if (stop >= 0 || /[({]\s*$/.test(expr)) {
    const offset = stop >= 0 ? stop : expr.length;
    return { problem: { kind: 'invalid', message: stop >= 0 ? 'unexpected character: "?"' : 'unexpected end of the query', position: { line: 1, column: offset + 1, offset, end: offset + 1 } } };
  }
  const service = /(?:service|proxy)="([^"]+)"/.exec(expr)?.[1];
  let sets = [{ instance: '127.0.0.1:9100', ...(service ? { service } : {}) }];
  if (expr.includes('by (mode)')) sets = ['user', 'system', 'iowait', 'idle'].map((mode) => ({ mode }));
  else if (expr.includes('device') || /disk|network/.test(expr)) sets = ['eth0', 'lo'].map((device) => ({ device }));
  else if (expr.includes('by (instance)')) sets = hostNames.slice(0, 30).map((instance) => ({ instance }));
  else if (/^sum\(/.test(expr)) sets = [{}];
  if (expr === 'up') sets = hostNames.map((instance) => ({ __name__: 'up', job: 'node', instance }));
  if (expr.startsWith('tidewatch_forecast')) sets = ['mean', 'lower80', 'upper80', 'lower95', 'upper95'].map((quantile) => ({ quantile, horizon: '10m' }));
  if (expr === 'nothing') sets = [];
  const scale = expr === 'up' ? 0 : /ratio|^1 -/.test(expr) ? 0.8 : /cpu|pressure/.test(expr) ? 0.7 : /bytes/.test(expr) ? (/rate/.test(expr) ? 5e6 : 1.2e10) : /duration|latency/.test(expr) ? 0.25 : /replicas/.test(expr) ? 6 : /load/.test(expr) ? 4 : 620;
  const matrix = sets.map((labels, at) => {
    const seed = hash(JSON.stringify(labels)) / 50 + at;
    const quantile = labels.quantile ?? '';
    const edge = 1 + (quantile.startsWith('lower') ? -1 : quantile.startsWith('upper') ? 1 : 0) * (quantile.endsWith('95') ? 0.25 : 0.15);
    const phase = /haproxy|forecast/.test(expr) ? 1 : seed;
    const points = [];
    for (let ms = startMs; ms <= endMs; ms += stepMs) {
      // A gap, as after a restart.
      if (size === 'few' && at === 0 && ms > minuteStart() - 41 * MINUTE && ms < minuteStart() - 38 * MINUTE && !/forecast/.test(expr)) continue;
      let value = scale === 0 ? 1 : scale * edge * wave(phase, ms + (labels.horizon ? 10 * MINUTE : 0));
      if (/replicas/.test(expr)) value = Math.round(value);
      points.push([ms, value]);
    }
    return { labels, points };
  });
  return { matrix };
}

const words = ['GET /cart 200 in 12 ms', 'GET /checkout 503 in 2014 ms', 'connection to 10.0.3.7:5432 refused, retry in 2 s', 'cache miss for key product:4711', 'user 8812 logged in', 'slow query: SELECT … took 812 ms'];
const severities = ['info', 'error', 'error', 'debug', 'info', 'warning'];
const pattern = (at) => (0xabc0 + at).toString(16).padStart(16, '0');

function logRow(ms, seed) {
  const at = Math.floor(noise(seed, ms) * words.length);
  return {
    cursor: `${ms}-${seed}`,
    time_ns: `${ms}000000`,
    time_ms: ms,
    service: names[at % Math.max(1, names.length)] ?? 'kernel',
    severity: severities[at],
    body: words[at],
    labels: { host: hostNames[0] },
    fields: at === 1 ? { status: '503', duration_ms: '2014', backend: 'demo' } : { duration_ms: '12' },
    pattern_id: pattern(at),
  };
}

const report = (id) => ({
  id,
  title: `Inspection of the last ${id === 1 ? 'hour' : 'day'}`,
  subject: 'inspection',
  language: 'en',
  from_ms: minuteStart() - 60 * MINUTE,
  to_ms: minuteStart(),
  created_at_ms: minuteStart() - id * MINUTE,
  summary: '6 services, 2 alerts, 4 scalings; no request failed on demo-service; checkout fails 4.2 % since 1.43.0.',
});
const reports = size === 'empty' ? [] : [report(1), report(2)];
const reportHtml = (id) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>Report ${id}</title><style>body{font:14px system-ui;max-width:720px;margin:32px auto;padding:0 16px;color:#18222c}h1{font-size:22px}</style><h1>${report(id).title}</h1><p>${report(id).summary}</p><h2>Decisions</h2><ul>${decisions().map((d) => `<li>${d.from} → ${d.to}: ${d.reason}</li>`).join('')}</ul></html>`;

const status = () => ({
  version: '0.1.0',
  started_at_ms: started,
  data_dir: '/var/lib/tidewatch',
  config_file: '',
  config_yaml: 'global:\n  scrape_interval: 15s\nsources:\n  host: {}\n  containers: {}\n  self: {}\n  system_logs: {}\n',
  config_problem: '',
  config_loaded_at_ms: started,
  memory: [
    ['metrics_head', 512, 188],
    ['logs_head', 256, 41],
    ['queries', 512, 12],
    ['block_cache', 256, 243],
    ['ingest', 128, 3],
  ].map(([name, limit, used]) => ({ name, limit_bytes: limit * 2 ** 20, used_bytes: used * 2 ** 20 })),
  memory_limit_bytes: 2 * 2 ** 30,
  resident_bytes: 311 * 2 ** 20,
  store: {
    head_series: 4812,
    head_samples: 1_900_221,
    head_min_time_ms: started,
    head_max_time_ms: Date.now(),
    blocks: 3,
    blocks_bytes: 18_332_112,
    metrics_wal_bytes: 44_120_000,
    splits: 5,
    splits_bytes: 7_220_000,
    logs_wal_bytes: 1_200_000,
    head_records: 2210,
    split_records: 88_412,
    damaged: [],
    refusing_writes: '',
  },
  tasks: tasks(),
  warnings: size === 'empty' ? [] : ['system_logs: no permission to read the journal: add the user to group systemd-journal'],
});

const tasks = () => [
  { name: 'compact metrics', interval_seconds: 60, last_run_ms: Date.now() - 21_000, last_seconds: 0.31, last_result: 'merged 2 blocks', failed: false },
  { name: 'evaluate rules', interval_seconds: 15, last_run_ms: Date.now() - 4000, last_seconds: 0.008, last_result: '6 rules', failed: false },
  { name: 'retention', interval_seconds: 600, last_run_ms: null, last_seconds: 0, last_result: '', failed: false },
];

const rules = () => ({
  groups:
    size === 'empty'
      ? []
      : [
          {
            name: 'demo',
            file: 'rules/demo.yml',
            interval_seconds: 15,
            last_evaluation_ms: Date.now() - 4000,
            rules: [
              ['CheckoutErrors', true, 'sum(rate(http_errors_total{service="checkout"}[5m])) / sum(rate(http_requests_total{service="checkout"}[5m])) > 0.02', 'ok', ''],
              ['SlowSearch', true, 'histogram_quantile(0.95, sum by (le) (rate(request_duration_seconds_bucket{service="search"}[5m]))) > 0.2', 'ok', ''],
              ['QueueGrows', true, 'haproxy_backend_current_queue > 2', 'ok', ''],
              ['service:rps', false, 'sum by (service) (rate(http_requests_total[1m]))', 'ok', ''],
              ['Broken', true, 'sum(rate(no_such[5m]) > on() group_left up', 'err', 'many-to-many matching is not allowed at character 21'],
            ].map(([name, alerting, query, state, error]) => ({
              name,
              alerting,
              query,
              for_seconds: 60,
              labels: { severity: name === 'CheckoutErrors' ? 'critical' : 'warning' },
              annotations: {},
              health: state,
              last_error: error,
              last_evaluation_ms: Date.now() - 4000,
              evaluation_seconds: 0.0012,
              alerts: alerts().filter((one) => one.rule === name),
            })),
          },
        ],
});

const metricNames = ['node_cpu_seconds_total', 'node_memory_MemAvailable_bytes', 'node_memory_MemTotal_bytes', 'node_network_receive_bytes_total', 'node_load1', 'up', 'haproxy_backend_http_requests_total', 'request_duration_seconds_bucket', ...Array.from({ length: 300 }, (_, at) => `demo_metric_${at}_total`)];

function body(request) {
  return new Promise((resolve) => {
    let text = '';
    request.on('data', (part) => (text += part));
    request.on('end', () => resolve(text ? JSON.parse(text) : {}));
  });
}

function stream(response, every, make) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  response.write(': hello\n\n');
  const timer = setInterval(() => response.write(make()), every);
  response.on('close', () => clearInterval(timer));
}

const notFound = { status: 404, error: { kind: 'not_found', message: 'there is no such thing', position: null } };

/** What a policy would have done on a wave. */
function replayed({ policy = {}, from_ms: fromMs, to_ms: toMs }) {
  const steps = Math.min(1440, Math.floor((toMs - fromMs) / 15_000));
  const stepMs = Math.floor((toMs - fromMs) / steps);
  const load = Array.from({ length: steps }, (_, at) => 20 + 700 * wave(3, fromMs + at * stepMs, 240 * MINUTE));
  const most = policy.max ?? 10;
  const need = (at, share) => Math.min(most, Math.max(1, Math.ceil(load[Math.max(0, Math.min(at, steps - 1))] / share)));
  const way = (by, wanted, bad) => ({
    by,
    wanted,
    ready: wanted.map((count, at) => Math.min(count, wanted[Math.max(0, at - 3)])),
    bad_ratio: bad,
    bad_minutes: Math.round(bad * 900),
    replica_hours: (wanted.reduce((sum, count) => sum + count, 0) * stepMs) / 3_600_000,
    actions: wanted.filter((count, at) => at > 0 && count !== wanted[at - 1]).length,
    reversals: by === 'fixed' ? 0 : Math.round(bad * 2000),
  });
  const text = '2 gaps in the recorded load, the longest 4m, bridged by straight lines';
  return {
    policy: policy.name ?? policy.service ?? 'policy',
    service: policy.service ?? '',
    start_ms: fromMs,
    step_ms: stepMs,
    query: 'sum(rate(haproxy_backend_http_requests_total[1m]))',
    unit: 'RPS',
    per_replica: 100,
    startup_seconds: 8.4,
    startup_measured: true,
    notes: [text],
    load,
    outcomes: [
      way('policy', load.map((_, at) => need(at + 4, 95)), 0.0011),
      way('hpa', load.map((_, at) => need(at - 4, 70)), 0.0079),
      way('fixed', load.map(() => Math.min(most, 8)), 0),
      way('actual', load.map((_, at) => need(at - 8, 80)), 0.0052),
    ],
    sentences: [{ key: 'replay.gaps', args: { count: '2', longest: '4m' }, text }],
  };
}

async function api(request, url, response) {
  const query = url.searchParams;
  const from = Number(query.get('from_ms') ?? Date.now() - 60 * MINUTE);
  const to = Number(query.get('to_ms') ?? Date.now());
  const parts = url.pathname.slice('/api/v1/'.length).split('/').map(decodeURIComponent);
  const where = parts.join('/');
  const badQuery = (query.get('q') ?? '').includes('((') ? { status: 400, error: { kind: 'invalid', message: 'a parenthesis is not closed', position: { line: 1, column: 2, offset: 1, end: 2 } } } : null;
  switch (where) {
    case 'session':
      return { version: '0.1.0', language: null, tenant: 'default', now_ms: Date.now(), started_at_ms: started, auth: 'none' };
    case 'events':
      return stream(response, 20_000, () => ': keep-alive\n\n');
    case 'search': {
      const text = (query.get('q') ?? '').toLowerCase();
      const all = [
        ...names.map((name) => ({ kind: 'service', title: name, detail: health(name), href: `/services/${encodeURIComponent(name)}` })),
        ...hostNames.map((name) => ({ kind: 'host', title: name, detail: 'Debian GNU/Linux 12', href: `/hosts/${encodeURIComponent(name)}` })),
        ...metricNames.map((name) => ({ kind: 'metric', title: name, detail: 'counter', href: `/explore?q=${encodeURIComponent(name)}` })),
        ...tickets.map((ticket) => ({ kind: 'ticket', title: `#${ticket.id} ${ticket.title}`, detail: ticket.state, href: `/tickets/${ticket.id}` })),
      ];
      return { items: all.filter((item) => item.title.toLowerCase().includes(text)).slice(0, 20) };
    }
    case 'overview': {
      const rows = names.map(serviceRow);
      const bad = rows.filter((row) => row.health === 'critical' || row.health === 'warning');
      return {
        sentence: { key: bad.length ? 'overview.attention' : 'overview.fine', args: { services: rows.length, hosts: hostNames.length, containers: 31, unhealthy: bad.length } },
        counts: { services: rows.length, hosts: hostNames.length, containers: size === 'empty' ? 0 : 31, alerts_firing: alerts().filter((one) => one.state === 'firing').length, tickets_open: tickets.filter((one) => one.state !== 'resolved').length },
        attention: bad.slice(0, 8).map((row) => ({ severity: row.health, what: `${row.service}: ${row.health_reason}`, since_ms: minuteStart() - 9 * MINUTE, subject: row.service, href: `/services/${encodeURIComponent(row.service)}` })),
        services: rows,
        changes: changes(),
        collecting: size === 'empty',
        sources: sources(),
      };
    }
    case 'services':
      return { services: names.map(serviceRow) };
    case 'hosts':
      return { hosts: hostNames.map(hostRow) };
    case 'query_batch': {
      const asked = await body(request);
      return {
        results: asked.queries.map(({ id, expr }) => {
          const { matrix = [], problem = null } = answer(expr, asked.start_ms, asked.end_ms, asked.step_ms);
          return { id, matrix, error: problem, stats: { series: matrix.length, samples: matrix.reduce((sum, one) => sum + one.points.length, 0), ms: 3.2 }, warnings: [] };
        }),
      };
    }
    case 'format_query':
      return { status: 'success', data: (query.get('query') ?? '').replace(/\s+/g, ' ').trim() };
    case 'metadata':
      return { status: 'success', data: { node_cpu_seconds_total: [{ type: 'counter', help: 'Seconds the CPUs spent in each mode.', unit: '' }], node_load1: [{ type: 'gauge', help: '1 minute load average.', unit: '' }] } };
    case 'labels':
      return { status: 'success', data: ['__name__', 'instance', 'job', 'mode', 'device', 'service'] };
    case 'series':
      return { status: 'success', data: [{ __name__: 'node_cpu_seconds_total', instance: 'node-01', mode: 'idle' }] };
    case 'alerts':
      return { status: 'success', data: { alerts: alerts().map((one) => ({ labels: one.labels, annotations: one.annotations, state: one.state, activeAt: new Date(one.active_at_ms).toISOString(), value: one.value })) } };
    case 'targets':
      return {
        status: 'success',
        data: {
          activeTargets:
            size === 'empty'
              ? []
              : [
                  ['haproxy', 'http://127.0.0.1:8404/metrics', 'up', ''],
                  ['node', 'http://node-01:9100/metrics', 'up', ''],
                  ['node', 'http://node-02:9100/metrics', 'down', 'connection refused; is the exporter running?'],
                ].map(([pool, url, state, error]) => ({ discoveredLabels: {}, labels: { job: pool, instance: new URL(url).host }, scrapePool: pool, scrapeUrl: url, globalUrl: url, lastError: error, lastScrape: new Date(Date.now() - 4000).toISOString(), lastScrapeDuration: 0.0123, health: state, scrapeInterval: '15s', scrapeTimeout: '10s' })),
          droppedTargets: [],
          droppedTargetCounts: { node: size === 'empty' ? 0 : 3 },
        },
      };
    case 'logs/search': {
      if (badQuery) return badQuery;
      const limit = Number(query.get('limit') ?? 100);
      const after = Number((query.get('after') ?? '').split('-')[0]) || to;
      const count = size === 'empty' ? 0 : limit;
      const records = Array.from({ length: count }, (_, at) => logRow(after - 400 - at * 700, at)).filter((row) => row.time_ms > from);
      return { records, next: records.length === limit ? records.at(-1).cursor : null };
    }
    case 'logs/histogram': {
      if (badQuery) return badQuery;
      const n = Number(query.get('buckets') ?? 60);
      const step = (to - from) / n;
      return {
        step_ms: step,
        buckets: Array.from({ length: n }, (_, at) => {
          const ms = from + at * step;
          const height = size === 'empty' ? 0 : Math.round(200 * wave(2, ms));
          return { start_ms: ms, counts: height ? { info: height, warning: Math.round(height / 9), error: Math.round((height / 6) * noise(3, at)), debug: Math.round(height / 4) } : {} };
        }),
      };
    }
    case 'logs/facets':
      return {
        facets: [
          { name: 'service', values: names.slice(0, 6).map((value, at) => ({ value, count: 9000 >> at })) },
          { name: 'severity', values: ['info', 'debug', 'error', 'warning'].map((value, at) => ({ value, count: 12_000 >> at })) },
          { name: 'host', values: hostNames.slice(0, 3).map((value, at) => ({ value, count: 7000 >> at })) },
          { name: 'status', values: ['200', '503'].map((value, at) => ({ value, count: 5000 >> (at * 3) })) },
        ],
      };
    case 'logs/fields':
      return { fields: ['status', 'duration_ms', 'backend'].map((value) => ({ value, count: 100 })) };
    case 'logs/patterns':
      return {
        total: words.length,
        patterns: (size === 'empty' ? [] : ['GET <*> <*> in <*> ms', 'GET /checkout <*> in <*> ms', 'connection to <*> refused, retry in <*> s', 'cache miss for key <*>', 'user <*> logged in', 'slow query: <*> took <*> ms']).map((template, at) => ({
          pattern_id: pattern(at),
          template,
          service: names[at % names.length],
          count: 12_000 >> at,
          share: 0.5 / 2 ** at,
          buckets: Array.from({ length: 30 }, (_, bucket) => Math.round(40 * noise(at, bucket))),
          first_seen_ms: minuteStart() - (at === 2 ? 21 : 4000) * MINUTE,
          new: at === 2,
          example: words[at],
        })),
      };
    case 'logs/tail':
      return stream(response, 700, () => `event: record\ndata: ${JSON.stringify(logRow(Date.now(), Math.random() * 100))}\n\n`);
    case 'alerts/history':
      return { alerts: pastAlerts() };
    case 'alerting/rules':
      return rules();
    case 'tickets':
      return { tickets };
    case 'scaling/services':
      return { services: scaled(), stopped, freeze_windows: size === 'empty' ? [] : freezeWindows() };
    case 'scaling/policies':
      return { policies: policies() };
    case 'scaling/replay':
      return replayed(await body(request));
    case 'scaling/ledger':
      return ledger(query);
    case 'scaling/audit':
      return { changes: audit };
    case 'scaling/decisions':
      return { decisions: decisions().filter((one) => !query.get('service') || one.service === query.get('service')) };
    case 'scaling/stop': {
      const asked = await body(request);
      stopped = asked.stopped ? { since_ms: Date.now(), actor: 'operator' } : null;
      note(stopped ? 'scaling.stop' : 'scaling.resume', '', '', asked.why);
      return { stopped };
    }
    case 'reports': {
      if (request.method === 'GET') return { reports };
      const asked = await body(request);
      const made = { ...report(1), ...asked, id: reports.length + 1, created_at_ms: Date.now() };
      reports.push(made);
      return { id: made.id };
    }
    case 'sources':
      return { sources: sources() };
    case 'tasks':
      return { tasks: tasks() };
    case 'status':
      return status();
    case 'admin/flush':
    case 'admin/compact':
    case 'admin/reload':
      return {};
    case 'cardinality':
      return { series: 4812, metrics: metricNames.slice(0, 20).map((name, at) => ({ name, series: 900 >> Math.floor(at / 2) })), labels: [{ name: 'instance', values: 40 }, { name: 'device', values: 12 }, { name: 'mode', values: 8 }], pairs: [{ name: 'job=node', series: 1200 }, { name: 'instance=10.0.0.1:9100', series: 130 }], churn: { hours: Array.from({ length: 24 }, (_, at) => ({ start_ms: minuteStart() - (24 - at) * 60 * MINUTE, created: Math.round(40 * (1 + wave(2, at * MINUTE))) })), metrics: [{ name: 'container_cpu_usage_seconds_total', created: 12 }] } };
    default:
  }
  if (parts[0] === 'services' && names.includes(parts[1])) {
    const row = serviceRow(parts[1]);
    return {
      service: row,
      instances: Array.from({ length: row.replicas_wanted }, (_, at) => ({ id: `${row.service}.${at + 1}`, servers: [`${row.service}${at + 1}`], host: hostNames[at % hostNames.length], address: `10.0.0.${at + 2}:8000`, ready: row.health === 'unknown' ? null : at < 5, rps: row.rps === null ? null : row.rps / row.replicas_wanted, errors_ratio: row.errors_ratio, p95_seconds: row.p95_seconds, cpu_cores: 0.4, memory_bytes: 6e7, odd: at === 2 })),
      charts: serviceCharts(row.service),
      changes: changes().filter((change) => change.service === row.service),
      decisions: row.autoscaled ? decisions().filter((one) => one.service === row.service) : [],
      alerts: alerts().filter((one) => one.labels.service === row.service),
      policy: scaled().find((one) => one.service === row.service) ?? null,
    };
  }
  if (parts[0] === 'hosts' && hostNames.includes(parts[1])) {
    return {
      host: hostRow(parts[1]),
      charts: hostCharts(parts[1]),
      containers: names.slice(0, 8).map((name, at) => ({ id: hash(name).toString(16).padStart(12, 'a'), name: `${name}.1`, service: name, replica: '1', host: parts[1], image: `registry/${name}:1.4${at}`, cpu_cores: 0.1 * at, memory_bytes: 4e7 * (at + 1), started_at_ms: started })),
      filesystems: [
        { mountpoint: '/', device: '/dev/vda1', fstype: 'ext4', size_bytes: 2.5e11, used_bytes: 9e10, full_in_days: null },
        { mountpoint: '/var', device: '/dev/vdb', fstype: 'xfs', size_bytes: 1e11, used_bytes: 9.4e10, full_in_days: 5.2 },
      ],
      alerts: [],
    };
  }
  if (parts[0] === 'label') return { status: 'success', data: parts[1] === '__name__' ? metricNames : ['node-01', 'node-02'] };
  if (parts[0] === 'tickets') {
    const ticket = tickets.find((one) => String(one.id) === parts[1]);
    if (!ticket) return notFound;
    if (parts[2] === 'update') {
      const asked = await body(request);
      if (asked.state) ticket.state = asked.state;
      if (asked.owner) ticket.owner = asked.owner;
      ticket.resolved_at_ms = asked.state === 'resolved' ? Date.now() : ticket.resolved_at_ms;
      ticket.timeline.push({ time_ms: Date.now(), actor: asked.owner ?? 'operator', text: [asked.state, asked.comment].filter(Boolean).join(': ') });
    }
    return ticket;
  }
  if (parts[0] === 'scaling' && parts[3] === 'mode') {
    const asked = await body(request);
    modes.set(parts[2], asked.mode);
    note('scaling.mode', parts[2], asked.mode, asked.why);
    return {};
  }
  if (parts[0] === 'scaling' && parts[3] === 'pause') {
    const asked = await body(request);
    pauses.set(parts[2], { in: Boolean(asked.in), out: Boolean(asked.out) });
    note('scaling.pause', parts[2], asked.in ? (asked.out ? 'both' : 'in') : asked.out ? 'out' : 'none', asked.why);
    return {};
  }
  if (parts[0] === 'scaling' && parts[3] === 'unfreeze') {
    frozen.delete(parts[2]);
    note('scaling.unfreeze', parts[2], '', (await body(request)).why);
    return {};
  }
  if (parts[0] === 'scaling' && parts[1] === 'policies' && parts[2]) return policyCall(request, parts[2], parts[3], query);
  if (parts[0] === 'scaling' && parts[3] === 'approve') return {};
  if (parts[0] === 'reports' && parts[2] === 'html') {
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'" });
    return void response.end(reportHtml(Number(parts[1])));
  }
  return notFound;
}

const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

async function file(url, response) {
  const wanted = path.join(dist, path.normalize(url.pathname));
  for (const name of [wanted, path.join(dist, 'index.html')]) {
    try {
      const text = await readFile(name);
      response.writeHead(200, { 'Content-Type': TYPES[path.extname(name)] ?? 'application/octet-stream', 'Content-Security-Policy': CSP });
      return response.end(text);
    } catch {
      // Any other path is a page of the UI.
    }
  }
  response.writeHead(404).end('build the UI first: npm run build');
}

createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://localhost');
  if (!url.pathname.startsWith('/api/')) return void file(url, response);
  void api(request, url, response).then((answer) => {
    if (answer === undefined || response.headersSent) return;
    const code = answer.error && !answer.id ? (answer.status ?? 500) : 200;
    response.writeHead(code, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(code === 200 ? answer : { error: answer.error }));
  });
}).listen(port, '127.0.0.1', () => console.log(`mock server (${size}) on http://127.0.0.1:${port}`));
