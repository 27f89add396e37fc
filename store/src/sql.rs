//! SQL over metrics and logs with DataFusion.
//!
//! Two tables: `metrics(time, name, labels, value)` and `logs(time, service, severity, body, labels, fields, pattern_id)`. What
//! a WHERE clause says of time, names, labels and fields reaches the engines ([`pushdown`]), so that they read less. Only
//! reading statements pass ([`statement`]); the tenant is the context's; memory is the query's share ([`memory`]).
//!
//! Queries run on threads of their own, so that a heavy one does not hold up the rest of the process.

mod encode;
mod error;
mod memory;
mod pushdown;
mod samples;
mod scan;
mod statement;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use vocab::ports::query::Querier;
use vocab::ports::sql::{Sql, SqlAnswer, SqlColumn, SqlFormat, SqlRequest};
use vocab::{Clock, Ctx, ErrorKind, PortError, PortResult};

use crate::logs::LogStore;
use encode::Encoder;
use error::of_datafusion;
use memory::BudgetPool;
use table::{Source, Table};

/// Most queries that run at once; more wait. Each can use all threads, so more at once would only make each slower.
const QUERIES_MAX: usize = 8;
/// Encoded batches that wait for a slow reader.
const ANSWER_BATCHES_MAX: usize = 4;
/// How often a running query looks whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(100);
/// Most threads of the query engine.
const THREADS_MAX: usize = 16;

/// Answers SQL.
#[derive(Debug)]
pub struct SqlEngine {
    querier: Arc<dyn Querier>,
    logs: Arc<LogStore>,
    clock: Arc<dyn Clock>,
    running: Arc<Semaphore>,
    /// Started with the first query.
    threads: Mutex<Option<Threads>>,
}

impl SqlEngine {
    /// An engine over these two stores. Memory is reserved as a part of what a query's context holds.
    pub fn new(querier: Arc<dyn Querier>, logs: Arc<LogStore>, clock: Arc<dyn Clock>) -> Self {
        Self { querier, logs, clock, running: Arc::new(Semaphore::new(QUERIES_MAX)), threads: Mutex::new(None) }
    }

    /// Starts work on the engine's threads.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> PortResult<Task> {
        let mut threads = self.threads.lock();
        let threads = match &mut *threads {
            Some(threads) => threads,
            none => none.insert(Threads::start()?),
        };
        threads.spawn(work).map(Task)
    }

    /// A session that knows the two tables in the name of this context.
    fn session(&self, ctx: &Ctx, allow_full_scan: bool, explains: bool) -> PortResult<SessionState> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(BudgetPool::new(&ctx.memory)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(|e| of_datafusion(&e))?;
        let config = SessionConfig::new().with_information_schema(true).with_target_partitions(num_threads());
        let session = SessionContext::new_with_config_rt(config, runtime);
        for source in [Source::Metrics(Arc::clone(&self.querier)), Source::Logs(Arc::clone(&self.logs))] {
            let table = Table::new(source, ctx.clone(), allow_full_scan, explains);
            session.register_table(table.name(), Arc::new(table)).map_err(|e| of_datafusion(&e))?;
        }
        let mut state = session.state();
        // `now()` is the program's clock, not the operating system's.
        let now = arrow::temporal_conversions::timestamp_ms_to_datetime(self.clock.now_ms());
        state.execution_props_mut().query_execution_start_time = now.map(|now| now.and_utc());
        Ok(state)
    }
}

#[async_trait]
impl Sql for SqlEngine {
    async fn query(&self, ctx: &Ctx, request: SqlRequest) -> PortResult<SqlAnswer> {
        let answer = self.start(ctx, request).await;
        self.logs.engine.metrics.sql_query(match &answer {
            Ok(_) => "answered",
            Err(error) if error.kind() == ErrorKind::Invalid => "invalid",
            Err(error) if error.kind() == ErrorKind::Limit => "limit",
            Err(error) if matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Timeout) => "cancelled",
            Err(_) => "failed",
        });
        answer
    }
}

