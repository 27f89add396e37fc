//! The flags of marathon-lb-autoscale.

use super::{ImportError, Imported, ImportedPolicy, ImportedTarget, seconds};

/// The most that a policy may allow, in place of the tool's "huge number".
const MAX: u32 = 100;

/// Policies, one per app, from the tool's command line.
///
/// # Errors
/// [`ImportError::Flag`]: a flag is unknown, lacks its value, or no apps are named.
pub fn from_flags(flags: &[String]) -> Result<Imported, ImportError> {
    let mut given = Given::default();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let (name, inline) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag.as_str(), None),
        };
        let missing = || ImportError::Flag(format!("{name} wants a value"));
        let value = match inline {
            Some(value) => value,
            None => flags.next().cloned().ok_or_else(missing)?,
        };
        given.set(name, &value)?;
    }
    if given.apps.is_empty() {
        return Err(ImportError::Flag("want --apps with at least one <app>_<service port>".to_owned()));
    }
    let policies = given.apps.iter().map(|app| given.policy(app)).collect::<Result<_, _>>()?;
    Ok(Imported { autoscaling: policies })
}

struct Given {
    apps: Vec<String>,
    marathon: String,
    target_rps: f64,
    interval: f64,
    samples: f64,
    cooldown: f64,
    threshold_percent: f64,
    threshold_instances: f64,
    intervals_past: f64,
    min: f64,
    max: Option<f64>,
    notes: Vec<String>,
}

impl Default for Given {
    /// The tool's own.
    fn default() -> Self {
        Self {
            apps: Vec::new(),
            marathon: String::new(),
            target_rps: 1000.0,
            interval: 60.0,
            samples: 10.0,
            cooldown: 5.0,
            threshold_percent: 0.5,
            threshold_instances: 3.0,
            intervals_past: 3.0,
            min: 1.0,
            max: None,
            notes: Vec::new(),
        }
    }
}

impl Given {
    fn set(&mut self, name: &str, value: &str) -> Result<(), ImportError> {
        let number = || match value.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
            _ => Err(ImportError::Flag(format!("{name} wants a number, not {value:?}"))),
        };
        match name {
            "--marathon" => value.clone_into(&mut self.marathon),
            "--haproxy" => self
                .notes
                .push(format!("add a section haproxy that reads {value}: {{url: \"{value}/haproxy?stats;csv\"}}")),
            "--apps" => self.apps = value.split(',').map(|a| a.trim().to_owned()).filter(|a| !a.is_empty()).collect(),
            "--target-rps" => self.target_rps = number()?,
            "--interval" => self.interval = number()?,
            "--samples" => self.samples = number()?,
            "--cooldown" => self.cooldown = number()?,
            "--threshold-percent" => self.threshold_percent = number()?,
            "--threshold-instances" => self.threshold_instances = number()?,
            "--intervals-past-threshold" => self.intervals_past = number()?,
            "--min-instances" => self.min = number()?,
            "--max-instances" => self.max = Some(number()?),
            // What they hold stays where it is.
            "--marathonCredentials" => {
                self.notes.push("give Marathon's user and password to section marathon".to_owned())
            }
            "--haproxyCredentials" => self.notes.push("give HAProxy's user and password to section haproxy".to_owned()),
            other => return Err(ImportError::Flag(format!("{other} is no flag of marathon-lb-autoscale"))),
        }
        Ok(())
    }

    fn policy(&self, app: &str) -> Result<ImportedPolicy, ImportError> {
        let wrong = || ImportError::Flag(format!("--apps wants <app>_<service port>, not {app:?}"));
        let (name, port) =
            app.rsplit_once('_').filter(|a| !a.0.is_empty() && a.1.parse::<u16>().is_ok()).ok_or_else(wrong)?;
        if self.target_rps <= 0.0 {
            return Err(ImportError::Flag("--target-rps wants more than 0".to_owned()));
        }
        // marathon-lb writes slashes of app ids as underscores.
        let service = name.replace('_', "/");
        let min = whole(self.min).max(1);
        let max = self.max.map_or(MAX.max(min), whole);
        let mut policy = ImportedPolicy::new(&service, format!("marathon-lb-autoscale {app}"), "marathon", (min, max));
        if name.contains('_') {
            policy.note(format!(
                "{name} was read as app /{service}; an app whose own name has an underscore must be set by hand"
            ));
        }
        if !self.marathon.is_empty() {
            policy.note(format!("add section marathon: [{{url: {}}}]", self.marathon));
        }
        policy.notes.extend(self.notes.iter().cloned());
        if self.max.is_none() {
            policy.note(format!("the tool had no maximum; {max} was put in its place"));
        }
        let query = format!("sum(rate(haproxy_backend_http_requests_total{{backend=\"{app}\"}}[1m]))");
        policy.note(format!(
            "the tool counted sessions of the frontend on port {port}; here requests of backend {app} count, and those that wait"
        ));
        policy.targets.push(ImportedTarget { kind: "rps", value: self.target_rps, query: Some(query) });
        // It acted when the load was off by this much, however few replicas that were, for some intervals.
        let tolerance = self.threshold_percent.min(0.49);
        policy.tolerance = Some(tolerance.min(0.1));
        policy.note(format!(
            "the tool let {} % and {} instances pass for {} intervals before it acted, once in {}; that is what made it late: tolerance is {} %, replicas are added at once and given back after 10 minutes",
            self.threshold_percent * 100.0,
            self.threshold_instances,
            self.intervals_past,
            seconds(whole(self.interval * (self.samples + self.cooldown)).into()),
            tolerance.min(0.1) * 100.0,
        ));
        policy.hold = Some(seconds(600));
        Ok(policy)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and the cast saturates")]
fn whole(number: f64) -> u32 {
    number.round() as u32
}
