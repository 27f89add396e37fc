//! Evaluates queries off the async threads: bounded in number, time and memory, and ended when nobody waits any more. Heavy ones
//! that are in each other's way take turns. The lightest are answered on the spot: to change threads would take them longer.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use vocab::cancel::CancelOnDrop;
use vocab::{Cancel, Ctx, ErrorKind};

use crate::app::{App, Caller};
use crate::error::{ApiError, ApiResult};
use crate::metrics::Counted;
use crate::stream::Pieces;

/// Most queries that wait for their turn; beyond it the server says at once that it is busy.
const QUERIES_WAITING_MAX: i64 = 256;

/// How often a query that was refused memory because of others is given a turn of its own. Light queries, which are never held up,
/// may be in its way even then, so once is not always enough; each time costs it the work done before.
const TURNS_MAX: u32 = 3;

/// Longest time for which a query may hold up a thread that reads requests: some times as long as it takes to change threads, and much
/// too short for anybody to notice.
const AT_ONCE_MAX: Duration = Duration::from_micros(300);
/// Queries whose length is remembered, by their hashes; two that share one are both taken for long.
const REMEMBERED: usize = 4096;
/// How often a query that took too long on the spot is not tried there again.
const LONG_TURNS: u8 = 255;

/// Which queries took too long to be answered on the spot.
#[derive(Debug)]
pub(crate) struct Lengths(Vec<AtomicU8>);

impl Default for Lengths {
    fn default() -> Self {
        Self((0..REMEMBERED).map(|_| AtomicU8::new(0)).collect())
    }
}

impl Lengths {
    /// Whether a query may be tried on the spot: it was never found to be long, or not for a while.
    fn may_be_short(&self, query: u64) -> bool {
        let turns = self.slot(query);
        let less = turns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |turns| turns.checked_sub(1));
        less.is_err()
    }

    fn is_long(&self, query: u64) {
        self.slot(query).store(LONG_TURNS, Ordering::Relaxed);
    }

    #[allow(clippy::cast_possible_truncation, reason = "any part of a hash will do")]
    fn slot(&self, query: u64) -> &AtomicU8 {
        &self.0[query as usize % REMEMBERED]
    }
}

/// What a query is remembered by.
fn hash(query: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    query.hash(&mut hasher);
    hasher.finish()
}

/// A query that has begun: until when, and whether somebody still waits for it.
struct Begun {
    cancel: Cancel,
    limit: Duration,
    time_over: BoxFuture<'static, ()>,
    began: Duration,
    _ends_with_us: CancelOnDrop,
}

impl Begun {
    fn now(app: &App, limit: Duration) -> Self {
        let cancel = Cancel::new();
        Self {
            _ends_with_us: CancelOnDrop(cancel.clone()),
            cancel,
            limit,
            time_over: app.clock.sleep(limit),
            began: app.clock.monotonic(),
        }
    }

    fn out_of_time(&self, app: &App) -> ApiError {
        app.metrics.queries_timed_out.inc();
        ApiError::new(ErrorKind::Timeout, format!("query timed out after {} s", self.limit.as_secs_f64()))
    }
}

