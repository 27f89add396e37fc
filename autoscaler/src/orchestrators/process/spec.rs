//! A supervised service as the configuration describes it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use crate::health::HealthCheck;

/// What becomes of a service's processes when Tidewatch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StopWith {
    /// They run on and are adopted at the next start.
    #[default]
    Never,
    /// They are stopped with it.
    Tidewatch,
}

/// One service of the `process` orchestrator. Its command comes from the configuration file only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessService {
    /// Its name.
    pub name: String,
    /// Program and arguments; `{port}`, `{replica}` and `{service}` are filled in.
    pub command: Vec<String>,
    /// Its environment besides PATH, HOME, LANG, TZ and USER; filled in likewise.
    pub env: Vec<(String, String)>,
    /// Where it runs; Tidewatch's own working directory when not given.
    pub working_dir: Option<PathBuf>,
    /// Replicas at the first start.
    pub replicas: u32,
    /// Whether a policy changes the number; otherwise `replicas` holds again at every start.
    pub is_scaled: bool,
    /// How replicas are checked; without it a replica that runs is ready.
    pub health: Option<HealthCheck>,
    /// What becomes of it when Tidewatch ends.
    pub stop_with: StopWith,
    /// Time between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
    /// Longest wait for a balancer to drain a replica before it is stopped; zero when no balancer is in front.
    pub drain_timeout: Duration,
}

impl ProcessService {
    /// Whether replicas get a port.
    pub fn has_port(&self) -> bool {
        let asks = |text: &String| text.contains("{port}");
        self.command.iter().any(asks) || self.env.iter().any(|e| asks(&e.1))
    }

    /// The address replicas listen on.
    pub(crate) fn host() -> IpAddr {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    }
}
