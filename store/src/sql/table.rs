//! The two tables, each for one query of one tenant.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use vocab::labels::METRIC_NAME;
use vocab::ports::query::{Querier, SelectExtent, SelectHints, SelectRequest};
use vocab::{Ctx, MatchOp, Matcher, PortError, PortResult};

use super::error::to_datafusion;
use super::pushdown::{Pushdown, Target};
use super::samples::SampleRows;
use super::scan::{Described, RowSource, ScanExec};
use crate::logs::LogStore;
use crate::logs::query::{Leaf, Node, Property, Query, ValueTest};
use crate::logs::scan::schema as log_schema;
use crate::logs::split::schema::{column, map_type};

/// Batches that a scan may be ahead of its reader.
const BATCHES_AHEAD: usize = 2;
/// Times beyond these are not handed to the metric engine, so that its sums cannot overflow.
const TIME_MS_MAX: i64 = i64::MAX / 4;

/// The columns of `metrics`.
pub(super) fn metrics_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("time", DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())), false),
        Field::new("name", DataType::Utf8, false),
        Field::new("labels", map_type(), false),
        Field::new("value", DataType::Float64, false),
    ]))
}

/// The columns of `logs`: those of a split without the record's number.
const LOG_COLUMNS: [usize; 7] =
    [column::TIME, column::SERVICE, column::SEVERITY, column::BODY, column::LABELS, column::FIELDS, column::PATTERN_ID];

/// Which table, and where its rows come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// `metrics`
    Metrics(Arc<dyn Querier>),
    /// `logs`
    Logs(Arc<LogStore>),
}

/// A table as one query of one tenant sees it.
#[derive(Debug)]
pub(super) struct Table {
    source: Source,
    schema: SchemaRef,
    ctx: Ctx,
    allow_full_scan: bool,
    /// Whether the plan is shown, and so what it leaves out is of interest.
    explains: bool,
}

impl Table {
    /// A table that reads in the name of `ctx`.
    pub(super) fn new(source: Source, ctx: Ctx, allow_full_scan: bool, explains: bool) -> Self {
        let schema = match source {
            Source::Metrics(_) => metrics_schema(),
            Source::Logs(_) => log_schema(&LOG_COLUMNS),
        };
        Self { source, schema, ctx, allow_full_scan, explains }
    }

    /// How much of the table's data a scan reads, where somebody wants to see it and it is known.
    async fn extent(&self, pushdown: &Pushdown) -> PortResult<Option<SelectExtent>> {
        match &self.source {
            Source::Metrics(querier) if self.explains => {
                // What the search reserves is given back before the query runs.
                let memory = Arc::new(self.ctx.memory.child());
                let ctx = Ctx { memory, ..self.ctx.clone() };
                querier.extent(&ctx, &select_request(pushdown)).await
            }
            _ => Ok(None),
        }
    }

    /// The table's name.
    pub(super) fn name(&self) -> &'static str {
        match self.source {
            Source::Metrics(_) => "metrics",
            Source::Logs(_) => "logs",
        }
    }
}

#[async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let supports = |filter: &&Expr| match Pushdown::understands(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(supports).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let pushdown = Pushdown::of(filters);
        if !pushdown.is_time_bounded() && !self.allow_full_scan {
            let table = self.name();
            return Err(to_datafusion(PortError::invalid(format!(
                "this would read all of {table}: bound its time, as in WHERE time >= now() - INTERVAL '1 hour', or set \
                 allow_full_scan to true"
            ))));
        }
        let columns: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&columns)?);
        let described = Described {
            table: self.name(),
            range: (pushdown.start_ns.map(to_ms), pushdown.end_ns.map(to_ms)),
            conditions: pushdown.conditions.iter().map(|(target, matcher)| describe(target, matcher)).collect(),
            extent: self.extent(&pushdown).await.map_err(to_datafusion)?,
        };
        let source: Arc<dyn RowSource> = match &self.source {
            Source::Metrics(querier) => Arc::new(MetricRows {
                querier: Arc::clone(querier),
                ctx: self.ctx.clone(),
                request: select_request(&pushdown),
                schema: Arc::clone(&schema),
                columns,
            }),
            Source::Logs(store) => Arc::new(LogRows {
                store: Arc::clone(store),
                ctx: self.ctx.clone(),
                query: log_query(&pushdown),
                columns: columns.iter().map(|c| LOG_COLUMNS[*c]).collect(),
            }),
        };
        Ok(Arc::new(ScanExec::new(schema, source, described, limit)))
    }
}

fn to_ms(ns: i64) -> i64 {
    ns.div_euclid(1_000_000)
}

fn describe(target: &Target, matcher: &Matcher) -> String {
    match target {
        Target::Column(_) => matcher.to_string(),
        Target::Label(name) => format!("labels['{name}']{}{:?}", matcher.op.as_str(), matcher.value),
        Target::Field(name) => format!("fields['{name}']{}{:?}", matcher.op.as_str(), matcher.value),
    }
}

