//! Which PostgreSQL holds the catalog, and who we are there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use vocab::{ErrorKind, PortError, PortResult};

/// How the connections are called in PostgreSQL's own views.
const APPLICATION: &str = "tidewatch";
/// Longest file with a password.
const PASSWORD_BYTES_MAX: usize = 4096;

/// A server, a database there, and a user.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresServer {
    url: String,
    password_file: Option<PathBuf>,
}

impl PostgresServer {
    /// Reads a URL as libpq takes it: `postgres://user@host:5432/database?sslmode=verify-full&sslrootcert=/etc/ca.pem`. A
    /// password comes from `password_file`, from the URL, or as libpq finds it (`PGPASSFILE`).
    ///
    /// # Errors
    /// What would be right.
    pub fn new(url: &str, password_file: Option<&Path>) -> Result<Self, String> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err("want postgres://user@host:5432/database".to_owned());
        }
        PgConnectOptions::from_str(url).map_err(|e| format!("want postgres://user@host:5432/database: {e}"))?;
        Ok(Self { url: url.to_owned(), password_file: password_file.map(Path::to_path_buf) })
    }

    /// How to connect, with the password as the file holds it now.
    pub(super) async fn options(&self) -> PortResult<PgConnectOptions> {
        let invalid =
            |e: sqlx::Error| PortError::with_source(ErrorKind::Invalid, "the catalog's URL cannot be used", e);
        let options = PgConnectOptions::from_str(&self.url).map_err(invalid)?.application_name(APPLICATION);
        let Some(file) = &self.password_file else { return Ok(options) };
        let wrong = |why: String| {
            let message = format!("cannot open the catalog on PostgreSQL: {} {why}", file.display());
            PortError::new(ErrorKind::Unavailable, message)
        };
        let text = tokio::fs::read_to_string(file).await.map_err(|e| wrong(format!("cannot be read: {e}")))?;
        let password = text.trim_end_matches(['\n', '\r']);
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX || password.contains('\n') {
            return Err(wrong("must hold one line, the password".to_owned()));
        }
        Ok(options.password(password))
    }
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("PostgresServer").field("password_file", &self.password_file).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_and_a_password_file_are_read_and_never_shown() {
        for bad in ["", "mysql://u@h/d", "postgres://u@h:port/d", "postgres://u@h/d?sslmode=perhaps"] {
            let error = PostgresServer::new(bad, None).expect_err(bad);
            assert!(error.contains("postgres://user@host:5432/database"), "{error}");
        }
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("password");
        let url = "postgresql://tide:first@db.example:6543/watch?sslmode=require";
        let server = PostgresServer::new(url, Some(&file)).expect("fine");
        assert!(!format!("{server:?}").contains("first"), "{server:?}");
        let missing = server.options().await.expect_err("no such file");
        assert!(missing.message().contains("password cannot be read"), "{missing}");
        std::fs::write(&file, "a\nb\n").expect("written");
        assert!(server.options().await.expect_err("two lines").message().contains("one line"));
        std::fs::write(&file, "second word\n").expect("written");
        let options = server.options().await.expect("fine");
        assert_eq!((options.get_host(), options.get_port(), options.get_username()), ("db.example", 6543, "tide"));
        assert_eq!((options.get_database(), options.get_application_name()), (Some("watch"), Some(APPLICATION)));
        assert!(format!("{options:?}").contains("second word"), "the file wins");
    }
}