impl SqlEngine {
    async fn start(&self, ctx: &Ctx, request: SqlRequest) -> PortResult<SqlAnswer> {
        let read = statement::parse(&request.query)?;
        ctx.cancel.check()?;
        let stopped = |_| PortError::new(ErrorKind::Unavailable, "the query engine is stopping");
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(stopped)?;
        let state = self.session(ctx, request.allow_full_scan || read.only_explains, read.explains)?;
        let (planned, plan) = tokio::sync::oneshot::channel();
        let (sender, mut receiver) = mpsc::channel(ANSWER_BATCHES_MAX);
        let (ctx, clock, format) = (ctx.clone(), Arc::clone(&self.clock), request.format);
        let work = async move {
            let _running = permit;
            match plan_of(&state, read.statement).await {
                Ok(plan) => {
                    // Whoever asked may have gone away; the first send below will tell.
                    drop(planned.send(Ok(columns(&plan))));
                    run(&ctx, &clock, &state, plan, format, &sender).await;
                }
                Err(error) => drop(planned.send(Err(error))),
            }
        };
        let task = self.spawn(work)?;
        let broken = || PortError::new(ErrorKind::Internal, "the query stopped at a broken invariant");
        let columns = plan.await.map_err(|_| broken())??;
        // A query that fails at its first rows fails as a whole, before anything of an answer has been sent.
        let first = receiver.recv().await.ok_or_else(broken)??;
        let rest = stream::unfold((receiver, task), |(mut receiver, task)| async move {
            receiver.recv().await.map(|bytes| (bytes, (receiver, task)))
        });
        let rows = stream::iter([Ok(first)]).chain(rest).filter(|bytes| {
            let wanted = bytes.as_ref().map_or(true, |bytes: &Bytes| !bytes.is_empty());
            std::future::ready(wanted)
        });
        Ok(SqlAnswer { columns, rows: rows.boxed() })
    }
}

async fn plan_of(
    state: &SessionState,
    statement: datafusion::sql::parser::Statement,
) -> PortResult<Arc<dyn ExecutionPlan>> {
    let plan = async {
        let logical = state.statement_to_plan(statement).await?;
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        read_only.verify_plan(&logical)?;
        state.create_physical_plan(&logical).await
    };
    plan.await.map_err(|e| of_datafusion(&e))
}

fn columns(plan: &Arc<dyn ExecutionPlan>) -> Vec<SqlColumn> {
    let column = |field: &Arc<datafusion::arrow::datatypes::Field>| SqlColumn {
        name: field.name().clone(),
        data_type: field.data_type().to_string(),
    };
    plan.schema().fields().iter().map(column).collect()
}

/// Runs a plan and sends the encoded rows, then what ends the answer, or an error.
async fn run(
    ctx: &Ctx,
    clock: &Arc<dyn Clock>,
    state: &SessionState,
    plan: Arc<dyn ExecutionPlan>,
    format: SqlFormat,
    sender: &mpsc::Sender<PortResult<Bytes>>,
) {
    let send_all = async {
        let mut encoder = Encoder::new(format, plan.schema())?;
        let mut batches = execute_stream(plan, state.task_ctx()).map_err(|e| of_datafusion(&e))?;
        loop {
            ctx.cancel.check()?;
            let batch = tokio::select! {
                batch = batches.next() => batch,
                () = clock.sleep(CANCEL_CHECK) => continue,
            };
            let Some(batch) = batch else { break };
            let bytes = encoder.batch(&batch.map_err(|e| of_datafusion(&e))?)?;
            if !bytes.is_empty() && sender.send(Ok(bytes)).await.is_err() {
                return Ok(());
            }
        }
        // Sent even when empty, so that an answer without rows has a first piece.
        drop(sender.send(Ok(encoder.finish()?)).await);
        Ok(())
    };
    if let Err(error) = send_all.await {
        drop(sender.send(Err(error)).await);
    }
}

/// A running query, ended when nobody wants its answer any more.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// As many threads as the machine can run at once, within reason.
fn num_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
}

/// The threads on which queries run.
#[derive(Debug)]
struct Threads(Option<tokio::runtime::Runtime>);

impl Threads {
    fn start() -> PortResult<Self> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(num_threads())
            .thread_name("sql")
            .enable_time()
            .build()
            .map(|runtime| Self(Some(runtime)))
            .map_err(|e| PortError::with_source(ErrorKind::Internal, "cannot start the threads of the query engine", e))
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> PortResult<JoinHandle<()>> {
        let stopping = || PortError::new(ErrorKind::Unavailable, "the query engine is stopping");
        Ok(self.0.as_ref().ok_or_else(stopping)?.spawn(work))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed where the last owner may be: on another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
