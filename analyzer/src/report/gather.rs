//! Reads what a report says, through the ports. What cannot be read is noted as a gap; nothing stops the report.

mod hosts;
mod load;
mod logs;

use vocab::ports::catalog::{AlertFilter, DecisionFilter, TicketFilter};
use vocab::ports::query::StepGrid;
use vocab::{AlertState, Ctx, TenantId, TimestampMs};

use super::input::ReportInput;
use crate::deps::Shared;
use crate::evaluate::RangeSeries;
use crate::logs::stage::PatternStore;

/// Most rows of each kind.
const ROWS_MAX: usize = 1_000;
/// Steps of the charts.
const STEPS: i64 = 240;

/// What the parts of the gathering share.
pub(super) struct Gather<'a> {
    pub(super) shared: &'a Shared,
    pub(super) ctx: Ctx,
    pub(super) from_ms: TimestampMs,
    pub(super) to_ms: TimestampMs,
    pub(super) gaps: Vec<(String, String)>,
}

/// Reads everything.
pub(super) async fn gather(
    shared: &Shared,
    patterns: &PatternStore,
    tenant: &TenantId,
    from_ms: TimestampMs,
    to_ms: TimestampMs,
) -> ReportInput {
    let mut ctx = shared.ctx("report");
    ctx.tenant = tenant.clone();
    let mut work = Gather { shared, ctx, from_ms, to_ms, gaps: Vec::new() };
    let mut input = ReportInput { from_ms, to_ms, created_at_ms: shared.clock.now_ms(), ..ReportInput::default() };
    input.services = work.services().await;
    input.hosts = work.hosts().await;
    (input.log_records, input.patterns) = work.logs(patterns).await;

    let alerts = AlertFilter {
        states: vec![AlertState::Firing, AlertState::Resolved],
        from_ms: Some(from_ms),
        to_ms: Some(to_ms),
        limit: ROWS_MAX,
        ..AlertFilter::default()
    };
    input.alerts = work.noted("alerts", shared.catalog.alerts(tenant, &alerts).await);
    input.alerts.reverse();
    let tickets =
        TicketFilter { from_ms: Some(from_ms), to_ms: Some(to_ms), limit: ROWS_MAX, ..TicketFilter::default() };
    input.tickets = work.noted("tickets", shared.catalog.tickets(tenant, &tickets).await);
    input.tickets.reverse();
    let decisions = DecisionFilter {
        from_ms: Some(from_ms),
        to_ms: Some(to_ms),
        changes_only: true,
        limit: ROWS_MAX,
        ..DecisionFilter::default()
    };
    input.decisions = work.noted("decisions", shared.catalog.decisions(tenant, &decisions).await);
    input.decisions.reverse();
    input.gaps = work.gaps;
    input
}

impl Gather<'_> {
    /// The list, or an empty one with a note of why.
    fn noted<T: Default>(&mut self, what: &str, result: vocab::PortResult<T>) -> T {
        result.unwrap_or_else(|error| {
            self.gaps.push((what.to_owned(), vocab::error::chain(&error)));
            T::default()
        })
    }

    /// The steps of the charts: at most [`STEPS`], at least a second apart.
    pub(super) fn grid(&self) -> StepGrid {
        let step_ms = ((self.to_ms - self.from_ms) / STEPS).max(1_000);
        StepGrid { start_ms: self.from_ms, end_ms: self.to_ms, step_ms }
    }

    /// Values of an expression over the report's time; empty, with a note, when it fails.
    pub(super) async fn range(&mut self, query: &str, grid: StepGrid) -> Vec<RangeSeries> {
        let result = match promql::parse(query, &promql::ParseOptions::default()) {
            Ok(expr) => self.shared.evaluate.range(&self.ctx, &expr, grid).await.map_err(|e| vocab::error::chain(&e)),
            Err(error) => Err(error.to_string()),
        };
        result.unwrap_or_else(|error| {
            self.gaps.push((query.to_owned(), error));
            Vec::new()
        })
    }
}
