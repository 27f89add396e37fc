//! A PostgreSQL at the other end of a network: it may be away, and it may fall silent.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgPool};
use tokio::time::Instant;

/// How long a call waits for a connection to PostgreSQL.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a statement of PostgreSQL may take, its way through the network included. A server that has fallen silent would else
/// hold its callers until the system gives the connection up, which takes a quarter of an hour.
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// While PostgreSQL is silent, somebody finds out this often whether it is back.
const FIND_OUT_PAUSE: Duration = Duration::from_secs(1);
/// What PostgreSQL itself keeps an eye on. A process that hangs in the middle of a transaction has its locks taken away, so that
/// the lease's row is free for another one.
const SESSION: &str =
    "SET idle_in_transaction_session_timeout = '5s'; SET lock_timeout = '5s'; SET statement_timeout = '8s'";

/// Gives a call of PostgreSQL up that takes too long; whether it was carried out is not known then.
pub(super) async fn answered<T>(call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(ANSWER_MAX, call).await.unwrap_or_else(|_| Err(silent()))
}

/// Why no connection came about, asked once more.
async fn why_not(options: &PgConnectOptions) -> sqlx::Error {
    match tokio::time::timeout(CONNECT_MAX, options.connect()).await {
        Ok(Err(error)) => error,
        Ok(Ok(_)) => sqlx::Error::PoolTimedOut,
        Err(_) => silent(),
    }
}

fn silent() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the server is silent"))
}

/// A PostgreSQL that may fall silent. Once it has, one caller at a time waits to find out whether it is back; the others are told
/// at once, so that an alert, a log line or a scrape does not wait for a row that cannot be written.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pool: PgPool,
    /// When the last caller found it silent; `None` while it answers.
    silent_since: Arc<Mutex<Option<Instant>>>,
    finding_out: Arc<AtomicBool>,
}

impl Server {
    /// Connects, with at most so many connections.
    pub(super) async fn connect(options: PgConnectOptions, connections_max: u32) -> Result<Self, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(CONNECT_MAX)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(sqlx::raw_sql(SESSION)).await.map(|_| ()) })
            })
            // One that does not answer any more is closed here; the pool by itself would wait for it, and have one less.
            .after_release(|connection, _| Box::pin(async move { answered(connection.ping()).await.map(|()| true) }));
        let pool = match pool.connect_with(options.clone()).await {
            // The pool tries again until its time is over, and then does not say what went wrong.
            Err(sqlx::Error::PoolTimedOut) => return Err(why_not(&options).await),
            opened => opened?,
        };
        Ok(Self { pool, silent_since: Arc::default(), finding_out: Arc::default() })
    }

    /// Its connections.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Ends all connections.
    pub(super) async fn close(&self) {
        // What is not closed in time is closed by the process's end.
        let _closed = tokio::time::timeout(ANSWER_MAX, self.pool.close()).await;
    }

    /// Makes a call that begins with taking a connection.
    pub(super) async fn call<T>(&self, call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        // Servers outside are waited for in real time.
        let since = *self.silent_since.lock();
        let _one = match since {
            None => None,
            Some(since) if since.elapsed() < FIND_OUT_PAUSE => return Err(silent()),
            Some(_) => Some(FindingOut::begin(&self.finding_out).ok_or_else(silent)?),
        };
        let answer = answered(call).await;
        let is_silent = matches!(&answer, Err(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut));
        *self.silent_since.lock() = is_silent.then(Instant::now);
        answer
    }
}

/// The one that finds out.
struct FindingOut<'a>(&'a AtomicBool);

impl<'a> FindingOut<'a> {
    fn begin(flag: &'a AtomicBool) -> Option<Self> {
        (!flag.swap(true, Ordering::AcqRel)).then_some(Self(flag))
    }
}

impl Drop for FindingOut<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_is_not_there_is_said_to_refuse() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(closed);
        let error = Server::connect(options, 1).await.expect_err("nobody listens");
        assert!(matches!(&error, sqlx::Error::Io(e) if e.kind() == io::ErrorKind::ConnectionRefused), "{error:?}");
    }
}
