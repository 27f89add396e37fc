//! How much load for how long, and what the policy should make of it.

use std::time::Duration;

/// Which orchestrator runs the demo service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orchestrator {
    /// Tidewatch's own supervisor of local processes.
    Process,
    /// Docker Swarm.
    Swarm,
}

impl Orchestrator {
    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Swarm => "swarm",
        }
    }
}

/// A run of the closed loop.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Requests per second at the start and at the end.
    pub low_rps: f64,
    /// Requests per second at the top.
    pub high_rps: f64,
    /// How long the start lasts.
    pub warm_up: Duration,
    /// How long the way up takes.
    pub ramp: Duration,
    /// How long the top lasts.
    pub hold: Duration,
    /// How long the way down takes.
    pub fall: Duration,
    /// How long the end lasts at most; it ends early when one replica is left and the alert has resolved.
    pub cool_down: Duration,
    /// What one replica should carry.
    pub target_rps: f64,
    /// Most replicas.
    pub max: u32,
    /// How long replicas are kept after the load has gone.
    pub policy_hold: Duration,
    /// CPU time that a request burns in the service, in milliseconds.
    pub cpu_ms: f64,
}

impl Scenario {
    /// `make demo`: 20 to 800 requests per second, 1 to 8 replicas and back, inside four minutes.
    pub fn full() -> Self {
        Self {
            low_rps: 20.0,
            high_rps: 800.0,
            warm_up: Duration::from_secs(15),
            ramp: Duration::from_secs(45),
            hold: Duration::from_secs(35),
            fall: Duration::from_secs(10),
            cool_down: Duration::from_secs(75),
            target_rps: 100.0,
            max: 8,
            policy_hold: Duration::from_secs(15),
            cpu_ms: 0.3,
        }
    }

    /// The same, shortened, for the end-to-end tests.
    pub fn short() -> Self {
        Self {
            high_rps: 300.0,
            warm_up: Duration::from_secs(8),
            ramp: Duration::from_secs(15),
            hold: Duration::from_secs(20),
            fall: Duration::from_secs(5),
            cool_down: Duration::from_secs(120),
            max: 4,
            cpu_ms: 0.2,
            ..Self::full()
        }
    }

    /// Replicas that the top needs.
    pub fn replicas_at_top(&self) -> u32 {
        // The scenario's numbers are small and positive.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small positive number of replicas"
        )]
        let wanted = (self.high_rps / self.target_rps).ceil() as u32;
        wanted.min(self.max)
    }

    /// When the load passes what the first replica should carry, in seconds since it began.
    pub fn overloaded_at(&self) -> f64 {
        let part = (self.target_rps - self.low_rps) / (self.high_rps - self.low_rps);
        self.warm_up.as_secs_f64() + self.ramp.as_secs_f64() * part.clamp(0.0, 1.0)
    }

    /// The longest the load can last.
    pub fn longest(&self) -> Duration {
        self.warm_up + self.ramp + self.hold + self.fall + self.cool_down
    }
}
