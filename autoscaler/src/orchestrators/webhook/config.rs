//! The section `webhook`: raw, and checked.

use serde::Deserialize;
use vocab::Problems;

use crate::orchestrators::access::Access;
use crate::orchestrators::rest::Auth;
use crate::orchestrators::secret::{RawSecret, Secret};

/// A webhook as it stands in the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawWebhook {
    /// How policies name it, `webhook` by default.
    pub name: Option<String>,
    /// The cluster its services belong to; the configuration's by default.
    pub cluster: Option<String>,
    /// Its address; `/services/…` follows.
    pub url: String,
    /// PEM authorities to trust instead of the system's.
    pub ca_file: Option<String>,
    /// Key with which requests are signed.
    pub key: Option<RawSecret>,
    /// Bearer token.
    pub token: Option<RawSecret>,
    /// Longest wait for an answer, `10s` by default.
    pub timeout: Option<String>,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// How policies name it.
    pub name: String,
    /// The cluster its services belong to.
    pub cluster: String,
    /// How it is reached.
    pub access: Access,
    /// Key with which requests are signed.
    pub key: Option<Secret>,
}

/// Checks a section; mistakes are added to `problems`.
pub(crate) fn check(raw: &RawWebhook, cluster: &str, path: &str, problems: &mut Problems) -> WebhookConfig {
    let mut secret = |raw: &Option<RawSecret>, key: &str| raw.as_ref()?.check(&format!("{path}.{key}"), problems);
    let token = secret(&raw.token, "token");
    let key = secret(&raw.key, "key");
    let auth = token.map_or(Auth::None, |secret| Auth::Scheme { scheme: "Bearer ", secret });
    WebhookConfig {
        name: raw.name.clone().unwrap_or_else(|| "webhook".to_owned()),
        cluster: raw.cluster.clone().unwrap_or_else(|| cluster.to_owned()),
        access: Access::check((&raw.url, raw.ca_file.as_ref(), raw.timeout.as_ref()), auth, path, problems),
        key,
    }
}
