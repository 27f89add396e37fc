//! One memory budget for the process, shared out by name.
//!
//! A consumer reserves before it allocates. When a share is used up the reservation fails with an error that names the
//! share and its limit: the query fails, or ingest sheds; the process does not die. Who failed only because of others may
//! give everything back and queue for a turn of its own ([`turns`]).

mod turns;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use self::turns::{CrowdedOut, NextTurn};
use self::turns::{Turn, Turns};

use crate::error::{ErrorKind, PortError};

/// The whole budget and its shares.
#[derive(Debug)]
pub struct MemoryBudget {
    total_bytes: usize,
    pools: BTreeMap<&'static str, Arc<MemoryPool>>,
}

impl MemoryBudget {
    /// Shares out `total_bytes`: each pool gets its fraction of the total. Fractions should sum to at most 1.
    pub fn new(total_bytes: usize, shares: &[(&'static str, f64)]) -> Self {
        let pools = shares
            .iter()
            .map(|&(name, fraction)| {
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a share of a usize fits a usize"
                )]
                let limit = (total_bytes as f64 * fraction.clamp(0.0, 1.0)) as usize;
                (name, MemoryPool::new(name, limit))
            })
            .collect();
        Self { total_bytes, pools }
    }

    /// The whole budget in bytes.
    pub fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    /// The share of that name; a name that was not given a share has a pool of size 0.
    pub fn pool(&self, name: &str) -> Arc<MemoryPool> {
        self.pools.get(name).cloned().unwrap_or_else(|| MemoryPool::new("unnamed", 0))
    }

    /// All shares in order of name.
    pub fn pools(&self) -> impl Iterator<Item = &Arc<MemoryPool>> {
        self.pools.values()
    }
}

/// One named share.
#[derive(Debug)]
pub struct MemoryPool {
    name: &'static str,
    limit_bytes: usize,
    used_bytes: AtomicUsize,
    /// Whose turn it is among many.
    turns: Turns,
}

impl MemoryPool {
    /// A pool of its own.
    pub fn new(name: &'static str, limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self { name, limit_bytes, used_bytes: AtomicUsize::new(0), turns: Turns::default() })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its size in bytes.
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Bytes reserved now.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// An empty reservation in this pool for a consumer, whose name appears in errors.
    pub fn reservation(self: &Arc<Self>, consumer: &'static str) -> MemoryReservation {
        MemoryReservation { pool: Arc::clone(self), consumer, turn: None, bytes: AtomicUsize::new(0) }
    }

    /// The same for one of many consumers. When it is large it leaves a part of the pool to the small ones, so that a few
    /// heavy queries do not make the light ones fail; and of the large ones the first may take more than the others, so that
    /// many heavy queries at once do not all fail for want of what the others hold.
    pub fn reservation_among_many(self: &Arc<Self>, consumer: &'static str) -> MemoryReservation {
        self.reservation_in(Turn::of_anybody(self), consumer)
    }

    /// Queues for a turn: what one of many does that was crowded out and has given back all it held. It is served in the order
    /// of arrival; whoever has the turn may fill the pool further than all others, and hands it on when its reservation with all
    /// its parts is dropped. To give up the wait, drop what this returns.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when too many wait already.
    pub fn next_turn(self: &Arc<Self>, consumer: &'static str) -> Result<NextTurn, PortError> {
        turns::queue(self, consumer)
    }

    fn reservation_in(self: &Arc<Self>, turn: Arc<Turn>, consumer: &'static str) -> MemoryReservation {
        MemoryReservation { pool: Arc::clone(self), consumer, turn: Some(turn), bytes: AtomicUsize::new(0) }
    }

    fn try_take(&self, bytes: usize, consumer: &str, most: usize) -> Result<(), PortError> {
        let mut used = self.used_bytes.load(Ordering::Relaxed);
        loop {
            let wanted = used.saturating_add(bytes);
            if wanted > most {
                return Err(PortError::new(
                    ErrorKind::Limit,
                    format!(
                        "{consumer} needs {bytes} more bytes but the memory share \"{}\" has {} of {} left (raise --memory-limit)",
                        self.name,
                        most.saturating_sub(used),
                        self.limit_bytes
                    ),
                ));
            }
            match self.used_bytes.compare_exchange_weak(used, wanted, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => used = now,
            }
        }
    }
}

/// Bytes held by one consumer; given back when dropped.
#[derive(Debug)]
pub struct MemoryReservation {
    pool: Arc<MemoryPool>,
    consumer: &'static str,
    /// Set for one of many.
    turn: Option<Arc<Turn>>,
    bytes: AtomicUsize,
}

impl MemoryReservation {
    /// A reservation that never fails: for tests and one-shot commands.
    pub fn unlimited() -> Self {
        MemoryPool::new("unlimited", usize::MAX).reservation("unlimited")
    }

    /// Takes more bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] naming the share when it is used up; nothing is taken then.
    pub fn try_grow(&self, bytes: usize) -> Result<(), PortError> {
        let limit = self.pool.limit_bytes;
        match &self.turn {
            None => self.pool.try_take(bytes, self.consumer, limit)?,
            Some(turn) => {
                let most = turn.most(self.bytes().saturating_add(bytes));
                self.pool.try_take(bytes, self.consumer, most).inspect_err(|_| turn.refused(bytes))?;
                turn.holds(bytes);
            }
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Tells, also when this is dropped, whether it was refused memory that it could have had without the others.
    pub fn crowded_out(&self) -> CrowdedOut {
        self.turn.as_ref().map(|turn| turn.crowded_out()).unwrap_or_default()
    }

    /// Gives bytes back; more than are held gives back all.
    pub fn shrink(&self, bytes: usize) {
        let mut held = self.bytes.load(Ordering::Relaxed);
        loop {
            let take = bytes.min(held);
            match self.bytes.compare_exchange_weak(held, held - take, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    self.pool.used_bytes.fetch_sub(take, Ordering::AcqRel);
                    if let Some(turn) = &self.turn {
                        turn.gives_back(take);
                    }
                    return;
                }
                Err(now) => held = now,
            }
        }
    }

    /// An empty reservation of the same consumer in the same pool, for a part of its work that ends earlier.
    pub fn child(&self) -> Self {
        let bytes = AtomicUsize::new(0);
        Self { pool: Arc::clone(&self.pool), consumer: self.consumer, turn: self.turn.clone(), bytes }
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The pool it draws on.
    pub fn pool(&self) -> &Arc<MemoryPool> {
        &self.pool
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.shrink(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_exceeded_and_comes_back() {
        let budget = MemoryBudget::new(1000, &[("queries", 0.5)]);
        let pool = budget.pool("queries");
        let first = pool.reservation("query");
        first.try_grow(400).expect("fits");
        let second = pool.reservation("query");
        let error = second.try_grow(200).expect_err("does not fit");
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert!(error.to_string().contains("\"queries\""), "{error}");
        drop(first);
        assert_eq!(pool.used_bytes(), 0);
        second.try_grow(500).expect("fits now");
        second.shrink(9999);
        assert_eq!((second.bytes(), pool.used_bytes()), (0, 0));
    }
}
