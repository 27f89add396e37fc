//! What every orchestrator must do, asked of each: fake, process, swarm.

use std::sync::Arc;
use std::time::Duration;

use vocab::{Clock, ErrorKind};

use crate::orchestrator::{Orchestrator, ScaleChange, ServiceState};

/// What the suite needs to know.
#[derive(Debug, Clone)]
pub struct Conformance {
    /// A service with one replica that is or becomes ready and can be scaled to 4.
    pub service: String,
    /// Longest wait for a change to show.
    pub patience: Duration,
    /// Whether replicas have addresses.
    pub has_addresses: bool,
    /// A clock that runs.
    pub clock: Arc<dyn Clock>,
}

/// Runs the suite. The service has one replica again at the end.
///
/// # Panics
/// When the orchestrator does something else than it must.
pub async fn conformance(orchestrator: &dyn Orchestrator, given: &Conformance) {
    let service = given.service.as_str();
    let settled = |wanted: u32| {
        move |s: &ServiceState| {
            let counts = s.counts();
            (counts.wanted, counts.ready, counts.total) == (wanted, wanted, wanted)
        }
    };
    assert!(!orchestrator.cluster().is_empty() && !orchestrator.kind().is_empty());
    let names = orchestrator.services().await.expect("it answers");
    assert!(names.iter().any(|n| n == service), "{names:?}");
    assert!(names.is_sorted(), "{names:?}");
    let first = wait(orchestrator, given, "one replica ready", settled(1)).await;

    let unknown = orchestrator.state("no-such-service").await.expect_err("unknown");
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
    let unknown = orchestrator.scale("no-such-service", ScaleChange { from: 1, to: 2 }).await.expect_err("unknown");
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");

    // Up: all become ready, those of before stay.
    orchestrator.scale(service, ScaleChange { from: 1, to: 4 }).await.expect("scaled out");
    let four = wait(orchestrator, given, "four replicas ready", settled(4)).await;
    assert!(four.version > first.version, "{} {}", first.version, four.version);
    assert!(four.replicas.iter().any(|r| r.id == first.replicas[0].id), "{four:?}");
    let mut ids: Vec<&str> = four.replicas.iter().map(|r| r.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "{four:?}");
    if given.has_addresses {
        let mut addresses: Vec<_> = four.replicas.iter().filter_map(|r| r.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 4, "{four:?}");
    }

    // The same number again changes nothing; a wrong idea of the present is a conflict and changes nothing.
    orchestrator.scale(service, ScaleChange { from: 1, to: 4 }).await.expect("it is so already");
    let conflict = orchestrator.scale(service, ScaleChange { from: 2, to: 3 }).await.expect_err("a conflict");
    assert_eq!(conflict.kind(), ErrorKind::Conflict, "{conflict}");
    assert_eq!(orchestrator.state(service).await.expect("it answers").wanted, 4);

    // Down: those that stay are of those that were.
    orchestrator.scale(service, ScaleChange { from: 4, to: 2 }).await.expect("scaled in");
    let two = wait(orchestrator, given, "two replicas left", settled(2)).await;
    assert!(two.replicas.iter().all(|r| ids.contains(&r.id.as_str())), "{two:?}");

    // One of them is replaced: it goes, another one comes, and the number stays. One that is gone is gone.
    let [odd, kept] = [0, 1].map(|index: usize| two.replicas[index].id.clone());
    orchestrator.replace(service, &odd).await.expect("replaced");
    let is_another = |s: &ServiceState| {
        settled(2)(s) && s.replicas.iter().any(|r| r.id == kept) && s.replicas.iter().all(|r| r.id != odd)
    };
    let other = wait(orchestrator, given, "another replica for one", is_another).await;
    orchestrator.replace(service, &odd).await.expect("it is gone");
    let ids = |s: &ServiceState| s.replicas.iter().map(|r| r.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&orchestrator.state(service).await.expect("it answers")), ids(&other), "and nothing happens");
    let unknown = orchestrator.replace("no-such-service", &kept).await.expect_err("unknown");
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");

    // None, and one again.
    orchestrator.scale(service, ScaleChange { from: 2, to: 0 }).await.expect("scaled to none");
    wait(orchestrator, given, "no replica left", settled(0)).await;
    orchestrator.scale(service, ScaleChange { from: 0, to: 1 }).await.expect("scaled to one");
    wait(orchestrator, given, "one replica again", settled(1)).await;
}

/// Waits until a state is as expected, letting leaving replicas go as a balancer would.
async fn wait(
    orchestrator: &dyn Orchestrator,
    given: &Conformance,
    what: &str,
    holds: impl Fn(&ServiceState) -> bool,
) -> ServiceState {
    let start = given.clock.monotonic();
    loop {
        let state = orchestrator.state(&given.service).await.expect("it answers");
        if holds(&state) {
            return state;
        }
        let leaving: Vec<String> = state.replicas.iter().filter(|r| r.leaving).map(|r| r.id.clone()).collect();
        orchestrator.release(&given.service, &leaving).await;
        let waited = given.clock.monotonic().saturating_sub(start);
        assert!(waited < given.patience, "{what}: not within {waited:?}: {state:?}");
        given.clock.sleep(Duration::from_millis(50)).await;
    }
}
