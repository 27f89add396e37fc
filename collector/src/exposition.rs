//! The formats that targets expose: Prometheus text 0.0.4, OpenMetrics 1.0, and Prometheus's protobuf with native histograms.
//!
//! The parser of the texts borrows from the body and allocates nothing per line; label sets are only built for series that the
//! scrape cache has not seen before. What it accepts and refuses is what Prometheus 3 accepts and refuses, because a
//! stricter parser breaks real targets.

mod cursor;
mod float;
#[cfg(test)]
mod fuzz;
mod labels;
mod parser;
mod protobuf;
mod wire;

pub use float::format_openmetrics_float;
pub use labels::LabelError;
pub use parser::{Entry, Format, ParseError, Parser, RawExemplar, SeriesLine};
pub use protobuf::{HistogramChoice, ProtobufError, ProtobufParser, ProtobufSample, ProtobufValue};

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::conformance_folder;
