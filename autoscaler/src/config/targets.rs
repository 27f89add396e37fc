//! Targets and steps as they are written, and the queries of a service whose policy states none.

use serde::{Deserialize, Serialize};
use vocab::Problems;

use super::check_query;
use super::raw::RawTarget;
use crate::policy::{Target, TargetKind, short};
use crate::threshold::{Adds, Step};

/// Most steps of one policy; those that are taken stand in the stored state.
const STEPS_MAX: usize = 8;
/// Largest factor of a step: more at once is a mistake rather than a wish.
const FACTOR_MAX: f64 = 10.0;
/// A step is over below this share of its threshold when nothing else is said.
const BELOW_SHARE: f64 = 0.9;
/// Longest name, in bytes: names stand in reasons.
pub(super) const NAME_BYTES_MAX: usize = 64;

/// A threshold that adds replicas at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawStep {
    /// Its name; the kind's, or its number, by default.
    pub name: Option<String>,
    /// A kind of target whose query it uses: `cpu_share`, `volume` …
    pub when: Option<String>,
    /// PromQL of the metric; has a default for most kinds.
    pub query: Option<String>,
    /// Above this value it is taken.
    pub above: f64,
    /// Below this value it is over, 90 % of `above` by default.
    pub below: Option<f64>,
    /// So many times the replicas that serve.
    pub factor: Option<f64>,
    /// So many more.
    pub add: Option<u32>,
    /// So many in all.
    pub to: Option<u32>,
    /// Whether it is taken again while the metric stays above: by default `true` for `factor`, else `false`.
    pub repeat: Option<bool>,
}

/// Queries for a service whose policy states none.
pub(super) struct Defaults<'a> {
    pub(super) service: &'a str,
    pub(super) window: String,
}

impl Defaults<'_> {
    fn rps(&self) -> String {
        format!("sum(rate(haproxy_backend_http_requests_total{{service={:?}}}[{}]))", self.service, self.window)
    }

    pub(super) fn queue(&self) -> String {
        format!("sum(haproxy_backend_current_queue{{service={:?}}})", self.service)
    }

    fn cpu_rates(&self) -> String {
        format!("rate(container_cpu_usage_seconds_total{{service={:?}}}[{}])", self.service, self.window)
    }

    pub(super) fn cpu(&self) -> String {
        format!("sum({})", self.cpu_rates())
    }

    /// Lines that were stored of the service.
    fn log_rate(&self) -> String {
        format!("sum(rate(analyzer_service_log_lines_total{{service={:?}}}[{}]))", self.service, self.window)
    }

    fn latency(&self) -> String {
        format!(
            "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{{service={:?}}}[{}])))",
            self.service, self.window
        )
    }

    /// What each replica uses of the CPU it may use: of its quota, of one core where it has none.
    fn cpu_shares(&self) -> String {
        let used = format!("sum by (id) ({})", self.cpu_rates());
        let of = format!("{{service={:?}}}", self.service);
        format!("({used} / sum by (id) (container_spec_cpu_quota{of} / container_spec_cpu_period{of}) or {used})")
    }

    /// What each replica uses of its memory limit.
    fn memory_shares(&self) -> String {
        let of = format!("{{service={:?}}}", self.service);
        format!(
            "(sum by (id) (container_memory_working_set_bytes{of}) / (sum by (id) (container_spec_memory_limit_bytes{of}) > 0))"
        )
    }

    /// The whole load of a kind, and the number of replicas behind it where it comes from replicas.
    fn of(&self, kind: TargetKind) -> Option<(String, String)> {
        let alone = |query: String| Some((query, String::new()));
        let each = |shares: String| Some((format!("sum{shares}"), format!("count{shares}")));
        match kind {
            TargetKind::Rps => alone(self.rps()),
            TargetKind::Queue => alone(self.queue()),
            TargetKind::Latency => alone(self.latency()),
            TargetKind::LogRate => alone(self.log_rate()),
            TargetKind::Cpu => Some((self.cpu(), format!("count(sum by (id) ({}))", self.cpu_rates()))),
            TargetKind::CpuShare => each(self.cpu_shares()),
            TargetKind::MemoryShare => each(self.memory_shares()),
            TargetKind::Promql | TargetKind::Level | TargetKind::Volume => None,
        }
    }

    /// What a threshold is compared with: shares are those of the mean replica.
    fn threshold_of(&self, kind: TargetKind) -> Option<String> {
        match kind {
            TargetKind::CpuShare => Some(format!("avg{}", self.cpu_shares())),
            TargetKind::MemoryShare => Some(format!("avg{}", self.memory_shares())),
            _ => self.of(kind).map(|(query, _)| query),
        }
    }
}

