//! One memory budget for the process, shared out by name.
//!
//! A consumer reserves before it allocates. When a share is used up the reservation fails with an error that names the
//! share and its limit: the query fails, or ingest sheds; the process does not die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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
    /// Number of the large consumer that goes first; [`NOBODY`] when none is large.
    first: AtomicU64,
    /// How many consumers among many there were.
    num_consumers: AtomicU64,
}

/// No consumer has this number.
const NOBODY: u64 = 0;

impl MemoryPool {
    /// A pool of its own.
    pub fn new(name: &'static str, limit_bytes: usize) -> Arc<Self> {
        let (used_bytes, first, num_consumers) = (AtomicUsize::new(0), AtomicU64::new(NOBODY), AtomicU64::new(NOBODY));
        Arc::new(Self { name, limit_bytes, used_bytes, first, num_consumers })
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
        let number = self.num_consumers.fetch_add(1, Ordering::Relaxed) + 1;
        let turn = Some(Arc::new(Turn { pool: Arc::clone(self), number }));
        MemoryReservation { pool: Arc::clone(self), consumer, turn, bytes: AtomicUsize::new(0) }
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

/// A consumer among many is large when it holds more than this part of the pool.
const LARGE_PART: usize = 64;

/// Percent of the pool that the first of the large consumers may fill it to; the rest is for small ones.
const FIRST_PERCENT: usize = 75;

/// Percent of the pool that the other large consumers may fill it to.
const OTHERS_PERCENT: usize = 50;

/// One consumer among many, with all its parts.
#[derive(Debug)]
struct Turn {
    pool: Arc<MemoryPool>,
    number: u64,
}

impl Turn {
    /// Percent of the pool that it may fill it to now that it is large.
    fn percent(&self) -> usize {
        let first = self.pool.first.compare_exchange(NOBODY, self.number, Ordering::AcqRel, Ordering::Acquire);
        if first.is_ok() || first == Err(self.number) { FIRST_PERCENT } else { OTHERS_PERCENT }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // When another one is the first there is nothing to hand on.
        let _other = self.pool.first.compare_exchange(self.number, NOBODY, Ordering::AcqRel, Ordering::Acquire);
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
        let is_large = self.bytes().saturating_add(bytes) > limit / LARGE_PART;
        let turn = self.turn.as_ref().filter(|_| is_large);
        self.pool.try_take(bytes, self.consumer, turn.map_or(limit, |turn| limit / 100 * turn.percent()))?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Gives bytes back; more than are held gives back all.
    pub fn shrink(&self, bytes: usize) {
        let mut held = self.bytes.load(Ordering::Relaxed);
        loop {
            let take = bytes.min(held);
            match self.bytes.compare_exchange_weak(held, held - take, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    self.pool.used_bytes.fetch_sub(take, Ordering::AcqRel);
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

    #[test]
    fn large_ones_among_many_leave_room_for_small_ones() {
        let pool = MemoryPool::new("queries", 6400);
        let heavy: Vec<_> = (0..3).map(|_| pool.reservation_among_many("query")).collect();
        heavy[0].try_grow(4000).expect("fits");
        heavy[0].child().try_grow(800).expect("fills three quarters");
        heavy[0].try_grow(801).expect_err("the rest is for small ones");
        heavy[2].try_grow(101).expect_err("no room for another large one");
        heavy[2].try_grow(100).expect("a small one");
        heavy[2].child().try_grow(100).expect("counted by itself");
        heavy[2].try_grow(1).expect_err("it would be large");
        pool.reservation("one of few").try_grow(1500).expect("takes all there is");
    }

    #[test]
    fn the_first_large_one_goes_on_while_others_wait_their_turn() {
        let pool = MemoryPool::new("queries", 6400);
        let [first, second] = ["first", "second"].map(|_| pool.reservation_among_many("query"));
        first.try_grow(200).expect("large, and the first");
        second.try_grow(3000).expect("half is for all");
        second.try_grow(1).expect_err("half is full");
        first.try_grow(1600).expect("up to three quarters");
        let part = first.child();
        drop(first);
        second.try_grow(201).expect_err("a part of the first is at work");
        drop(part);
        second.try_grow(1800).expect("its turn");
    }
}
