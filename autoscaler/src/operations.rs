//! The part of a policy that is not about load: whom the service belongs to, what it needs of others, what people have set.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dependencies::Dependency;
use crate::odd_watch::OddReplica;
use crate::placement::Placement;

/// Priority of a policy that names none.
pub const PRIORITY: u8 = 50;

/// What a policy says besides load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operations {
    /// The team that pays; empty when none is named.
    pub team: String,
    /// Who is served first when quota is short; 0 to 100, more is sooner.
    pub priority: u8,
    /// Price of one replica for an hour, in the currency of the configuration.
    pub price_per_hour: f64,
    /// Services that must grow along.
    pub dependencies: Vec<Dependency>,
    /// Nothing is given back while set.
    pub paused_in: bool,
    /// Nothing is added while set.
    pub paused_out: bool,
    /// How long a change by a person or another program is left as it is; `None` for the hold window.
    pub manual_hold: Option<Duration>,
    /// How its replicas are compared at the gateway; `None`: they are not.
    #[serde(default)]
    pub odd_replica: Option<OddReplica>,
    /// Over which clusters it is placed; `None` for one.
    #[serde(default)]
    pub placement: Option<Placement>,
}

impl Default for Operations {
    fn default() -> Self {
        Self {
            team: String::new(),
            priority: PRIORITY,
            price_per_hour: 0.0,
            dependencies: Vec::new(),
            paused_in: false,
            paused_out: false,
            manual_hold: None,
            odd_replica: None,
            placement: None,
        }
    }
}
