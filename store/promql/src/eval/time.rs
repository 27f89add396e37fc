//! Calendar functions, in UTC.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use vocab::ports::query::StepGrid;

use super::Evaluator;
use crate::ast::Call;
use crate::error::QueryError;
use crate::value::{Series, Value};

/// Whether a function reads the calendar.
pub(super) fn is_calendar(name: &str) -> bool {
    matches!(
        name,
        "minute" | "hour" | "day_of_week" | "day_of_month" | "day_of_year" | "days_in_month" | "month" | "year"
    )
}

fn calendar(name: &str, seconds: f64) -> f64 {
    // Go converts by truncation; times outside the calendar have no parts.
    let Some(time) = civil(seconds) else { return f64::NAN };
    match name {
        "minute" => f64::from(time.minute()),
        "hour" => f64::from(time.hour()),
        "day_of_week" => f64::from(time.weekday().to_sunday_zero_offset()),
        "day_of_month" => f64::from(time.day()),
        "day_of_year" => f64::from(time.day_of_year()),
        "days_in_month" => f64::from(time.days_in_month()),
        "month" => f64::from(time.month()),
        _ => f64::from(time.year()),
    }
}

fn civil(seconds: f64) -> Option<DateTime> {
    if !seconds.is_finite() {
        return None;
    }
    let timestamp = jiff::Timestamp::from_second(seconds.trunc() as i64).ok()?;
    Some(TimeZone::UTC.to_datetime(timestamp))
}

impl Evaluator<'_> {
    pub(super) fn calendar(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let name = call.function.name;
        if call.args.is_empty() {
            let floats = grid.times().map(|t| calendar(name, t as f64 / 1000.0)).collect();
            let series = Series { labels: vocab::Labels::empty(), drop_name: false, floats, histograms: Vec::new() };
            return self.vector(vec![series]);
        }
        self.map_steps(call, grid, |_, value| Some(calendar(name, value)))
    }
}
