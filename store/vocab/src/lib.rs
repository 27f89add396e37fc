//! The shared words of Tidewatch and the ports between its rooms.
//!
//! Every other crate imports this one and it imports none of them. A type stands here only when two rooms need it.
//!
//! Reading order: [`time`], [`tenant`], [`labels`], [`matcher`], [`sample`] and [`log_record`] are what is measured;
//! [`entity`], [`resolve`] and [`change_event`] say what it is measured on; [`alert`], [`ticket`], [`report`] and
//! [`scaling`] are what is concluded and done; [`budget`], [`cancel`], [`context`], [`error`], [`problems`] and [`telemetry`] are
//! the manners of every call; [`ports`] are the traits at the edges between rooms.

pub mod time;
pub mod tenant;
pub mod labels;
pub mod matcher;
pub mod sample;
pub mod histogram;
pub mod log_record;
pub mod entity;
pub mod resolve;
pub mod change_event;
pub mod alert;
pub mod ticket;
pub mod report;
pub mod scaling;
pub mod budget;
pub mod cancel;
pub mod context;
pub mod error;
pub mod problems;
pub mod telemetry;
pub mod ports;

pub use alert::{Alert, AlertState};
pub use budget::{MemoryBudget, MemoryPool, MemoryReservation};
pub use cancel::Cancel;
pub use change_event::{ChangeEvent, ChangeKind};
pub use context::Ctx;
pub use entity::{Entity, EntityKind};
pub use error::{ErrorKind, PortError, PortResult};
pub use histogram::NativeHistogram;
pub use labels::{Labels, LabelsBuilder};
pub use log_record::{LogRecord, Severity};
pub use matcher::{MatchOp, Matcher};
pub use problems::{Problem, Problems};
pub use sample::{STALE_NAN, is_stale_nan};
pub use tenant::TenantId;
pub use time::{Clock, TimestampMs};
