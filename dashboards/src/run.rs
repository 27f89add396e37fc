//! Evaluates queries off the async threads: bounded in number, time and memory, and ended when nobody waits any more.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use vocab::cancel::CancelOnDrop;
use vocab::{Ctx, ErrorKind};

use crate::app::{App, Caller};
use crate::error::{ApiError, ApiResult};
use crate::metrics::Counted;

/// Most queries that wait for their turn; beyond it the server says at once that it is busy.
const QUERIES_WAITING_MAX: i64 = 256;

impl App {
    /// Runs `work` on a thread of its own under a time limit. When the caller goes away (this future is dropped) or the
    /// time is over, the context's flag is raised and the work ends at its next look at it.
    pub(crate) async fn run<T, F, Fut>(self: &Arc<Self>, caller: &Caller, limit: Duration, work: F) -> ApiResult<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Self>, Ctx) -> Fut + Send + 'static,
        Fut: Future<Output = ApiResult<T>>,
    {
        let began = self.clock.monotonic();
        let ctx = self.ctx(caller);
        let cancel = ctx.cancel.clone();
        let _ends_with_us = CancelOnDrop(cancel.clone());
        let out_of_time = || {
            self.metrics.queries_timed_out.inc();
            ApiError::new(ErrorKind::Timeout, format!("query timed out after {} s", limit.as_secs_f64()))
        };
        let mut time_over = self.clock.sleep(limit);

        if self.metrics.queries_waiting.get() >= QUERIES_WAITING_MAX {
            return Err(ApiError::new(ErrorKind::Unavailable, "too many queries are waiting, try again later"));
        }
        let waiting = Counted::new(&self.metrics.queries_waiting);
        let permit = tokio::select! {
            permit = Arc::clone(&self.permits).acquire_owned() => permit,
            () = &mut time_over => return Err(out_of_time()),
        };
        drop(waiting);
        let Ok(permit) = permit else {
            return Err(ApiError::new(ErrorKind::Unavailable, "the server is stopping"));
        };

        let app = Arc::clone(self);
        let runtime = Handle::current();
        let task = tokio::task::spawn_blocking(move || {
            let _running = Counted::new(&app.metrics.queries_running);
            let answer = runtime.block_on(work(Arc::clone(&app), ctx));
            // Held until the work has really ended, also when nobody waits for it.
            drop(permit);
            answer
        });
        let answer = tokio::select! {
            joined = task => match joined {
                Ok(answer) => answer,
                Err(error) => {
                    self.metrics.panics.inc();
                    tracing::error!(%error, "a query panicked");
                    Err(ApiError::new(ErrorKind::Internal, "the query hit an internal error"))
                }
            },
            () = &mut time_over => {
                cancel.time_out();
                Err(out_of_time())
            }
        };
        self.metrics.query_seconds.observe(self.clock.monotonic().saturating_sub(began).as_secs_f64());
        answer
    }
}
