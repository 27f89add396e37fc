// What the HTTP API answers. Unknown is null, never 0.

export type Health = 'ok' | 'warning' | 'critical' | 'unknown';
export type Labels = Record<string, string>;
type N = number | null;

export interface Session {
  version: string;
  language: string | null;
  tenant: string;
  now_ms: number;
  started_at_ms: number;
  auth: 'none' | 'token';
}

export interface SearchItem {
  kind: 'page' | 'service' | 'host' | 'metric' | 'alert' | 'ticket';
  title: string;
  detail: string;
  href: string;
}

export interface ServiceRow {
  cluster: string;
  service: string;
  health: Health;
  health_reason: string;
  rps: N;
  errors_ratio: N;
  p95_seconds: N;
  queue: N;
  replicas_ready: N;
  replicas_wanted: N;
  min: N;
  max: N;
  cpu_cores: N;
  memory_bytes: N;
  owner: string;
  orchestrator: string;
  autoscaled: boolean;
  mode: Mode | null;
  rps_spark: N[];
  last_seen_ms: N;
}

export interface HostRow {
  host: string;
  cluster: string;
  room: string;
  rack: string;
  health: Health;
  health_reason: string;
  cpu_ratio: N;
  memory_ratio: N;
  disk_ratio: N;
  load1: N;
  net_bytes_per_second: N;
  pressure_ratio: N;
  uptime_seconds: N;
  containers: N;
  os: string | null;
  cores: N;
  memory_bytes: N;
  last_seen_ms: N;
  cpu_spark: N[];
}

export interface ContainerRow {
  id: string;
  name: string;
  service: string;
  replica: string;
  host: string;
  image: string;
  cpu_cores: N;
  memory_bytes: N;
  started_at_ms: N;
}

export interface Filesystem {
  mountpoint: string;
  device: string;
  fstype: string;
  size_bytes: N;
  used_bytes: N;
  full_in_days: N;
}

export interface Instance {
  id: string;
  /** What the load balancers call it. */
  servers: string[];
  host: string;
  address: string;
  ready: boolean | null;
  rps: N;
  errors_ratio: N;
  p95_seconds: N;
  cpu_cores: N;
  memory_bytes: N;
  odd: boolean;
}

export interface Change {
  time_ms: number;
  kind: string;
  cluster: string;
  service: string;
  subject: string;
  actor: string;
  summary: string;
  details: Record<string, string>;
}

export type ChartUnit =
  | 'percent'
  | 'bytes'
  | 'bytes_per_second'
  | 'seconds'
  | 'rps'
  | 'count'
  | 'cores'
  | 'ratio';

export interface Chart {
  id: string;
  title_key: string;
  unit: ChartUnit;
  queries: { expr: string; legend: string }[];
  step_lines: boolean;
  thresholds: { value: number; label_key: string }[];
  /** A selector of the analyzer's forecasts: one series per quantile and horizon. */
  forecast: { query: string } | null;
}

export interface Attention {
  severity: 'critical' | 'warning' | 'unknown';
  what: string;
  since_ms: N;
  subject: string;
  href: string;
}

export interface Overview {
  sentence: { key: string; args: Record<string, number | string> };
  counts: { services: number; hosts: number; containers: number; alerts_firing: number; tickets_open: number };
  attention: Attention[];
  services: ServiceRow[];
  changes: Change[];
  collecting: boolean;
  sources: Source[];
}

export interface ServiceDetail {
  service: ServiceRow;
  instances: Instance[];
  charts: Chart[];
  changes: Change[];
  decisions: Decision[];
  alerts: Alert[];
  policy: ScaledService | null;
}

export interface HostDetail {
  host: HostRow;
  charts: Chart[];
  containers: ContainerRow[];
  filesystems: Filesystem[];
  alerts: Alert[];
}

export type RawValue = number | string | null;

export interface ApiProblem {
  kind: string;
  message: string;
  position: { line: number; column: number; offset: number; end: number } | null;
}

