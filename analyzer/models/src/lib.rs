//! Pure numerics: robust statistics, seasonality, anomaly scores, forecasts.
//!
//! A leaf beside `vocab`: no IO, no clock, no async. Every function is deterministic, takes plain slices of equally spaced
//! values (a gap is a NaN), and never gives a NaN back for finite input: what cannot be known is `None`.
//!
//! [`stats`] has medians, deviations and quantiles; [`season`] finds how long a period is; [`anomaly`] says how unusual the
//! newest value is; [`forecast`] says what comes next, with intervals; [`mod@regular`] makes values equally spaced that are not.
//! For the autoscaler [`load`] looks minutes ahead in little memory, and [`capacity`] learns how much a replica carries.

pub mod anomaly;
pub mod capacity;
pub mod forecast;
pub mod load;
pub mod regular;
pub mod season;
pub mod stats;

pub use anomaly::{ANOMALY_THRESHOLD, AnomalyScore, anomaly_score, anomaly_scores};
pub use forecast::{Forecast, ForecastOptions, Method, forecast};
pub use regular::{Regular, regular};
pub use season::detect_seasons;
