//! Quotas and budgets: how many replicas, or what price an hour, a cluster, a team or all services together may have.
//!
//! A book per quota knows what each service holds and what it could not get. Who asks for more gets what is free, less what
//! services of higher priority still miss; what runs already is never taken away. Asking and settling are two calls, since a
//! decision's number is only known after all guards: what was free meanwhile may be gone, and then the decision is made again.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::outside::Limit;
use crate::policy::{Policy, short};

/// Units of money in one unit of the currency.
const MICROS: f64 = 1e6;
/// How long a new book waits to hear of all its services: some rounds, and a silent orchestrator's time-out.
const PATIENCE: Duration = Duration::from_secs(30);
/// From this share on a trimmed wish is alarmed.
pub const ALARM_SHARE: f64 = 0.1;

/// What a quota limits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Amount {
    /// Replicas.
    Replicas(u32),
    /// Price of what runs, per hour.
    CostPerHour(f64),
}

/// A quota or budget. Empty conditions do not restrict: one without any is the budget of the whole tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quota {
    /// Its name, for people.
    pub name: String,
    /// Services of this cluster only.
    pub cluster: Option<String>,
    /// Services of this team only.
    pub team: Option<String>,
    /// These services only.
    pub services: Vec<String>,
    /// How much they may have together.
    pub amount: Amount,
}

impl Quota {
    fn concerns(&self, policy: &Policy) -> bool {
        self.cluster.as_ref().is_none_or(|c| *c == policy.cluster)
            && self.team.as_ref().is_none_or(|t| *t == policy.operations.team)
            && (self.services.is_empty() || self.services.contains(&policy.service))
    }

    /// Units that one replica of a service takes; a service without a price takes nothing of a budget in money.
    fn weight(&self, policy: &Policy) -> u64 {
        match self.amount {
            Amount::Replicas(_) => 1,
            Amount::CostPerHour(_) => micros(policy.operations.price_per_hour),
        }
    }

    fn units(&self) -> u64 {
        match self.amount {
            Amount::Replicas(count) => u64::from(count),
            Amount::CostPerHour(price) => micros(price),
        }
    }

    fn words(&self) -> String {
        match self.amount {
            Amount::Replicas(count) => format!("quota {} of {}", self.name, crate::policy::replicas(count)),
            Amount::CostPerHour(price) => format!("budget {} of {} an hour", self.name, short(price)),
        }
    }
}

/// An amount of money in millionths; what is not a price is nothing.
pub(crate) fn micros(price: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, NaN becomes 0")]
    let micros = (price * MICROS).round() as u64;
    micros
}

/// What one service has in a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Account {
    priority: u8,
    /// Units it holds.
    held: u64,
    /// Units it wanted and did not get.
    missed: u64,
}

/// The book of one quota.
#[derive(Debug, Clone, Default)]
struct Book {
    accounts: HashMap<String, Account>,
    held: u64,
    /// By priority.
    missed: BTreeMap<u8, u64>,
    /// Services that it concerns.
    expected: usize,
    /// Since when it waits to hear of them.
    since: Duration,
}

impl Book {
    fn remove(&mut self, service: &str) {
        let Some(account) = self.accounts.remove(service) else { return };
        self.held = self.held.saturating_sub(account.held);
        if let Some(missed) = self.missed.get_mut(&account.priority) {
            *missed = missed.saturating_sub(account.missed);
            if *missed == 0 {
                self.missed.remove(&account.priority);
            }
        }
    }

    fn insert(&mut self, service: &str, account: Account) {
        self.held = self.held.saturating_add(account.held);
        if account.missed > 0 {
            let missed = self.missed.entry(account.priority).or_default();
            *missed = missed.saturating_add(account.missed);
        }
        self.accounts.insert(service.to_owned(), account);
    }

    /// Units that a service may hold at most: its own and what is free, less what more important ones miss.
    fn most(&self, service: &str, priority: u8, limit: u64) -> u64 {
        let own = self.accounts.get(service).map_or(0, |a| a.held);
        let others = self.held.saturating_sub(own);
        let first: u64 = match priority.checked_add(1) {
            Some(above) => self.missed.range(above..).map(|m| *m.1).sum(),
            None => 0,
        };
        limit.saturating_sub(others).saturating_sub(first)
    }
}

