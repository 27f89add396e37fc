//! One leader decides: a lease in the catalog with a fencing token.
//!
//! Whoever holds the lease decides; every write carries its fence, which the catalog checks in the same transaction, so that
//! a leader which was overtaken while it slept cannot write any more, and therefore cannot act. Its time is measured by the
//! monotonic clock from before it asked, so that it stops believing in its lease before another can take it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vocab::error::chain;
use vocab::ports::Catalog;
use vocab::ports::catalog::{Fence, Lease};
use vocab::telemetry::{Counter, Gauge};
use vocab::{Clock, PortResult};

/// How long a lease lasts unless the configuration says otherwise: another takes over this long after a crash.
pub(crate) const TTL: Duration = Duration::from_secs(15);
/// A lease is renewed this many times in its life, so that one failed call does not lose it.
const RENEWALS: u32 = 3;
/// The last part of a lease, in which its holder no longer acts: for calls under way and clocks that differ.
const MARGIN_SHARE: u32 = 5;
/// The file that names this installation across restarts.
const INSTANCE_FILE: &str = "instance";

/// What is counted of leadership.
#[derive(Debug, Clone)]
pub(crate) struct LeaderMetrics {
    /// 1 while this process decides.
    pub(crate) leads: Gauge,
    /// Times it took the lease.
    pub(crate) terms: Counter,
    /// Writes that were refused because someone else decides by now.
    pub(crate) fenced: Counter,
}

#[derive(Debug, Clone)]
struct Held {
    lease: Lease,
    /// Monotonic time until which it may be acted on.
    until: Duration,
}

#[derive(Debug)]
struct Inner {
    holder: String,
    ttl: Duration,
    held: Option<Held>,
    /// Whether the catalog has said at the last renewal who holds the lease.
    is_known: bool,
}

/// How this process stands to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It decides.
    Decides,
    /// Another one does.
    StandsBy,
    /// The catalog does not say who does.
    Unknown,
}

/// This process's claim to decide.
#[derive(Debug)]
pub(crate) struct Leader {
    name: String,
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    metrics: LeaderMetrics,
    inner: Mutex<Inner>,
    /// The token of the term, or none.
    term: watch::Sender<Option<i64>>,
}

impl Leader {
    /// A claim that is not made yet, under the name of this installation.
    pub(crate) fn new(
        name: String,
        holder: String,
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
        metrics: LeaderMetrics,
    ) -> Self {
        let inner = Mutex::new(Inner { holder, ttl: TTL, held: None, is_known: false });
        Self { name, catalog, clock, metrics, inner, term: watch::Sender::new(None) }
    }

    /// Sets how long leases last from the next renewal on.
    pub(crate) fn set_ttl(&self, ttl: Duration) {
        self.inner.lock().ttl = ttl;
    }

    /// The fence to write with; `None` while someone else decides, or may by now.
    pub(crate) fn fence(&self) -> Option<Fence> {
        let now = self.clock.monotonic();
        self.inner.lock().held.as_ref().filter(|held| now < held.until).map(|held| held.lease.fence())
    }

    /// How this process stands to the others now.
    pub(crate) fn standing(&self) -> Standing {
        if self.fence().is_some() {
            Standing::Decides
        } else if self.inner.lock().is_known {
            Standing::StandsBy
        } else {
            Standing::Unknown
        }
    }

    /// Changes of the term: a token while this process decides.
    pub(crate) fn terms(&self) -> watch::Receiver<Option<i64>> {
        self.term.subscribe()
    }

    /// Begins anew under this installation's name: a life before this one is fenced off, so that it need not be waited for.
    ///
    /// # Errors
    /// The catalog's.
    pub(crate) async fn begin(&self) -> PortResult<()> {
        let holder = self.inner.lock().holder.clone();
        self.catalog.release_lease(&self.name, &holder).await?;
        self.renew().await
    }