fn kind(word: &str, path: &str, problems: &mut Problems) -> Option<TargetKind> {
    let kind = TargetKind::parse(word);
    if kind.is_none() {
        let words = TargetKind::ALL.map(TargetKind::as_str);
        problems.add(path, format!("unknown kind {word:?}; want {}", words.join(", ")));
    }
    kind
}

/// Checks one target.
pub(super) fn check_target(
    raw: &RawTarget,
    defaults: &Defaults<'_>,
    path: &str,
    problems: &mut Problems,
) -> Option<Target> {
    let before = problems.list.len();
    if !(raw.value.is_finite() && raw.value > 0.0) {
        problems.add(format!("{path}.value"), "want a load per replica above 0");
    }
    let kind = kind(&raw.kind, &format!("{path}.kind"), problems)?;
    let (query, count_query) = match (&raw.query, defaults.of(kind)) {
        (Some(query), _) => (query.clone(), String::new()),
        (None, Some(queries)) => queries,
        (None, None) => {
            let what = if kind.is_level() { "the level" } else { "the service's whole load" };
            problems.add(format!("{path}.query"), format!("kind {} needs a query that gives {what}", kind.as_str()));
            Default::default()
        }
    };
    let saturation = match kind {
        TargetKind::Cpu | TargetKind::CpuShare => Some(raw.saturation.unwrap_or(raw.value.max(1.0))),
        TargetKind::Promql => raw.saturation,
        _ if raw.saturation.is_some() => {
            problems.add(format!("{path}.saturation"), "only cpu, cpu_share and promql can be saturated");
            None
        }
        _ => None,
    };
    check_query(&query, &format!("{path}.query"), problems);
    (problems.list.len() == before).then_some(Target { kind, value: raw.value, query, count_query, saturation })
}

/// Checks all steps.
pub(super) fn check_steps(raw: &[RawStep], defaults: &Defaults<'_>, path: &str, problems: &mut Problems) -> Vec<Step> {
    if raw.len() > STEPS_MAX {
        problems.add(path, format!("want at most {STEPS_MAX}"));
    }
    let steps = raw.iter().take(STEPS_MAX).enumerate();
    steps.filter_map(|(index, step)| check_step(step, index, defaults, &format!("{path}[{index}]"), problems)).collect()
}

fn check_step(
    raw: &RawStep,
    index: usize,
    defaults: &Defaults<'_>,
    path: &str,
    problems: &mut Problems,
) -> Option<Step> {
    let before = problems.list.len();
    let at = |key: &str| format!("{path}.{key}");
    let kind = raw.when.as_deref().map(|word| kind(word, &at("when"), problems));
    let query = match (&raw.query, kind) {
        (Some(query), _) => query.clone(),
        (None, Some(Some(kind))) => defaults.threshold_of(kind).unwrap_or_else(|| {
            problems.add(at("query"), format!("{} needs a query that gives its value", kind.as_str()));
            String::new()
        }),
        (None, Some(None)) => String::new(),
        (None, None) => {
            problems.add(path, "want a query, or when: cpu_share or another kind of target");
            String::new()
        }
    };
    check_query(&query, &at("query"), problems);
    let below = raw.below.unwrap_or(raw.above * BELOW_SHARE);
    if !(raw.above.is_finite() && raw.above > 0.0 && (0.0..=raw.above).contains(&below)) {
        problems.add(path, "want above: a value above 0, and below: one from 0 to it");
    }
    let adds = match (raw.factor, raw.add, raw.to) {
        (Some(factor), None, None) if factor > 1.0 && factor <= FACTOR_MAX => Adds::Factor(factor),
        (None, Some(more), None) if more > 0 => Adds::More(more),
        (None, None, Some(to)) if to > 0 => Adds::To(to),
        _ => {
            let message = format!("want one of factor (above 1, to {FACTOR_MAX}), add and to (numbers of replicas)");
            problems.add(path, message);
            Adds::More(0)
        }
    };
    let name = raw.name.clone().or_else(|| raw.when.clone()).unwrap_or_else(|| (index + 1).to_string());
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        problems.add(at("name"), format!("want a name of 1 to {NAME_BYTES_MAX} bytes"));
    }
    let repeat = raw.repeat.unwrap_or(matches!(adds, Adds::Factor(_)));
    (problems.list.len() == before).then_some(Step { name, query, above: raw.above, below, adds, repeat })
}

impl Step {
    /// In words, for people who read the policy.
    pub fn words(&self) -> String {
        format!("{} above {}", self.adds.words(), short(self.above))
    }
}