impl App {
    /// Runs `work` on a thread of its own under a time limit. When the caller goes away (this future is dropped) or the
    /// time is over, the context's flag is raised and the work ends at its next look at it.
    pub(crate) async fn run<T, F, Fut>(self: &Arc<Self>, caller: &Caller, limit: Duration, work: F) -> ApiResult<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Self>, Ctx) -> Fut + Send + 'static,
        Fut: Future<Output = ApiResult<T>>,
    {
        let mut begun = Begun::now(self, limit);
        let ctx = Ctx { cancel: begun.cancel.clone(), ..self.ctx(caller) };
        let answer = self.attempt(&mut begun, ctx, work).await;
        self.metrics.query_seconds.observe(self.clock.monotonic().saturating_sub(begun.began).as_secs_f64());
        answer
    }

    /// The same for work that can be done again: when it is refused memory only because other heavy queries hold it, it gives back
    /// what it has, waits for its turn among them, and begins anew, all within its time.
    pub(crate) async fn run_in_turn<T, F, Fut>(
        self: &Arc<Self>,
        caller: &Caller,
        limit: Duration,
        work: F,
    ) -> ApiResult<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Self>, Ctx) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ApiResult<T>>,
    {
        self.take_turns(caller, limit, || true, work).await
    }

    /// The same for work that is answered on the spot when that takes next to no time; by `query` it is known again.
    pub(crate) async fn run_query<T, F, Fut>(
        self: &Arc<Self>,
        caller: &Caller,
        limit: Duration,
        query: impl Hash,
        work: F,
    ) -> ApiResult<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Self>, Ctx) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ApiResult<T>>,
    {
        let query = hash((&caller.tenant, query));
        if limit > AT_ONCE_MAX
            && self.lengths.may_be_short(query)
            && let Some(answer) = self.at_once(caller, query, work.clone())
        {
            return answer;
        }
        self.run_in_turn(caller, limit, work).await
    }

    /// Tries to answer a query on this thread. `None` when that takes too long, would have to wait, or needs memory that others hold:
    /// then it is to be done again.
    fn at_once<T, F, Fut>(self: &Arc<Self>, caller: &Caller, query: u64, work: F) -> Option<ApiResult<T>>
    where
        F: FnOnce(Arc<Self>, Ctx) -> Fut,
        Fut: Future<Output = ApiResult<T>>,
    {
        let _permit = self.permits.try_acquire().ok()?;
        let _running = Counted::new(&self.metrics.queries_running);
        let began = self.clock.monotonic();
        let cancel = Cancel::briefly(Arc::clone(&self.clock), AT_ONCE_MAX);
        let ctx = Ctx { cancel: cancel.clone(), ..self.ctx(caller) };
        match work(Arc::clone(self), ctx).now_or_never() {
            Some(Err(error)) if error.kind == ErrorKind::Limit => None,
            Some(answer) if answer.is_ok() || !cancel.was_too_brief() => {
                let took = self.clock.monotonic().saturating_sub(began);
                self.metrics.query_seconds.observe(took.as_secs_f64());
                // Between two looks at the time it may take longer: not again here.
                if took > AT_ONCE_MAX {
                    self.lengths.is_long(query);
                }
                Some(answer)
            }
            _ => {
                self.lengths.is_long(query);
                None
            }
        }
    }

    /// The same for work that can be done again until the first piece of its answer is on its way.
    pub(crate) async fn run_pieces<F, Fut>(
        self: &Arc<Self>,
        caller: &Caller,
        limit: Duration,
        pieces: Pieces,
        work: F,
    ) -> ApiResult<()>
    where
        F: FnOnce(Arc<Self>, Ctx, Pieces) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ApiResult<()>>,
    {
        let out = pieces.clone();
        let work = move |app, ctx| work(app, ctx, out);
        self.take_turns(caller, limit, || !pieces.has_begun(), work).await
    }

    async fn take_turns<T, F, Fut>(
        self: &Arc<Self>,
        caller: &Caller,
        limit: Duration,
        may_begin_anew: impl Fn() -> bool,
        work: F,
    ) -> ApiResult<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Self>, Ctx) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ApiResult<T>>,
    {
        let mut begun = Begun::now(self, limit);
        let mut ctx = Ctx { cancel: begun.cancel.clone(), ..self.ctx(caller) };
        let mut turns_left = TURNS_MAX;
        let answer = loop {
            let crowded_out = ctx.memory.crowded_out();
            let answer = self.attempt(&mut begun, ctx, work.clone()).await;
            let is_refused = matches!(&answer, Err(error) if error.kind == ErrorKind::Limit);
            if !is_refused || !crowded_out.get() || turns_left == 0 || !may_begin_anew() {
                break answer;
            }
            // With too many waiting already the answer is the refusal.
            let Ok(turn) = self.memory.next_turn("a query") else { break answer };
            turns_left -= 1;
            let _waiting = Counted::new(&self.metrics.queries_waiting);
            let memory = tokio::select! {
                memory = turn => memory,
                () = &mut begun.time_over => break Err(begun.out_of_time(self)),
            };
            ctx = Ctx { cancel: begun.cancel.clone(), ..Ctx::new(caller.tenant.clone(), memory) };
        };
        self.metrics.query_seconds.observe(self.clock.monotonic().saturating_sub(begun.began).as_secs_f64());
        answer
    }

    async fn attempt<T, F, Fut>(self: &Arc<Self>, begun: &mut Begun, ctx: Ctx, work: F) -> ApiResult<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Self>, Ctx) -> Fut + Send + 'static,
        Fut: Future<Output = ApiResult<T>>,
    {
        if self.metrics.queries_waiting.get() >= QUERIES_WAITING_MAX {
            return Err(ApiError::new(ErrorKind::Unavailable, "too many queries are waiting, try again later"));
        }
        let waiting = Counted::new(&self.metrics.queries_waiting);
        let permit = tokio::select! {
            permit = Arc::clone(&self.permits).acquire_owned() => permit,
            () = &mut begun.time_over => return Err(begun.out_of_time(self)),
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
        tokio::select! {
            joined = task => match joined {
                Ok(answer) => answer,
                Err(error) => {
                    self.metrics.panics.inc();
                    tracing::error!(%error, "a query panicked");
                    Err(ApiError::new(ErrorKind::Internal, "the query hit an internal error"))
                }
            },
            () = &mut begun.time_over => {
                begun.cancel.time_out();
                Err(begun.out_of_time(self))
            }
        }
    }
}
