//! How the database's errors look to the rooms.

use sqlx::error::ErrorKind as DbKind;
use vocab::{ErrorKind, PortError};

/// SQLite's result codes for a database that is in use or cannot grow.
const BUSY_OR_FULL: [&str; 5] = ["5", "6", "10", "13", "517"];
/// SQLite's and PostgreSQL's codes for a damaged database.
const DAMAGED: [&str; 4] = ["11", "26", "XX001", "XX002"];
/// What PostgreSQL's codes mean, by how they begin; the first that fits.
const POSTGRES: [(&str, &str); 13] = [
    ("08", "the connection to the catalog's database broke"),
    ("57P", "the catalog's database is starting or stopping"),
    ("53", "the catalog's database is full or has too many connections"),
    ("28", "the catalog's database refuses the user or the password"),
    ("3D000", "the catalog's database does not exist: create it, empty, with CREATE DATABASE"),
    ("42501", "the user may not do that in the catalog's database; it must own its tables"),
    ("25006", "the catalog's database can only be read, as a standby can"),
    // What another process holds too long, and what took too long itself.
    ("55P03", "another process holds the row"),
    ("40", "another process wrote at the same time"),
    ("57014", "the catalog's database took too long"),
    ("25P03", "the transaction stood idle for too long"),
    ("25P02", "the transaction was broken off"),
    ("58", "the catalog's database has trouble with its system"),
];

/// Gives an error its kind; `doing` says what failed: `record a decision`.
pub(super) fn port_error(doing: &str, error: sqlx::Error) -> PortError {
    let (kind, message) = describe(doing, &error);
    PortError::with_source(kind, message, error)
}

fn describe(doing: &str, error: &sqlx::Error) -> (ErrorKind, String) {
    use sqlx::Error as E;
    let unavailable = |why: &str| (ErrorKind::Unavailable, format!("cannot {doing}: {why}"));
    match error {
        E::PoolTimedOut => unavailable("the catalog's database is busy or does not answer"),
        E::PoolClosed | E::WorkerCrashed => unavailable("the catalog is closed"),
        E::Io(_) | E::Tls(_) => unavailable("the catalog's database does not answer"),
        E::Protocol(_) => unavailable("the connection to the catalog's database broke"),
        E::Database(db) => {
            let code = db.code().unwrap_or_default();
            if matches!(db.kind(), DbKind::UniqueViolation) {
                (ErrorKind::Conflict, format!("cannot {doing}: it exists already"))
            } else if BUSY_OR_FULL.contains(&code.as_ref()) {
                unavailable("the catalog's database is busy or its disk is full")
            } else if DAMAGED.contains(&code.as_ref()) {
                let help = "restore it from a backup, or move it away to start with an empty one";
                (ErrorKind::Internal, format!("cannot {doing}: the catalog's database is damaged; {help}"))
            } else if let Some((_, why)) = postgres(&code) {
                unavailable(why)
            } else {
                (ErrorKind::Internal, format!("cannot {doing}"))
            }
        }
        _ => (ErrorKind::Internal, format!("cannot {doing}")),
    }
}

fn postgres(code: &str) -> Option<&'static (&'static str, &'static str)> {
    // SQLite's are numbers of up to four digits.
    POSTGRES.iter().find(|(begin, _)| code.len() == 5 && code.starts_with(begin))
}

/// A row that cannot be read back.
pub(super) fn bad_row(what: &str, detail: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("the catalog holds an unreadable {what}: {detail}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_postgresql_have_words_of_their_own_and_those_of_sqlite_are_not_taken_for_them() {
        let check = |code: &str, part: Option<&str>| {
            assert_eq!(postgres(code).map(|found| found.1.contains(part.unwrap_or("?"))), part.map(|_| true), "{code}");
        };
        check("57P01", Some("starting or stopping"));
        check("57014", Some("took too long"));
        check("40P01", Some("at the same time"));
        check("28P01", Some("password"));
        check("3D000", Some("does not exist"));
        check("2832", None);
        check("42601", None);
    }

    #[test]
    fn a_closed_pool_is_unavailable_and_a_bad_row_is_internal() {
        assert_eq!(port_error("list alerts", sqlx::Error::PoolClosed).kind(), ErrorKind::Unavailable);
        let error = port_error("list alerts", bad_row("alert", "state `x`"));
        assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "cannot list alerts"));
        assert!(vocab::error::chain(&error).contains("state `x`"));
    }
}
