//! The section `nomad`: raw, and checked.

use serde::Deserialize;
use vocab::Problems;

use crate::orchestrators::access::Access;
use crate::orchestrators::rest::Auth;
use crate::orchestrators::secret::RawSecret;

/// A Nomad as it stands in the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawNomad {
    /// How policies name it, `nomad` by default.
    pub name: Option<String>,
    /// The cluster its services belong to; the configuration's by default.
    pub cluster: Option<String>,
    /// Its address.
    pub url: String,
    /// PEM authorities to trust instead of the system's.
    pub ca_file: Option<String>,
    /// ACL token.
    pub token: Option<RawSecret>,
    /// Namespace of services that name none, `default` by default.
    pub namespace: Option<String>,
    /// Region; the server's own by default.
    pub region: Option<String>,
    /// Longest wait for an answer, `10s` by default.
    pub timeout: Option<String>,
    /// What is scaled where its name alone does not say it.
    pub services: Vec<RawJob>,
}

/// What a service is in Nomad.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawJob {
    /// The service, as policies name it.
    pub service: String,
    /// The job; the service's name by default.
    pub job: Option<String>,
    /// The task group; the job's only one, or the one of the job's name by default.
    pub group: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Label of the port that replicas are reached at; the first one by default.
    pub port: Option<String>,
}

/// A task group of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The service, as policies name it.
    pub service: String,
    /// The job.
    pub job: String,
    /// The task group.
    pub group: Option<String>,
    /// Namespace; `None` for the section's.
    pub namespace: Option<String>,
    /// Label of the port.
    pub port: Option<String>,
}

impl Job {
    /// The job that a service's name alone stands for.
    pub fn of_service(service: &str) -> Self {
        Self { service: service.to_owned(), job: service.to_owned(), group: None, namespace: None, port: None }
    }
}

/// A Nomad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NomadConfig {
    /// How policies name it.
    pub name: String,
    /// The cluster its services belong to.
    pub cluster: String,
    /// How it is reached.
    pub access: Access,
    /// Namespace of services that name none.
    pub namespace: String,
    /// Region.
    pub region: Option<String>,
    /// What is scaled.
    pub jobs: Vec<Job>,
}

/// Checks a section; mistakes are added to `problems`.
pub(crate) fn check(raw: &RawNomad, cluster: &str, path: &str, problems: &mut Problems) -> NomadConfig {
    let secret = raw.token.as_ref().and_then(|t| t.check(&format!("{path}.token"), problems));
    let auth = secret.map_or(Auth::None, |secret| Auth::Header { name: "x-nomad-token", secret });
    let mut jobs = Vec::new();
    for (index, job) in raw.services.iter().enumerate() {
        if job.service.is_empty() {
            problems
                .add(format!("{path}.services[{index}].service"), "want the name of a service, as policies name it");
        }
        jobs.push(Job {
            service: job.service.clone(),
            job: job.job.clone().unwrap_or_else(|| job.service.clone()),
            group: job.group.clone(),
            namespace: job.namespace.clone(),
            port: job.port.clone(),
        });
    }
    NomadConfig {
        name: raw.name.clone().unwrap_or_else(|| "nomad".to_owned()),
        cluster: raw.cluster.clone().unwrap_or_else(|| cluster.to_owned()),
        access: Access::check((&raw.url, raw.ca_file.as_ref(), raw.timeout.as_ref()), auth, path, problems),
        namespace: raw.namespace.clone().unwrap_or_else(|| "default".to_owned()),
        region: raw.region.clone(),
        jobs,
    }
}