export interface BatchResult {
  id: string;
  matrix: { labels: Labels; points: [number, RawValue][] }[];
  error: ApiProblem | null;
  stats: { series: number; samples: number; ms: number } | null;
  warnings: string[];
}

export interface LogRow {
  cursor: string;
  time_ns: string;
  time_ms: number;
  service: string;
  severity: string;
  body: string;
  labels: Labels;
  fields: Record<string, string | number | boolean | null>;
  pattern_id: string | null;
}

export interface LogBucket {
  start_ms: number;
  counts: Record<string, number>;
}

export interface Facet {
  name: string;
  values: { value: string; count: number }[];
}

export interface LogPattern {
  pattern_id: string;
  template: string;
  service: string | null;
  count: number;
  share: N;
  buckets: number[];
  first_seen_ms: N;
  new: boolean;
  example: string;
}

export interface Alert {
  rule: string;
  group: string;
  fingerprint: string;
  labels: Labels;
  annotations: Labels;
  state: 'pending' | 'firing' | 'resolved' | 'inactive';
  value: string | number;
  expression: string;
  active_at_ms: N;
  fired_at_ms: N;
  resolved_at_ms: N;
  ticket_id: number | string | null;
}

export interface Rule {
  name: string;
  alerting: boolean;
  query: string;
  for_seconds: number;
  labels: Labels;
  annotations: Labels;
  health: string;
  last_error: string;
  last_evaluation_ms: N;
  evaluation_seconds: N;
  alerts: Alert[];
}

export interface RuleGroup {
  name: string;
  file: string;
  interval_seconds: number;
  last_evaluation_ms: N;
  rules: Rule[];
}

export type TicketState = 'open' | 'acknowledged' | 'resolved' | 'closed';

export interface Ticket {
  id: number;
  title: string;
  severity: string;
  service: string;
  state: TicketState;
  owner: string | null;
  opened_at_ms: number;
  updated_at_ms: number;
  resolved_at_ms: N;
  timeline: { time_ms: number; actor: string; text: string }[];
  evidence: string[];
}

export type Mode = 'observe' | 'advise' | 'act';

export interface SeenMetric {
  name: string;
  value: N;
  age_ms: N;
  query: string;
  note: string;
}

export interface Decision {
  id: number;
  time_ms: number;
  cluster: string;
  service: string;
  policy: string;
  orchestrator: string;
  from: number;
  to: number;
  ready: number;
  mode: Mode;
  reason: string;
  seen: SeenMetric[];
  candidates: { name: string; replicas: N; reason: string }[];
  guards: { guard: string; before: number; after: number; reason: string }[];
  state: 'recorded' | 'awaiting_approval' | 'acted' | 'verified' | 'failed' | 'skipped';
  result: string;
  acted_at_ms: N;
  finished_at_ms: N;
}

/** Directions in which a service is not scaled. */
export interface Paused {
  in: boolean;
  out: boolean;
}

/** What keeps a service from being scaled besides its own load. */
export interface Held {
  paused: Paused;
  paused_by: string;
  paused_by_policy: Paused;
  frozen_since_ms: N;
  frozen_reason: string;
  /** Names of the freeze windows that are open for it. */
  windows: string[];
}

export interface FreezeWindow {
  name: string;
  /** All when empty. */
  services: string[];
  closes: Paused;
  open: boolean;
  from_ms: N;
  to_ms: N;
  /** Of a weekly one. */
  days: string[];
  start: string;
  end: string;
  time_zone: string;
}

export interface PolicyObject {
  name: string;
  service: string;
  from_file: boolean;
  version: number;
  updated_at_ms: N;
  actor: string;
  /** Why it is not in force, or empty. */
  problem: string;
  policy: unknown;
}

/** What came of one way to scale; lists have one entry for each step. */
export interface ReplayOutcome {
  by: 'policy' | 'hpa' | 'fixed' | 'actual';
  wanted: number[];
  ready: number[];
  bad_ratio: number;
  bad_minutes: number;
  replica_hours: number;
  actions: number;
  reversals: number;
}

