//! A bounded load generator: an open loop that sends on schedule, never more at once than allowed, and stops by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::Semaphore;

/// Most requests in flight; what is due beyond it waits, so that a slow service is not buried.
const IN_FLIGHT_MAX: usize = 256;
/// Most requests per second that a phase may ask for.
const RPS_MAX: f64 = 5_000.0;
/// Longest plan.
const PLAN_MAX: Duration = Duration::from_secs(600);
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the schedule is looked at.
const TICK: Duration = Duration::from_millis(10);

/// A stretch of load that goes evenly from one rate to another.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    /// Requests per second at its start.
    pub from_rps: f64,
    /// Requests per second at its end.
    pub to_rps: f64,
    /// How long it lasts.
    pub lasts: Duration,
}

/// What became of the requests so far. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    inner: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    ok: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
    failures: std::sync::Mutex<Vec<String>>,
}

/// Most failures whose reason is kept.
const FAILURES_KEPT: usize = 20;

impl Tally {
    /// Requests sent.
    pub fn sent(&self) -> u64 {
        self.inner.sent.load(Ordering::Relaxed)
    }

    /// Requests answered with 200.
    pub fn ok(&self) -> u64 {
        self.inner.ok.load(Ordering::Relaxed)
    }

    /// Requests that failed or were answered otherwise.
    pub fn failed(&self) -> u64 {
        self.inner.failed.load(Ordering::Relaxed)
    }

    /// The first reasons.
    pub fn failures(&self) -> Vec<String> {
        self.inner.failures.lock().map(|f| f.clone()).unwrap_or_default()
    }

    /// Ends the plan early.
    pub fn stop(&self) {
        self.inner.stop.store(true, Ordering::Relaxed);
    }

    fn fail(&self, reason: String) {
        self.inner.failed.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut failures) = self.inner.failures.lock()
            && failures.len() < FAILURES_KEPT
        {
            failures.push(reason);
        }
    }
}

/// Sends GET requests to a loopback URL by the plan.
///
/// # Errors
/// When the URL is not loopback or the plan is over the bounds; failed requests are not errors, they are counted.
pub async fn drive(url: &str, plan: &[Phase], tally: &Tally) -> Result<()> {
    let parsed = reqwest::Url::parse(url).with_context(|| format!("not a URL: {url}"))?;
    let host = parsed.host_str().unwrap_or_default();
    ensure!(host == "127.0.0.1" || host == "localhost" || host == "[::1]", "load goes to loopback only, not to {host}");
    let total: Duration = plan.iter().map(|p| p.lasts).sum();
    ensure!(total <= PLAN_MAX, "a plan lasts at most {PLAN_MAX:?}, not {total:?}");
    ensure!(plan.iter().all(|p| p.from_rps.max(p.to_rps) <= RPS_MAX), "at most {RPS_MAX} requests per second");

    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(REQUEST_TIMEOUT)
        .pool_max_idle_per_host(IN_FLIGHT_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let slots = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    #[allow(clippy::disallowed_methods, reason = "the load generator is real time by nature")]
    let started = Instant::now();
    let mut due = 0.0;
    let mut sent = 0.0;
    let mut last = Duration::ZERO;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let now = started.elapsed();
        let Some(rps) = rate_at(plan, now) else { break };
        if tally.inner.stop.load(Ordering::Relaxed) {
            break;
        }
        due += rps * (now - last).as_secs_f64();
        last = now;
        while sent + 1.0 <= due {
            let slot = Arc::clone(&slots).acquire_owned().await?;
            sent += 1.0;
            tally.inner.sent.fetch_add(1, Ordering::Relaxed);
            let request = client.get(parsed.clone());
            let tally = tally.clone();
            tokio::spawn(async move {
                match request.send().await {
                    Ok(answer) if answer.status().as_u16() == 200 => match answer.bytes().await {
                        Ok(_) => {
                            tally.inner.ok.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => tally.fail(format!("body: {error:?}")),
                    },
                    Ok(answer) => tally.fail(format!("status {}", answer.status())),
                    Err(error) => tally.fail(format!("{error:?}")),
                }
                drop(slot);
            });
        }
    }
    // Everything that was sent is answered or has timed out before the count is read.
    let _all = slots.acquire_many(u32::try_from(IN_FLIGHT_MAX)?).await?;
    Ok(())
}

fn rate_at(plan: &[Phase], at: Duration) -> Option<f64> {
    let mut start = Duration::ZERO;
    for phase in plan {
        if at < start + phase.lasts {
            let share = (at - start).as_secs_f64() / phase.lasts.as_secs_f64();
            return Some(phase.from_rps + (phase.to_rps - phase.from_rps) * share);
        }
        start += phase.lasts;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_goes_evenly_through_the_phases() {
        let second = Duration::from_secs(1);
        let plan = [
            Phase { from_rps: 10.0, to_rps: 10.0, lasts: second },
            Phase { from_rps: 10.0, to_rps: 30.0, lasts: second },
        ];
        assert_eq!(rate_at(&plan, Duration::from_millis(500)), Some(10.0));
        assert_eq!(rate_at(&plan, Duration::from_millis(1500)), Some(20.0));
        assert_eq!(rate_at(&plan, Duration::from_millis(2000)), None);
    }

    #[tokio::test]
    async fn load_leaves_loopback_alone_never() {
        let error = drive("http://192.0.2.1/", &[], &Tally::default()).await.expect_err("not loopback");
        assert!(error.to_string().contains("loopback only"), "{error}");
    }
}
