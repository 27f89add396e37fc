//! Cancellation of a query: by the client going away, by a time limit, or by shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{ErrorKind, PortError};

/// A flag that work polls between batches. Clones share it; a child is cancelled with its parent.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    timed_out: Arc<AtomicBool>,
    parent: Option<Arc<Cancel>>,
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
        self.flag.load(Ordering::Acquire) || self.parent.as_ref().is_some_and(|p| p.is_cancelled())
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
