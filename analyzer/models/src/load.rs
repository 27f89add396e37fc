//! The load of a service in the near future, and how much capacity it is worth.
//!
//! [`LoadHistory`] remembers a week in ten kilobytes; [`outlook`] asks several simple [`LoadMethod`]s what the load will be
//! when capacity that is asked for now has come, one of them by the [`Onsets`] of rises; [`LoadErrors`] remembers how wrong a
//! method was in like circumstances, and says how much capacity is the cheapest, given what a bad request costs against an
//! idle replica ([`Costs`]).

mod errors;
mod history;
mod onsets;
mod outlook;

pub use errors::{Cell, Costs, LoadErrors};
pub use history::{HistoryParts, LoadHistory};
pub use onsets::{Onset, Onsets};
pub use outlook::{LoadMethod, METHODS, Outlook, TICK_MS, TICKS_PER_MINUTE, outlook};
