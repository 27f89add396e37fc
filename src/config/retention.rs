//! How long data is kept, as `storage` and `tenants` say it.

use std::time::Duration;

use serde::Deserialize;
use vocab::Problems;
use vocab::duration::parse_duration;

use crate::memory::parse_size;

/// The keys of a `retention`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRetention {
    time: Option<String>,
    size: Option<String>,
}

/// How long data is kept; `None` where nothing of its own was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Age up to which data is kept.
    pub age: Option<Duration>,
    /// Bytes that are kept.
    pub bytes: Option<u64>,
}

impl RawRetention {
    /// Checks both keys; `path` is where the section stands. 0 is the same as to leave a key out, as Prometheus has it.
    pub(super) fn check(&self, path: &str, problems: &mut Problems) -> Retention {
        let age = self.time.as_deref().map(parse_duration).and_then(|parsed| match parsed {
            Ok(age) => Some(age).filter(|age| !age.is_zero()),
            Err(message) => {
                problems.add(format!("{path}.time"), message);
                None
            }
        });
        let bytes = self.size.as_deref().map(parse_size).and_then(|parsed| match parsed {
            Ok(bytes) => Some(bytes as u64).filter(|bytes| *bytes > 0),
            Err(error) => {
                problems.add(format!("{path}.size"), error.message());
                None
            }
        });
        Retention { age, bytes }
    }
}
