//! Whose turn it is, where many consumers share a pool.
//!
//! Small ones are never held up. Of the large ones the first may fill the pool further than the others. Who is refused because of
//! what others hold can give back everything and queue: its turn comes in the order of arrival, and it alone is first then.
//!
//! Nobody waits for a turn while holding memory, and who has the turn waits for nothing, so they cannot wait for each other.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::channel::oneshot;
use parking_lot::Mutex;

use super::{MemoryPool, MemoryReservation};
use crate::error::{ErrorKind, PortError};

/// A consumer among many is large when one of its parts holds more than this part of the pool.
const LARGE_PART: usize = 64;

/// Percent of the pool that the first of the large consumers may fill it to; the rest is for small ones.
const FIRST_PERCENT: usize = 75;

/// Percent of the pool that the other large consumers may fill it to.
const OTHERS_PERCENT: usize = 50;

/// The same while somebody has waited for a turn: two thirds of what the first may fill are surely its own then.
const OTHERS_PERCENT_CROWDED: usize = 25;

/// Most consumers that wait for a turn; each would wait for all before it.
const WAITING_MAX: usize = 64;

/// No consumer has this number.
const NOBODY: u64 = 0;

/// Who is first, and who waits.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Number of the large consumer that goes first; [`NOBODY`] when none is large. While somebody waits it is somebody's turn.
    first: AtomicU64,
    /// Whether somebody waits, or the first one has waited.
    is_crowded: AtomicBool,
    /// How many consumers among many there were.
    num_consumers: AtomicU64,
    waiting: Mutex<VecDeque<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    turn: oneshot::Sender<Arc<Turn>>,
}

impl Turns {
    fn new_number(&self) -> u64 {
        self.num_consumers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Makes it somebody's turn that has none; false when it is another one's.
    fn claim(&self, number: u64) -> bool {
        let first = self.first.compare_exchange(NOBODY, number, Ordering::AcqRel, Ordering::Acquire);
        first.is_ok() || first == Err(number)
    }

    /// Ends a turn; gives whoever is next.
    fn pass(&self) -> Option<Waiting> {
        let mut waiting = self.waiting.lock();
        let next = waiting.pop_front();
        self.is_crowded.store(next.is_some(), Ordering::Release);
        self.first.store(next.as_ref().map_or(NOBODY, |next| next.number), Ordering::Release);
        next
    }
}

/// One consumer among many, with all its parts.
#[derive(Debug)]
pub(super) struct Turn {
    pool: Arc<MemoryPool>,
    number: u64,
    /// Bytes of all its parts.
    held_bytes: AtomicUsize,
    crowded_out: CrowdedOut,
}

impl Turn {
    /// A consumer that has not waited.
    pub(super) fn of_anybody(pool: &Arc<MemoryPool>) -> Arc<Self> {
        Self::numbered(pool, pool.turns.new_number())
    }

    fn numbered(pool: &Arc<MemoryPool>, number: u64) -> Arc<Self> {
        let (pool, held_bytes, crowded_out) = (Arc::clone(pool), AtomicUsize::new(0), CrowdedOut::default());
        Arc::new(Self { pool, number, held_bytes, crowded_out })
    }

    fn percent(&self, percent: usize) -> usize {
        self.pool.limit_bytes() / 100 * percent
    }

    /// So far it may fill the pool with a part that holds so much then.
    pub(super) fn most(&self, part_bytes: usize) -> usize {
        let limit = self.pool.limit_bytes();
        if part_bytes <= limit / LARGE_PART {
            limit
        } else if self.pool.turns.claim(self.number) {
            self.percent(FIRST_PERCENT)
        } else if self.pool.turns.is_crowded.load(Ordering::Acquire) {
            self.percent(OTHERS_PERCENT_CROWDED)
        } else {
            self.percent(OTHERS_PERCENT)
        }
    }

