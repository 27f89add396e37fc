//! Rows for SQL: the records of a query as Arrow batches, column by column.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use vocab::{Ctx, PortResult};

use crate::logs::engine::{Engine, Halt};
use crate::logs::query::Query;
use crate::logs::split::rows::RowsBuilder;
use crate::logs::split::schema::ROWS;
use crate::logs::tenant::View;
use crate::logs::tokens::TokenBuffer;

/// Rows of a batch that comes from the head.
const HEAD_ROWS: usize = 4096;

/// The schema of a scan's batches.
pub(crate) fn schema(columns: &[usize]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|c| Arc::clone(&ROWS.fields()[*c])).collect::<Vec<_>>()))
}

impl Engine {
    /// Hands the rows of all matching records to `take`, batch by batch, until it answers false. Blocks on file operations.
    pub(crate) fn scan(
        &self,
        ctx: &Ctx,
        query: &Query,
        columns: &[usize],
        mut take: impl FnMut(RecordBatch) -> bool,
    ) -> PortResult<()> {
        let View { head, splits } = self.view(&ctx.tenant);
        let mut buffer = TokenBuffer::default();
        let mut rows = RowsBuilder::default();
        let mut finish = |rows: &mut RowsBuilder| -> PortResult<bool> {
            let arrow = |e: arrow::error::ArrowError| {
                vocab::PortError::with_source(vocab::ErrorKind::Internal, "cannot build rows of recent log records", e)
            };
            let batch = rows.finish().map_err(arrow)?.project(columns).map_err(arrow)?;
            Ok(take(batch))
        };
        for stored in head.iter().flat_map(|b| &b.records) {
            if query.matches(&stored.record, &mut buffer) {
                rows.push(stored.seq, &stored.record).map_err(|e| {
                    vocab::PortError::with_source(
                        vocab::ErrorKind::Internal,
                        "cannot build rows of recent log records",
                        e,
                    )
                })?;
            }
            if rows.len() >= HEAD_ROWS {
                ctx.cancel.check()?;
                if !finish(&mut rows)? {
                    return Ok(());
                }
            }
        }
        if rows.len() > 0 && !finish(&mut rows)? {
            return Ok(());
        }
        for split in splits.iter().filter(|s| s.overlaps(query.start_ns, query.end_ns)) {
            let more = self.on_split(ctx, split, |open| {
                let matching = open.matching(query, || Ok::<(), Halt>(ctx.cancel.check()?))?;
                if matching.is_empty() {
                    return Ok(true);
                }
                for batch in open.batches(&matching, Some(columns))? {
                    ctx.cancel.check()?;
                    let batch = batch.map_err(|e| Halt::Split(open.rows_error(e)))?;
                    if !take(open.reorder(&batch, columns)?) {
                        return Ok(false);
                    }
                }
                Ok(true)
            })?;
            if more == Some(false) {
                break;
            }
        }
        Ok(())
    }
}
