//! What is watched: clusters, hosts, services, replicas, containers, balancers, in one catalog table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::TimestampMs;

/// What an [`Entity`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntityKind {
    /// A platform: one orchestrator, its hosts and services.
    Cluster,
    /// A machine; labels may carry `room` and `rack`.
    Host,
    /// What an orchestrator scales and users call.
    Service,
    /// One running copy of a service.
    Replica,
    /// A container (or a supervised process group) on a host.
    Container,
    /// A load balancer's backend.
    Balancer,
}

impl EntityKind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Cluster, Self::Host, Self::Service, Self::Replica, Self::Container, Self::Balancer];

    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Host => "host",
            Self::Service => "service",
            Self::Replica => "replica",
            Self::Container => "container",
            Self::Balancer => "balancer",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == word)
    }
}

/// One row of the `entity` table. `(kind, cluster, id)` is its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// What it is.
    pub kind: EntityKind,
    /// The cluster it belongs to; for a cluster its own id.
    pub cluster: String,
    /// Unique among its kind in its cluster: host name, service name, replica or container id, backend name.
    pub id: String,
    /// The id of what contains or owns it (a replica's service, a container's host); empty for none.
    pub parent: String,
    /// Free labels: `room`, `rack`, `owner`, `image`, `orchestrator`, `host`, `address`, `container_name` …
    pub labels: BTreeMap<String, String>,
    /// When it was first seen.
    pub first_seen_ms: TimestampMs,
    /// When it was last seen.
    pub last_seen_ms: TimestampMs,
}
