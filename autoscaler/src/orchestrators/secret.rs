//! Credentials: where they come from, and how they stay out of every text.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use vocab::Problems;

/// Longest credential that is read from a file: tokens are some hundred bytes, certificates some thousand.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A credential by reference: as a text, in a file, or in an environment variable. Files are read anew for every request, so
/// that a rotated credential takes effect.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The text itself.
    Text(String),
    /// A file that holds it; white space around it is no part of it.
    File(PathBuf),
    /// An environment variable that holds it.
    Env(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("<secret>"),
            Self::File(path) => write!(f, "<secret in {}>", path.display()),
            Self::Env(name) => write!(f, "<secret in ${name}>"),
        }
    }
}

impl Secret {
    /// The credential now.
    ///
    /// # Errors
    /// A sentence that says where it was looked for, never what it is.
    pub async fn read(&self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => {
                let fail = |reason: String| format!("the credential in {} cannot be read: {reason}", path.display());
                let size = tokio::fs::metadata(path).await.map_err(|e| fail(e.to_string()))?.len();
                if size > SECRET_BYTES_MAX {
                    return Err(fail(format!("{size} bytes are too many for a credential")));
                }
                let text = tokio::fs::read_to_string(path).await.map_err(|e| fail(e.to_string()))?;
                match text.trim() {
                    "" => Err(fail("it is empty".to_owned())),
                    text => Ok(text.to_owned()),
                }
            }
            Self::Env(name) => match std::env::var(name) {
                Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
                _ => Err(format!("the environment variable {name}, which should hold a credential, is not set")),
            },
        }
    }
}

/// A credential as it stands in the file: at most one of the three.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSecret {
    /// The text itself, under a name that no view of the configuration repeats.
    pub secret: Option<String>,
    /// A file.
    pub file: Option<String>,
    /// An environment variable.
    pub env: Option<String>,
}

impl fmt::Debug for RawSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl RawSecret {
    /// The checked form.
    pub(crate) fn check(&self, path: &str, problems: &mut Problems) -> Option<Secret> {
        let given = [
            self.secret.clone().map(Secret::Text),
            self.file.as_ref().map(|f| Secret::File(PathBuf::from(f))),
            self.env.clone().map(Secret::Env),
        ];
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(Secret::Text(text) | Secret::Env(text)), None) if text.is_empty() => {
                problems.add(path, "is empty");
                None
            }
            (Some(secret), None) => Some(secret),
            _ => {
                problems.add(path, "want one of {file: …}, {env: …} and {secret: …}");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_read_but_never_shown() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        std::fs::write(&path, "  hush-1\n").expect("written");
        let file = Secret::File(path.clone());
        assert_eq!(file.read().await.as_deref(), Ok("hush-1"));
        std::fs::write(&path, "hush-2").expect("written");
        assert_eq!(file.read().await.as_deref(), Ok("hush-2"), "read anew");
        std::fs::write(&path, "\n").expect("written");
        assert!(file.read().await.expect_err("empty").ends_with("it is empty"));
        assert_eq!(Secret::Text("hush".into()).read().await.as_deref(), Ok("hush"));
        let absent = Secret::Env("TIDEWATCH_NO_SUCH_VARIABLE".into());
        assert!(absent.read().await.expect_err("not set").contains("TIDEWATCH_NO_SUCH_VARIABLE"));
        assert_eq!(format!("{:?}", Secret::Text("hush".into())), "<secret>");
        let raw = RawSecret { secret: Some("hush".into()), file: Some("f".into()), env: None };
        assert_eq!(format!("{raw:?}"), "<secret>");
        let mut problems = Problems::default();
        assert_eq!(raw.check("token", &mut problems), None);
        assert_eq!(RawSecret::default().check("token", &mut problems), None);
        assert_eq!(problems.list.len(), 2);
    }
}
