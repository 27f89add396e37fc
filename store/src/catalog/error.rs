//! How the database's errors look to the rooms.

use sqlx::error::ErrorKind as DbKind;
use vocab::{ErrorKind, PortError};

/// SQLite's result codes for a database that is in use or cannot grow, and PostgreSQL's for the same.
const BUSY_OR_FULL: [&str; 8] = ["5", "6", "10", "13", "517", "53100", "53300", "57P03"];
/// SQLite's and PostgreSQL's codes for a damaged database.
const DAMAGED: [&str; 4] = ["11", "26", "XX001", "XX002"];

/// Gives an error its kind; `doing` says what failed: `record a decision`.
pub(super) fn port_error(doing: &str, error: sqlx::Error) -> PortError {
    let (kind, message) = describe(doing, &error);
    PortError::with_source(kind, message, error)
}

fn describe(doing: &str, error: &sqlx::Error) -> (ErrorKind, String) {
    use sqlx::Error as E;
    let unavailable = |why: &str| (ErrorKind::Unavailable, format!("cannot {doing}: {why}"));
    match error {
        E::PoolTimedOut => unavailable("the catalog is busy"),
        E::PoolClosed | E::WorkerCrashed => unavailable("the catalog is closed"),
        E::Io(_) | E::Tls(_) => unavailable("the catalog's database does not answer"),
        E::Database(db) => {
            let code = db.code().unwrap_or_default();
            if matches!(db.kind(), DbKind::UniqueViolation) {
                (ErrorKind::Conflict, format!("cannot {doing}: it exists already"))
            } else if BUSY_OR_FULL.contains(&code.as_ref()) {
                unavailable("the catalog's database is busy or its disk is full")
            } else if DAMAGED.contains(&code.as_ref()) {
                let help = "restore it from a backup, or move it away to start with an empty one";
                (ErrorKind::Internal, format!("cannot {doing}: the catalog's database is damaged; {help}"))
            } else {
                (ErrorKind::Internal, format!("cannot {doing}"))
            }
        }
        _ => (ErrorKind::Internal, format!("cannot {doing}")),
    }
}

/// A row that cannot be read back.
pub(super) fn bad_row(what: &str, detail: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("the catalog holds an unreadable {what}: {detail}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pool_is_unavailable_and_a_bad_row_is_internal() {
        assert_eq!(port_error("list alerts", sqlx::Error::PoolClosed).kind(), ErrorKind::Unavailable);
        let error = port_error("list alerts", bad_row("alert", "state `x`"));
        assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "cannot list alerts"));
        assert!(vocab::error::chain(&error).contains("state `x`"));
    }
}
