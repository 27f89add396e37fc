//! One small face for SQLite and PostgreSQL: statements with `$1` parameters, which both understand.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, PgExecutor, Row as _, SqlSafeStr as _, SqliteExecutor, SqlitePool};

use super::server::{Server, answered};

/// What makes the tables, in order: number, name, statements. What has been published is never changed.
const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "catalog", include_str!("../../migrations/0001_catalog.sql")),
    (10, "scaling ledger", include_str!("../../migrations/0010_scaling_ledger.sql")),
];

/// Connections kept to the database; SQLite has one writer anyway and answers reads in microseconds.
const CONNECTIONS_MAX: u32 = 4;
/// How long a call waits for a connection, and SQLite for another writer.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// A parameter.
#[derive(Debug, Clone)]
pub(super) enum Arg {
    Int(i64),
    MaybeInt(Option<i64>),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Arg {
    fn from(value: u32) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<Option<i64>> for Arg {
    fn from(value: Option<i64>) -> Self {
        Self::MaybeInt(value)
    }
}

impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        // PostgreSQL's text cannot hold NUL; what came from a log line may.
        Self::Text(value.replace('\0', "\u{fffd}"))
    }
}

impl From<String> for Arg {
    fn from(value: String) -> Self {
        Self::from(value.as_str())
    }
}

impl From<&[u8]> for Arg {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

/// A statement under construction. Its text is put together from literals of this program only; whatever comes from
/// outside is a parameter.
#[derive(Debug)]
pub(super) struct Sql {
    text: String,
    args: Vec<Arg>,
}

impl Sql {
    pub(super) fn new(text: &'static str) -> Self {
        Self { text: text.to_owned(), args: Vec::new() }
    }

    /// Adds text.
    pub(super) fn push(mut self, text: &'static str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Adds a parameter.
    pub(super) fn bind(mut self, arg: impl Into<Arg>) -> Self {
        self.args.push(arg.into());
        self.text.push_str(&format!("${}", self.args.len()));
        self
    }

    /// Adds parameters with commas between them.
    pub(super) fn list(mut self, args: impl IntoIterator<Item = Arg>) -> Self {
        for (index, arg) in args.into_iter().enumerate() {
            self = if index == 0 { self } else { self.push(", ") }.bind(arg);
        }
        self
    }

    /// Adds ` AND <condition><parameter>` when there is a value.
    pub(super) fn and(self, condition: &'static str, arg: Option<impl Into<Arg>>) -> Self {
        match arg {
            Some(arg) => self.push(" AND ").push(condition).bind(arg),
            None => self,
        }
    }

    /// Adds ` AND <column> IN (…)` unless the list is empty.
    pub(super) fn and_in(self, column: &'static str, words: &[&'static str]) -> Self {
        if words.is_empty() {
            return self;
        }
        let words = words.iter().map(|w| Arg::from(*w));
        self.push(" AND ").push(column).push(" IN (").list(words).push(")")
    }

    /// Adds ` LIMIT <n>`; 0 for all.
    pub(super) fn limit(self, limit: usize) -> Self {
        match i64::try_from(limit) {
            Ok(0) | Err(_) => self,
            Ok(limit) => self.push(" LIMIT ").bind(limit),
        }
    }
}

/// A row of either database.
#[derive(Debug)]
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(super) fn text(&self, column: usize) -> Result<String, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    pub(super) fn int(&self, column: usize) -> Result<i64, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    pub(super) fn maybe_int(&self, column: usize) -> Result<Option<i64>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    pub(super) fn bytes(&self, column: usize) -> Result<Vec<u8>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }
}

