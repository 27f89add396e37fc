//! The section `marathon`: raw, and checked.

use std::time::Duration;

use serde::Deserialize;
use vocab::Problems;
use vocab::duration::parse_duration;

use crate::orchestrators::access::Access;
use crate::orchestrators::rest::Auth;
use crate::orchestrators::secret::RawSecret;

/// A Marathon as it stands in the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawMarathon {
    /// How policies name it, `marathon` by default.
    pub name: Option<String>,
    /// The cluster its services belong to; the configuration's by default.
    pub cluster: Option<String>,
    /// Its address; on DC/OS `https://<master>/service/marathon`.
    pub url: String,
    /// PEM authorities to trust instead of the system's.
    pub ca_file: Option<String>,
    /// User of basic authentication.
    pub username: Option<String>,
    /// Password of basic authentication.
    pub password: Option<RawSecret>,
    /// DC/OS token.
    pub token: Option<RawSecret>,
    /// Longest wait for an answer, `10s` by default.
    pub timeout: Option<String>,
    /// Time after which a deployment of our own counts as stuck, `10m` by default.
    pub stuck_after: Option<String>,
    /// What is scaled where its name alone does not say it.
    pub services: Vec<RawApp>,
}

/// What a service is in Marathon.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawApp {
    /// The service, as policies name it.
    pub service: String,
    /// The app's id, `/group/app`; a slash and the service's name by default.
    pub app: Option<String>,
}

/// An app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The service, as policies name it.
    pub service: String,
    /// Its id, with the slash it begins with.
    pub id: String,
}

impl App {
    /// The app that a service's name alone stands for; `None` when it can be none.
    pub fn of_service(service: &str) -> Option<Self> {
        let id = format!("/{}", service.trim_start_matches('/'));
        is_app_id(&id).then(|| Self { service: service.to_owned(), id })
    }
}

/// A Marathon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarathonConfig {
    /// How policies name it.
    pub name: String,
    /// The cluster its services belong to.
    pub cluster: String,
    /// How it is reached.
    pub access: Access,
    /// Time after which a deployment of our own counts as stuck.
    pub stuck_after: Duration,
    /// What is scaled.
    pub apps: Vec<App>,
}

/// Checks a section; mistakes are added to `problems`.
pub(crate) fn check(raw: &RawMarathon, cluster: &str, path: &str, problems: &mut Problems) -> MarathonConfig {
    let at = |key: &str| format!("{path}.{key}");
    let auth = match (&raw.username, &raw.password, &raw.token) {
        (None, None, None) => Auth::None,
        (Some(username), Some(password), None) => match password.check(&at("password"), problems) {
            Some(password) => Auth::Basic { username: username.clone(), password },
            None => Auth::None,
        },
        (None, None, Some(token)) => match token.check(&at("token"), problems) {
            Some(secret) => Auth::Scheme { scheme: "token=", secret },
            None => Auth::None,
        },
        _ => {
            problems.add(at("token"), "want either username and password, or token");
            Auth::None
        }
    };
    let stuck_after = match raw.stuck_after.as_deref().map(parse_duration) {
        None => Duration::from_secs(600),
        Some(Ok(duration)) => duration,
        Some(Err(message)) => {
            problems.add(at("stuck_after"), message);
            Duration::from_secs(600)
        }
    };
    let mut apps = Vec::new();
    for (index, app) in raw.services.iter().enumerate() {
        let id = app.app.clone().unwrap_or_else(|| format!("/{}", app.service));
        if app.service.is_empty() || !is_app_id(&id) {
            let message = "want a service, and an app such as /group/app in lower case";
            problems.add(format!("{path}.services[{index}].app"), message);
        }
        apps.push(App { service: app.service.clone(), id });
    }
    MarathonConfig {
        name: raw.name.clone().unwrap_or_else(|| "marathon".to_owned()),
        cluster: raw.cluster.clone().unwrap_or_else(|| cluster.to_owned()),
        access: Access::check((&raw.url, raw.ca_file.as_ref(), raw.timeout.as_ref()), auth, path, problems),
        stuck_after,
        apps,
    }
}

/// Whether a text is the absolute id of an app; it is then also safe in a path.
pub(crate) fn is_app_id(id: &str) -> bool {
    let is_part = |part: &str| {
        let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(is_edge)
            && part.ends_with(is_edge)
            && part.chars().all(|c| is_edge(c) || matches!(c, '-' | '.'))
    };
    id.len() <= 1024 && id.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_part))
}