    /// Takes the lease or renews it.
    ///
    /// # Errors
    /// The catalog's; what is held stays held until its time is over.
    pub(crate) async fn renew(&self) -> PortResult<()> {
        let (holder, ttl) = {
            let inner = self.inner.lock();
            (inner.holder.clone(), inner.ttl)
        };
        let asked_at = self.clock.monotonic();
        let lease = self.catalog.acquire_lease(&self.name, &holder, ttl).await;
        let mut inner = self.inner.lock();
        inner.is_known = lease.is_ok();
        let lease = match lease {
            Ok(lease) => lease,
            Err(error) => {
                drop(inner);
                self.expire();
                return Err(error);
            }
        };
        let before = inner.held.as_ref().map(|h| h.lease.token);
        if before.is_some() && lease.as_ref().is_some_and(|l| Some(l.token) != before) {
            // Someone else claims under the same name, such as a copy of this installation: give way under another name.
            inner.holder = format!("{}-{:08x}", inner.holder, rand::random::<u32>());
            tracing::warn!(now = inner.holder, "another process claims to be this one; it decides");
            inner.held = None;
        } else {
            inner.held = lease.map(|lease| Held { lease, until: asked_at + ttl - ttl / MARGIN_SHARE });
        }
        let token = inner.held.as_ref().map(|h| h.lease.token);
        drop(inner);
        self.publish(token);
        Ok(())
    }

    /// Gives the lease up at once: a write of ours was fenced off.
    pub(crate) fn overtaken(&self) {
        self.metrics.fenced.inc();
        self.inner.lock().held = None;
        self.publish(None);
    }

    /// Gives the lease back, so that another need not wait for its end.
    pub(crate) async fn resign(&self) {
        let (holder, had) = {
            let mut inner = self.inner.lock();
            (inner.holder.clone(), inner.held.take().is_some())
        };
        self.publish(None);
        if had && let Err(error) = self.catalog.release_lease(&self.name, &holder).await {
            tracing::warn!(error = chain(&error), "the lease could not be given back; it ends by itself");
        }
    }

    /// Renews until cancelled. The lease is kept at the end: whoever stops the loops gives it back after them.
    pub(crate) async fn run(&self, cancel: CancellationToken) {
        let mut complaint = String::new();
        while !cancel.is_cancelled() {
            let now = self.renew().await.err().map(|e| chain(&e)).unwrap_or_default();
            if now != complaint && !now.is_empty() {
                tracing::error!(error = now, "the lease to decide could not be renewed");
            }
            complaint = now;
            let pause = self.inner.lock().ttl / RENEWALS;
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = cancel.cancelled() => {}
            }
        }
    }

    /// Stops believing in a lease whose time is over.
    fn expire(&self) {
        let now = self.clock.monotonic();
        let mut inner = self.inner.lock();
        if inner.held.as_ref().is_some_and(|held| now >= held.until) {
            inner.held = None;
            drop(inner);
            self.publish(None);
        }
    }

    fn publish(&self, token: Option<i64>) {
        self.metrics.leads.set(i64::from(token.is_some()));
        let changed = self.term.send_if_modified(|term| {
            let changed = *term != token;
            *term = token;
            changed
        });
        if changed {
            match token {
                Some(token) => {
                    self.metrics.terms.inc();
                    tracing::info!(token, "this process decides");
                }
                None => tracing::warn!("this process no longer decides"),
            }
        }
    }
}

/// The name of this installation: the host's, and a number kept in its folder, so that a restart is known to be the same and
/// two installations on one host are not.
pub(crate) fn instance(dir: &Path) -> String {
    let host = nix::unistd::gethostname().ok().and_then(|h| h.into_string().ok()).unwrap_or_else(|| "host".into());
    let file = dir.join(INSTANCE_FILE);
    let kept = std::fs::read_to_string(&file).ok().map(|text| text.trim().to_owned());
    let number = kept.filter(|n| n.len() == 16 && n.bytes().all(|b| b.is_ascii_hexdigit())).unwrap_or_else(|| {
        let number = format!("{:016x}", rand::random::<u64>());
        let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&file, format!("{number}\n")));
        if let Err(error) = written {
            // Without it a restart waits for the end of the lease of before, nothing more.
            tracing::warn!(file = %file.display(), %error, "the installation's number could not be kept");
        }
        number
    });
    format!("{host}-{number}")
}

#[cfg(test)]
mod tests;