macro_rules! bound {
    ($sql:expr) => {{
        // Sound: `Sql` is put together from literals and numbered parameters only.
        let mut query = sqlx::query(AssertSqlSafe($sql.text));
        for arg in $sql.args {
            query = match arg {
                Arg::Int(value) => query.bind(value),
                Arg::MaybeInt(value) => query.bind(value),
                Arg::Text(value) => query.bind(value),
                Arg::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}

async fn rows_sqlite(executor: impl SqliteExecutor<'_>, sql: Sql) -> Result<Vec<Row>, sqlx::Error> {
    Ok(bound!(sql).fetch_all(executor).await?.into_iter().map(Row::Sqlite).collect())
}

async fn rows_postgres(executor: impl PgExecutor<'_>, sql: Sql) -> Result<Vec<Row>, sqlx::Error> {
    Ok(bound!(sql).fetch_all(executor).await?.into_iter().map(Row::Postgres).collect())
}

async fn run_sqlite(executor: impl SqliteExecutor<'_>, sql: Sql) -> Result<u64, sqlx::Error> {
    Ok(bound!(sql).execute(executor).await?.rows_affected())
}

async fn run_postgres(executor: impl PgExecutor<'_>, sql: Sql) -> Result<u64, sqlx::Error> {
    Ok(bound!(sql).execute(executor).await?.rows_affected())
}

fn migration((version, name, sql): (i64, &'static str, &'static str)) -> Migration {
    Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
}

/// The database.
#[derive(Debug, Clone)]
pub(super) enum Db {
    Sqlite(SqlitePool),
    Postgres(Server),
}

impl Db {
    /// Opens (and creates) a SQLite file in WAL mode. Every commit is on disk before it is acknowledged.
    pub(super) async fn sqlite(path: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // The order of texts that PostgreSQL has under this name, whatever the language of its database is.
            .collation("C", str::cmp)
            .busy_timeout(WAIT_MAX);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).acquire_timeout(WAIT_MAX);
        Ok(Self::Sqlite(pool.connect_with(options).await?))
    }

    /// Connects to PostgreSQL.
    pub(super) async fn postgres(options: PgConnectOptions) -> Result<Self, sqlx::Error> {
        Ok(Self::Postgres(Server::connect(options, CONNECTIONS_MAX).await?))
    }

    /// Brings the tables up to date.
    pub(super) async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        // The macro that would list them compiles the database drivers a second time, for the compiler itself.
        let migrator = Migrator::with_migrations(MIGRATIONS.map(migration).into());
        match self {
            Self::Sqlite(pool) => migrator.run(pool).await,
            Self::Postgres(server) => migrator.run(server.pool()).await,
        }
    }

    /// Ends all connections; SQLite then folds its write-ahead log into the file.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(server) => server.close().await,
        }
    }

    pub(super) async fn rows(&self, sql: Sql) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => rows_sqlite(pool, sql).await,
            Self::Postgres(server) => server.call(rows_postgres(server.pool(), sql)).await,
        }
    }

    /// Runs a statement and gives the number of rows it changed.
    pub(super) async fn run(&self, sql: Sql) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => run_sqlite(pool, sql).await,
            Self::Postgres(server) => server.call(run_postgres(server.pool(), sql)).await,
        }
    }

    /// Begins a transaction that will write.
    pub(super) async fn begin(&self) -> Result<Tx, sqlx::Error> {
        Ok(match self {
            // A deferred transaction that begins with a read fails when another writer comes between; an immediate one waits.
            Self::Sqlite(pool) => Tx::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(server) => Tx::Postgres(server.call(server.pool().begin()).await?),
        })
    }
}

/// A transaction; rolled back when dropped.
pub(super) enum Tx {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Tx {
    pub(super) async fn rows(&mut self, sql: Sql) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(tx) => rows_sqlite(&mut **tx, sql).await,
            Self::Postgres(tx) => answered(rows_postgres(&mut **tx, sql)).await,
        }
    }

    pub(super) async fn run(&mut self, sql: Sql) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(tx) => run_sqlite(&mut **tx, sql).await,
            Self::Postgres(tx) => answered(run_postgres(&mut **tx, sql)).await,
        }
    }

    /// The next number of a series of numbers: 1, 2, 3 …
    pub(super) async fn next(&mut self, serial: &'static str) -> Result<i64, sqlx::Error> {
        let sql = Sql::new("INSERT INTO serial (name, last) VALUES (")
            .bind(serial)
            .push(", 1) ON CONFLICT (name) DO UPDATE SET last = serial.last + 1 RETURNING last");
        self.rows(sql).await?.first().ok_or(sqlx::Error::RowNotFound)?.int(0)
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => answered(tx.commit()).await,
        }
    }
}
