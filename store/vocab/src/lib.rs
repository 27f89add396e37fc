//! The shared words of Tidewatch and the ports between its rooms.
//!
//! Every other crate imports this one and it imports none of them. A type stands here only when two rooms need it.
//!
//! Reading order: [`time`], [`tenant`], [`labels`], [`matcher`], [`sample`] and [`log_record`] are what is measured;
//! [`entity`], [`resolve`] and [`change_event`] say what it is measured on; [`alert`], [`ticket`], [`report`],
//! [`scaling`] and [`replay`] are what is concluded and done, [`sentence`] how it is said; [`budget`], [`cancel`], [`context`], [`error`], [`problems`] and [`telemetry`] are
//! the manners of every call; [`ports`] are the traits at the edges between rooms.

pub mod alert;
pub mod budget;
pub mod cancel;
pub mod change_event;
pub mod context;
pub mod duration;
pub mod entity;
pub mod error;
pub mod histogram;
pub mod labels;
pub mod limits;
pub mod log_record;
pub mod matcher;
pub mod ports;
pub mod problems;
pub mod replay;
pub mod report;
pub mod resolve;
pub mod sample;
pub mod scaling;
pub mod sentence;
pub mod telemetry;
pub mod tenant;
pub mod testing;
pub mod ticket;
pub mod time;

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
pub use sentence::Sentence;
pub use tenant::TenantId;
pub use time::{Clock, TimestampMs};
