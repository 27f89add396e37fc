//! Cancellation of a query: by the client going away, by a time limit, or by shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{ErrorKind, PortError};
use crate::time::Clock;

/// A flag that work polls between batches. Clones share it; a child is cancelled with its parent.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    timed_out: Arc<AtomicBool>,
    parent: Option<Arc<Cancel>>,
    brief: Option<Arc<Brief>>,
}

/// Until when work may hold up the thread that it runs on.
#[derive(Debug)]
struct Brief {
    clock: Arc<dyn Clock>,
    until: Duration,
    is_over: AtomicBool,
}

impl Brief {
    fn is_over(&self) -> bool {
        let is_over = self.is_over.load(Ordering::Relaxed) || self.clock.monotonic() >= self.until;
        if is_over {
            self.is_over.store(true, Ordering::Relaxed);
        }
        is_over
    }
}

impl Cancel {
    /// A flag that nobody has raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag that is also raised when this one is.
    pub fn child(&self) -> Self {
        Self { parent: Some(Arc::new(self.clone())), ..Self::default() }
    }

    /// A flag for work on a thread that others wait for: it goes on for so long at most, and does not wait itself. Whoever begins it
    /// does it again elsewhere when that was not enough ([`Cancel::was_too_brief`]).
    pub fn briefly(clock: Arc<dyn Clock>, time: Duration) -> Self {
        let until = clock.monotonic().saturating_add(time);
        Self { brief: Some(Arc::new(Brief { clock, until, is_over: AtomicBool::new(false) })), ..Self::default() }
    }

    /// Whether the work has to be brief, here or at a parent.
    pub fn is_brief(&self) -> bool {
        self.brief.is_some() || self.parent.as_ref().is_some_and(|p| p.is_brief())
    }

    /// Whether the work ended because it had to be brief.
    pub fn was_too_brief(&self) -> bool {
        self.brief.as_ref().is_some_and(|b| b.is_over.load(Ordering::Relaxed))
    }

    /// Ends work that has to be brief and is found to be long; other work goes on.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`].
    pub fn check_long(&self) -> Result<(), PortError> {
        if let Some(brief) = &self.brief {
            brief.is_over.store(true, Ordering::Relaxed);
        }
        match &self.parent {
            Some(parent) if self.brief.is_none() => parent.check_long(),
            _ => self.check(),
        }
    }

    /// Raises the flag.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Release);
    }

    /// Raises the flag and remembers that a time limit was the reason.
    pub fn time_out(&self) {
        self.timed_out.store(true, Ordering::Release);
        self.cancel();
    }

    /// Whether the flag is raised here or at a parent.
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Acquire)
            || self.brief.as_ref().is_some_and(|b| b.is_over())
            || self.parent.as_ref().is_some_and(|p| p.is_cancelled())
    }

    /// Stops the caller when the flag is raised.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] or [`ErrorKind::Cancelled`], by the reason.
    pub fn check(&self) -> Result<(), PortError> {
        if !self.is_cancelled() {
            return Ok(());
        }
        if self.timed_out.load(Ordering::Acquire) {
            return Err(PortError::new(ErrorKind::Timeout, "query timed out"));
        }
        match &self.parent {
            Some(parent) if parent.is_cancelled() => parent.check(),
            _ => Err(PortError::new(ErrorKind::Cancelled, "query was cancelled")),
        }
    }
}

/// Raises the flag when dropped: a handler holds one, so that a client that goes away ends its query.
#[derive(Debug)]
pub struct CancelOnDrop(pub Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SimClock;

    #[test]
    fn a_child_is_cancelled_with_its_parent_and_for_its_reason() {
        let parent = Cancel::new();
        let child = parent.child();
        assert!(child.check().is_ok());
        parent.time_out();
        assert_eq!(child.check().expect_err("over").kind(), ErrorKind::Timeout);
        let own = Cancel::new();
        own.child().cancel();
        assert!(own.check().is_ok(), "a child takes nothing from its parent");
    }

    #[test]
    fn brief_work_ends_when_its_time_is_over_or_it_is_found_to_be_long() {
        let clock = SimClock::at(0);
        let brief = || Cancel::briefly(Arc::new(clock.clone()), Duration::from_micros(300));
        let cancel = brief();
        let child = cancel.child();
        assert!(child.is_brief() && child.check().is_ok() && !cancel.was_too_brief());
        clock.advance(Duration::from_micros(300));
        assert_eq!(child.check().expect_err("over").kind(), ErrorKind::Cancelled);
        assert!(cancel.was_too_brief());
        let long = brief();
        assert_eq!(long.child().check_long().expect_err("over").kind(), ErrorKind::Cancelled);
        assert!(long.was_too_brief());
        let other = Cancel::new();
        assert!(other.check_long().is_ok() && !other.is_brief() && !other.was_too_brief());
    }
}
