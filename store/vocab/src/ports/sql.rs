//! SQL over metrics and logs.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::context::Ctx;
use crate::error::PortResult;

/// How rows are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SqlFormat {
    /// One JSON object per row, as an array: `[{…},{…}]`.
    #[default]
    Json,
    /// One JSON object per line.
    NdJson,
    /// Comma-separated values with a header line.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
}

/// A query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SqlRequest {
    /// One read-only statement.
    pub query: String,
    /// How the rows come.
    pub format: SqlFormat,
    /// Whether a scan without any bound on time is allowed.
    pub allow_full_scan: bool,
}

/// A column of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlColumn {
    /// Its name.
    pub name: String,
    /// Its Arrow type in words.
    pub data_type: String,
}

/// An answer: the schema and the encoded rows as they are computed.
pub struct SqlAnswer {
    /// The columns.
    pub columns: Vec<SqlColumn>,
    /// The encoded rows.
    pub rows: BoxStream<'static, PortResult<Bytes>>,
}

impl Debug for SqlAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlAnswer").field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// Runs SQL. The tenant comes from the context, never from a column.
#[async_trait]
pub trait Sql: Send + Sync + Debug {
    /// Plans and starts a query.
    ///
    /// # Errors
    /// `Invalid` for a mistake in the query, a statement that is not read only, or a full scan that was not allowed; `Limit`
    /// when the query's memory share is used up.
    async fn query(&self, ctx: &Ctx, request: SqlRequest) -> PortResult<SqlAnswer>;
}