fn select_request(pushdown: &Pushdown) -> SelectRequest {
    let renamed = |name: &str, matcher: &Matcher| Matcher::new(matcher.op, name, matcher.value.as_str()).ok();
    let mut matchers: Vec<Matcher> = pushdown
        .conditions
        .iter()
        .filter_map(|(target, matcher)| match target {
            Target::Column(name) if name == "name" => renamed(METRIC_NAME, matcher),
            Target::Label(name) => renamed(name, matcher),
            Target::Column(_) | Target::Field(_) => None,
        })
        .collect();
    if matchers.iter().all(Matcher::matches_empty) {
        // Every series has a name; a selector that could match nothing at all is not well formed.
        matchers.extend(Matcher::new(MatchOp::NotEqual, METRIC_NAME, ""));
    }
    SelectRequest {
        matchers,
        start_ms: pushdown.start_ns.map_or(-TIME_MS_MAX, to_ms),
        end_ms: pushdown.end_ns.map_or(TIME_MS_MAX, to_ms),
        hints: SelectHints::default(),
    }
}

fn log_query(pushdown: &Pushdown) -> Query {
    let end_ns = pushdown.end_ns.map_or(i64::MAX, |end| end.saturating_add(1));
    let mut query = Query::everything(pushdown.start_ns.unwrap_or(i64::MIN), end_ns);
    let nodes = pushdown.conditions.iter().filter_map(|(target, matcher)| {
        let test = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => ValueTest::Equal(matcher.value.clone()),
            MatchOp::Regex | MatchOp::NotRegex => {
                ValueTest::Regex(Matcher::new(MatchOp::Regex, matcher.name.as_str(), matcher.value.as_str()).ok()?)
            }
        };
        let leaf = Node::Leaf(match target {
            Target::Column(name) if name == "service" => Leaf::Property(Property::Service, test),
            Target::Column(name) if name == "severity" => Leaf::Property(Property::Severity, test),
            Target::Column(_) => return None,
            Target::Label(name) => Leaf::Label(name.clone(), test),
            Target::Field(name) => Leaf::Value(name.clone(), test),
        });
        Some(match matcher.op {
            MatchOp::Equal | MatchOp::Regex => leaf,
            MatchOp::NotEqual | MatchOp::NotRegex => Node::Not(Box::new(leaf)),
        })
    });
    query.node = Node::And(nodes.collect());
    query
}

/// Samples as rows.
#[derive(Debug)]
struct MetricRows {
    querier: Arc<dyn Querier>,
    ctx: Ctx,
    request: SelectRequest,
    schema: SchemaRef,
    columns: Vec<usize>,
}

impl RowSource for MetricRows {
    fn rows(&self) -> BoxStream<'static, PortResult<RecordBatch>> {
        // What the metric engine reserves while it decodes is given back batch by batch, not at the query's end.
        let memory = Arc::new(self.ctx.memory.child());
        let ctx = Ctx { memory: Arc::clone(&memory), ..self.ctx.clone() };
        let (querier, request) = (Arc::clone(&self.querier), self.request.clone());
        let rows = SampleRows::new(Arc::clone(&self.schema), self.columns.clone(), (request.start_ms, request.end_ms));
        let series = stream::once(async move {
            let series = querier.select(&ctx, request).await;
            match series {
                Ok(series) => series,
                Err(error) => stream::iter([Err(error)]).boxed(),
            }
        })
        .flatten();
        let cancel = self.ctx.cancel.clone();
        series
            .flat_map(move |batch| {
                let rows = batch.and_then(|batch| {
                    cancel.check()?;
                    memory.shrink(memory.bytes());
                    Ok(rows.batches(batch))
                });
                match rows {
                    Ok(batches) => stream::iter(batches).boxed(),
                    Err(error) => stream::iter([Err(error)]).boxed(),
                }
            })
            .boxed()
    }
}

/// Log records as rows.
#[derive(Debug)]
struct LogRows {
    store: Arc<LogStore>,
    ctx: Ctx,
    query: Query,
    columns: Vec<usize>,
}

impl RowSource for LogRows {
    fn rows(&self) -> BoxStream<'static, PortResult<RecordBatch>> {
        let (sender, receiver) = tokio::sync::mpsc::channel(BATCHES_AHEAD);
        let (engine, ctx) = (Arc::clone(&self.store.engine), self.ctx.clone());
        let (query, columns) = (self.query.clone(), self.columns.clone());
        tokio::task::spawn_blocking(move || {
            // A reader that went away ends the scan.
            let done = engine.scan(&ctx, &query, &columns, |batch| sender.blocking_send(Ok(batch)).is_ok());
            if let Err(error) = done {
                drop(sender.blocking_send(Err(error)));
            }
        });
        stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|batch| (batch, receiver)) })
            .boxed()
    }
}
