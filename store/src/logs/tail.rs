//! Records as they are written.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use vocab::{Ctx, LogRecord};

use crate::logs::engine::{Engine, TailBatch};
use crate::logs::query::Query;
use crate::logs::tokens::TokenBuffer;
use crate::metrics::Metrics;

struct Tail {
    ctx: Ctx,
    query: Query,
    metrics: Arc<Metrics>,
    batches: Receiver<TailBatch>,
    /// Found and not yet handed out.
    ready: VecDeque<LogRecord>,
}

impl Engine {
    /// The tenant's records that satisfy the query, from now on.
    pub(crate) fn tail(&self, ctx: &Ctx, query: Query) -> BoxStream<'static, LogRecord> {
        let tail = Tail {
            ctx: ctx.clone(),
            query,
            metrics: Arc::clone(&self.metrics),
            batches: self.tails.subscribe(),
            ready: VecDeque::new(),
        };
        stream::unfold(tail, |mut tail| async move { tail.next().await.map(|record| (record, tail)) }).boxed()
    }
}

impl Tail {
    async fn next(&mut self) -> Option<LogRecord> {
        loop {
            if self.ctx.cancel.is_cancelled() {
                return None;
            }
            if let Some(record) = self.ready.pop_front() {
                return Some(record);
            }
            match self.batches.recv().await {
                Ok(TailBatch { tenant, batch }) if tenant == self.ctx.tenant => {
                    let mut buffer = TokenBuffer::default();
                    let records = batch.records.iter().map(|s| &s.record);
                    self.ready.extend(records.filter(|r| self.query.conditions_hold(r, &mut buffer)).cloned());
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => self.metrics.log_tail_missed(missed),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