/// What a service's round settled on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Replicas it runs.
    pub(crate) current: u32,
    /// Replicas it would have without quotas.
    pub(crate) intent: u32,
    /// Replicas it takes.
    pub(crate) to: u32,
}

/// The books of all quotas.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    books: Mutex<Vec<(Quota, Book)>>,
}

impl Quotas {
    /// Takes the quotas in force. The book of a quota that stays, stays; another one starts empty, and until each service's
    /// round has written what it holds nothing grows under it.
    pub(crate) fn set(&self, quotas: &[Quota], policies: &[Policy], now: Duration) {
        let mut books = self.books.lock();
        let mut before = std::mem::take(&mut *books);
        *books = quotas
            .iter()
            .map(|quota| {
                let known = before.iter_mut().find(|(q, _)| q == quota).map(|(_, book)| std::mem::take(book));
                let mut book = known.unwrap_or(Book { since: now, ..Book::default() });
                book.expected = policies.iter().filter(|p| quota.concerns(p)).count();
                (quota.clone(), book)
            })
            .collect();
    }

    /// Most replicas that a service may have now, by the tightest of its quotas below its maximum.
    pub(crate) fn ceiling(&self, policy: &Policy, current: u32, now: Duration) -> Option<Limit> {
        let books = self.books.lock();
        let concerned = books.iter().filter(|(quota, _)| quota.concerns(policy));
        let limits = concerned.filter_map(|(quota, book)| {
            let most = replicas_of(quota, book, policy)?.max(current);
            let missing = book.expected.saturating_sub(book.accounts.len());
            if missing > 0 && now.saturating_sub(book.since) < PATIENCE {
                let reason = format!("{} waits to hear what {missing} of its services hold", quota.words());
                return Some(Limit { guard: "quota".into(), replicas: current, reason });
            }
            let reason = format!("{} leaves {} to {}", quota.words(), most, policy.service);
            (most < policy.max).then(|| Limit { guard: "quota".into(), replicas: most, reason })
        });
        limits.min_by_key(|limit| limit.replicas)
    }

    /// Writes down what a round settled on; `false`, and nothing but what it already runs is written, when what it counted
    /// on was taken by another service meanwhile.
    pub(crate) fn settle(&self, policy: &Policy, settled: Settled) -> bool {
        let mut books = self.books.lock();
        let fits = books.iter().filter(|(quota, _)| quota.concerns(policy)).all(|(quota, book)| {
            let most = replicas_of(quota, book, policy);
            settled.to <= settled.current || most.is_none_or(|most| settled.to <= most)
        });
        let holds = if fits { settled.to.max(settled.current) } else { settled.current };
        for (quota, book) in books.iter_mut().filter(|(quota, _)| quota.concerns(policy)) {
            let weight = quota.weight(policy);
            book.remove(&policy.service);
            let account = Account {
                priority: policy.operations.priority,
                held: weight.saturating_mul(u64::from(holds)),
                missed: weight.saturating_mul(u64::from(settled.intent.saturating_sub(holds))),
            };
            book.insert(&policy.service, account);
        }
        fits
    }

    /// Forgets services that are no longer scaled.
    pub(crate) fn retain(&self, keep: impl Fn(&str) -> bool) {
        for (_, book) in self.books.lock().iter_mut() {
            let gone: Vec<String> = book.accounts.keys().filter(|s| !keep(s)).cloned().collect();
            gone.iter().for_each(|service| book.remove(service));
        }
    }
}

/// Most replicas by one book; `None` when the service takes nothing of this quota.
fn replicas_of(quota: &Quota, book: &Book, policy: &Policy) -> Option<u32> {
    let weight = quota.weight(policy);
    let units = book.most(&policy.service, policy.operations.priority, quota.units());
    (weight > 0).then(|| u32::try_from(units / weight).unwrap_or(u32::MAX))
}

/// Which share of the wished growth was trimmed, when it is worth an alarm.
pub(crate) fn alarm(settled: Settled) -> Option<f64> {
    let wished = settled.intent.saturating_sub(settled.current);
    let missed = settled.intent.saturating_sub(settled.to.max(settled.current));
    let share = f64::from(missed) / f64::from(wished.max(1));
    (share > ALARM_SHARE).then_some(share)
}

#[cfg(test)]
mod tests;