    pub(super) fn holds(&self, bytes: usize) {
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn gives_back(&self, bytes: usize) {
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Notes that bytes were refused, when they would have fitted beside what it holds itself.
    pub(super) fn refused(&self, bytes: usize) {
        let wanted = self.held_bytes.load(Ordering::Relaxed).saturating_add(bytes);
        if wanted <= self.percent(FIRST_PERCENT) {
            self.crowded_out.0.store(true, Ordering::Release);
        }
    }

    pub(super) fn crowded_out(&self) -> CrowdedOut {
        self.crowded_out.clone()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.pool.turns.first.load(Ordering::Acquire) != self.number {
            return;
        }
        if let Some(next) = self.pool.turns.pass() {
            // A turn that nobody takes any more is handed on by being dropped.
            drop(next.turn.send(Self::numbered(&self.pool, next.number)));
        }
    }
}

/// Whether a consumer was refused memory that it could have had without the others.
#[derive(Debug, Clone, Default)]
pub struct CrowdedOut(Arc<AtomicBool>);

impl CrowdedOut {
    /// Whether it was.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Queues for a turn in a pool.
pub(super) fn queue(pool: &Arc<MemoryPool>, consumer: &'static str) -> Result<NextTurn, PortError> {
    let turns = &pool.turns;
    let number = turns.new_number();
    let (sender, turn) = oneshot::channel();
    let mut waiting = turns.waiting.lock();
    waiting.retain(|other| !other.turn.is_canceled());
    if waiting.len() >= WAITING_MAX {
        return Err(PortError::new(
            ErrorKind::Limit,
            format!(
                "{consumer} would have to wait for memory of the share \"{}\" behind {WAITING_MAX} others (raise --memory-limit)",
                pool.name()
            ),
        ));
    }
    turns.is_crowded.store(true, Ordering::Release);
    // Whoever ends a turn looks here afterwards, so this one is either the next or waits for somebody.
    if turns.claim(number) {
        drop(waiting);
        drop(sender.send(Turn::numbered(pool, number)));
    } else {
        waiting.push_back(Waiting { number, turn: sender });
    }
    Ok(NextTurn { pool: Arc::clone(pool), consumer, turn })
}

/// A place in the queue; resolves to an empty reservation whose turn it is.
#[derive(Debug)]
pub struct NextTurn {
    pool: Arc<MemoryPool>,
    consumer: &'static str,
    turn: oneshot::Receiver<Arc<Turn>>,
}

impl Future for NextTurn {
    type Output = MemoryReservation;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<MemoryReservation> {
        let turn = match Pin::new(&mut self.turn).poll(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(turn)) => turn,
            // The queue lives as long as the pool, which this holds; were it gone, nobody would be in the way.
            Poll::Ready(Err(_)) => Turn::of_anybody(&self.pool),
        };
        Poll::Ready(self.pool.reservation_in(turn, self.consumer))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use futures::executor::block_on;

    use super::*;

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
    fn the_first_large_one_goes_on_while_others_stop() {
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

    #[test]
    fn who_is_refused_because_of_others_is_told_from_who_wants_too_much() {
        let pool = MemoryPool::new("queries", 6400);
        let check = |held: usize, others: usize, more: usize, expect: bool| {
            let other = pool.reservation("other");
            let own = pool.reservation_among_many("query");
            own.try_grow(held).expect("fits");
            other.try_grow(others).expect("fits");
            own.child().try_grow(more).expect_err("too much");
            assert_eq!(own.crowded_out().get(), expect, "{held} {others} {more}");
        };
        check(1000, 4000, 1000, true);
        check(1000, 0, 4000, false);
        check(1000, 0, usize::MAX, false);
        check(0, 6000, 4800, true);
        check(0, 6000, 4801, false);
        assert_eq!(pool.used_bytes(), 0);
        assert!(!pool.reservation("one of few").crowded_out().get());
    }

    #[test]
    fn turns_come_in_the_order_of_arrival_and_what_nobody_takes_goes_on() {
        let pool = MemoryPool::new("queries", 6400);
        let running = pool.reservation_among_many("running");
        running.try_grow(4000).expect("the first");
        let [mut first, given_up, mut second, mut third] =
            [(); 4].map(|()| pool.next_turn("query").expect("there is room to wait"));
        assert!([&mut first, &mut second, &mut third].into_iter().all(|turn| turn.now_or_never().is_none()));
        let other = pool.reservation_among_many("other");
        other.try_grow(200).expect_err("others wait, so it may fill less");
        drop(given_up);
        drop(running);
        assert!((&mut second).now_or_never().is_none());
        let turn = (&mut first).now_or_never().expect("its turn");
        turn.try_grow(4800).expect("as the first may");
        let part = turn.child();
        drop(turn);
        assert!((&mut second).now_or_never().is_none(), "a part is at work");
        drop(part);
        drop(second);
        // Nobody took it, so it went on.
        let turn = (&mut third).now_or_never().expect("its turn");
        assert_eq!(turn.bytes(), 0);
        drop(turn);
        other.try_grow(3000).expect("nobody waits any more");
        let next = pool.next_turn("query").expect("waits");
        assert!(next.now_or_never().is_none());
        drop(other);
        assert!(pool.next_turn("query").expect("waits").now_or_never().is_some());
        assert_eq!((pool.used_bytes(), pool.turns.first.load(Ordering::Acquire)), (0, NOBODY));
    }

    #[test]
    fn only_so_many_wait() {
        let pool = MemoryPool::new("queries", 6400);
        let running = pool.next_turn("query").expect("its turn at once");
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| pool.next_turn("query").expect("waits")).collect();
        let error = pool.next_turn("query").expect_err("too many");
        assert!(error.kind() == ErrorKind::Limit && error.message().contains("\"queries\""), "{error}");
        drop(waiting);
        pool.next_turn("query").expect("those are gone");
        drop(running);
    }

    /// What a heavy query does: takes memory bit by bit; crowded out, it gives all back and waits for its turn.
    fn heavy(pool: &Arc<MemoryPool>, pieces: usize, piece: usize) -> Result<usize, PortError> {
        let mut num_waits = 0;
        let mut reservation = pool.reservation_among_many("query");
        loop {
            let refused = (0..pieces).find_map(|at| {
                std::thread::yield_now();
                if at % 7 == 3 { reservation.child().try_grow(piece) } else { reservation.try_grow(piece) }.err()
            });
            let Some(refusal) = refused else { return Ok(num_waits) };
            if !reservation.crowded_out().get() {
                return Err(refusal);
            }
            drop(reservation);
            num_waits += 1;
            reservation = block_on(pool.next_turn("query")?);
        }
    }

    #[test]
    fn many_heavy_ones_at_once_are_all_served_and_one_that_never_fits_fails_at_once() {
        let pool = MemoryPool::new("queries", 64_000);
        let (done, results) = std::sync::mpsc::channel();
        for thread in 0..20 {
            let (pool, done) = (Arc::clone(&pool), done.clone());
            std::thread::spawn(move || {
                for round in 0..20 {
                    // About half of the pool; every tenth asks for more than there is.
                    let pieces = if (thread + round) % 10 == 0 { 90 } else { 20 + (thread * 7 + round) % 10 };
                    let _nobody_listens = done.send((pieces, heavy(&pool, pieces, 1000)));
                }
            });
        }
        drop(done);
        let (mut served, mut waits) = (0, 0);
        for _ in 0..20 * 20 {
            // A deadlock would be silent.
            let (pieces, result) = results.recv_timeout(Duration::from_secs(60)).expect("somebody gets on");
            match result {
                Ok(num_waits) => {
                    assert!(pieces < 90);
                    (served, waits) = (served + 1, waits + num_waits);
                }
                Err(error) => assert!(pieces == 90 && error.kind() == ErrorKind::Limit, "{pieces}: {error}"),
            }
        }
        assert_eq!(served, 360);
        println!("{waits} waits for {served} heavy ones");
        assert_eq!((pool.used_bytes(), pool.turns.first.load(Ordering::Acquire)), (0, NOBODY));
        assert!(pool.turns.waiting.lock().iter().all(|w| w.turn.is_canceled()));
    }
}