export interface Replay {
  policy: string;
  service: string;
  start_ms: number;
  step_ms: number;
  query: string;
  unit: string;
  per_replica: number;
  startup_seconds: number;
  startup_measured: boolean;
  notes: string[];
  load: number[];
  /** The policy's first. */
  outcomes: ReplayOutcome[];
}

export interface PolicyVersion {
  version: number;
  time_ms: number;
  actor: string;
  /** Null when this version is its removal. */
  policy: unknown;
}

/** A change that a person made to scaling. */
export interface AuditLine {
  time_ms: number;
  actor: string;
  action: string;
  subject: string;
  facts: string;
  why: string;
}

export interface LedgerSum {
  key: string;
  replica_seconds: number;
  cost: number;
}

export interface Ledger {
  from_ms: number;
  to_ms: number;
  by: string;
  rows: LedgerSum[];
  total: LedgerSum;
}

export interface ScaledService {
  cluster: string;
  service: string;
  policy: string;
  orchestrator: string;
  mode: Mode;
  min: number;
  max: number;
  wanted: N;
  ready: N;
  targets: string[];
  seen: SeenMetric[];
  load_query: string;
  forecast_query: string;
  /** Selects the forecasts that the chart shows, all quantiles; null when nothing forecasts the load. */
  forecast_selector: string | null;
  target_per_replica: N;
  status: string;
  last_round_ms: N;
  hold_seconds: number;
  notes: string[];
  held: Held;
  /** How much it carries, as it was learned. */
  capacity?: ServiceCapacity | null;
  /** How long nine of ten replicas took to become ready. */
  startup_seconds?: N;
}

export interface ServiceCapacity {
  /** Of the load: `RPS` … */
  unit: string;
  per_replica: number;
  /** What limits it. */
  by: string;
  /** Load that the ready replicas carry. */
  now: number;
  /** Load that the most replicas it may have carry. */
  most: number;
  most_replicas: number;
}

export interface Stopped {
  since_ms: number;
  actor: string;
}

export interface ReportHead {
  id: number;
  title: string;
  subject: string;
  language: string;
  from_ms: number;
  to_ms: number;
  created_at_ms: number;
  summary: string;
}

export interface Source {
  name: string;
  kind: string;
  healthy: boolean;
  reading: string;
  problem: string;
  delivered: number;
  malformed: number;
  last_ms: N;
}

export interface Task {
  name: string;
  interval_seconds: number;
  last_run_ms: N;
  last_seconds: number;
  last_result: string;
  failed: boolean;
}

export interface ProcessStatus {
  version: string;
  started_at_ms: number;
  data_dir: string;
  config_file: string;
  config_yaml: string;
  config_problem: string;
  config_loaded_at_ms: number;
  memory: { name: string; limit_bytes: number; used_bytes: number }[];
  memory_limit_bytes: number;
  resident_bytes: number;
  store: {
    head_series: number;
    head_samples: number;
    head_min_time_ms: N;
    head_max_time_ms: N;
    blocks: number;
    blocks_bytes: number;
    metrics_wal_bytes: number;
    splits: number;
    splits_bytes: number;
    logs_wal_bytes: number;
    head_records: number;
    split_records: number;
    damaged: string[];
    refusing_writes: string;
  };
  tasks: Task[];
  warnings: string[];
}

/** A scrape target as Prometheus's `/api/v1/targets` answers it. */
export interface PromTarget {
  discoveredLabels: Labels;
  labels: Labels;
  scrapePool: string;
  scrapeUrl: string;
  globalUrl: string;
  lastError: string;
  lastScrape: string;
  lastScrapeDuration: number;
  health: 'up' | 'down' | 'unknown';
  scrapeInterval: string;
  scrapeTimeout: string;
}

export interface Cardinality {
  series: number;
  metrics: { name: string; series: number }[];
  labels: { name: string; values: number }[];
  /** Pairs `label=value`. */
  pairs?: { name: string; series: number }[];
  /** New series: by hour, oldest first, and by metric lately. */
  churn?: { hours: { start_ms: number; created: number }[]; metrics: { name: string; created: number }[] };
}
