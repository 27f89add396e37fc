//! What every orchestrator behind HTTP must do when its server misbehaves.

use std::time::Duration;

use vocab::ErrorKind;
use vocab::error::chain;

use super::conformance::Conformance;
use super::server::{Fault, Server};
use crate::error::OrchestratorError;
use crate::orchestrator::{Orchestrator, ScaleChange};

/// What the suite needs to know of the server. The orchestrator under test waits at most [`FAULT_TIMEOUT`] for an answer.
#[derive(Debug, Clone)]
pub struct Faults<'a> {
    /// The server.
    pub server: &'a Server,
    /// Which requests read the wanted number, one for each try: `GET /scale`.
    pub read: &'static str,
    /// Which requests change it: `PUT`.
    pub write: &'static str,
    /// Which requests end a replica that is replaced: `DELETE`.
    pub replace: &'static str,
    /// The answer that says that the object has moved; `None` where the API has no such thing.
    pub stale: Option<Fault>,
    /// Tries of a change that the server says has moved, at most.
    pub stale_tries: usize,
    /// The credential that the orchestrator was given; empty for none.
    pub secret: &'static str,
}

/// Longest wait for an answer of an orchestrator under test.
pub const FAULT_TIMEOUT: Duration = Duration::from_millis(400);
/// Tries of a call that breaks off, at most.
const BROKEN_TRIES: usize = 3;

/// Runs the suite; the service has one replica before and after.
///
/// # Panics
/// When the orchestrator does something else than it must.
pub async fn faults(orchestrator: &dyn Orchestrator, given: &Conformance, with: &Faults<'_>) {
    let (server, service) = (with.server, given.service.as_str());
    let wanted = || async { orchestrator.state(service).await.expect("it answers").wanted };
    let scale = |from, to| orchestrator.scale(service, ScaleChange { from, to });
    let is_told = |text: &str| !with.secret.is_empty() && text.contains(with.secret);
    let quiet = |error: &OrchestratorError| {
        let text = format!("{} {error:?}", chain(error));
        assert!(!is_told(&text), "a credential is in {text}");
    };
    assert_eq!(wanted().await, 1, "one replica before");

    // A call that breaks off once is made again; one that always breaks off fails after a few tries.
    let broken = [
        Fault::Status(503, "{\"message\":\"not now\"}".into()),
        Fault::Status(502, "bad gateway".into()),
        Fault::RetryAfter(0),
        Fault::Half,
        Fault::Gone,
        Fault::Slow(FAULT_TIMEOUT * 3),
    ];
    for fault in broken {
        server.reset();
        server.fail(with.read, 1, fault.clone());
        assert_eq!(wanted().await, 1, "{fault:?} once while reading");
        server.reset();
        server.fail(with.read, 1000, fault.clone());
        let error = orchestrator.state(service).await.expect_err("it never answers");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{fault:?}: {}", chain(&error));
        let reads = server.count(with.read);
        assert!((2..=BROKEN_TRIES).contains(&reads), "{fault:?}: {reads} reads");
        quiet(&error);
    }

    // What is no answer of this API is said to be so, at once.
    server.reset();
    server.fail(with.read, 1000, Fault::Garbage);
    let error = orchestrator.state(service).await.expect_err("no answer of this API");
    assert_eq!((error.kind(), server.count(with.read)), (ErrorKind::Internal, 1), "{}", chain(&error));

    // The same while changing: once done it is never done twice, and a change that was not taken is not said to be.
    for fault in [Fault::Status(503, String::new()), Fault::Gone, Fault::Half, Fault::GoneAfter, Fault::RetryAfter(0)] {
        server.reset();
        server.fail(with.write, 1, fault.clone());
        let failed = scale(1, 3).await.err().map(|e| chain(&e));
        assert_eq!(failed, None, "{fault:?} once while changing");
        assert!(server.count(with.write) <= 2, "{fault:?}: {} writes", server.count(with.write));
        assert_eq!(wanted().await, 3, "{fault:?}");
        scale(3, 1).await.expect("back");
    }
    for fault in [Fault::Status(503, String::new()), Fault::Gone] {
        server.reset();
        server.fail(with.write, 1000, fault.clone());
        let error = scale(1, 3).await.expect_err("it is never taken");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{fault:?}: {}", chain(&error));
        assert!((2..=BROKEN_TRIES).contains(&server.count(with.write)), "{fault:?}");
        server.reset();
        assert_eq!(wanted().await, 1, "{fault:?}");
        quiet(&error);
    }

    // A refusal is final: one try, and in the server's words without what must not be repeated.
    let refusals = [
        (400, ErrorKind::Invalid),
        (401, ErrorKind::Forbidden),
        (403, ErrorKind::Forbidden),
        (422, ErrorKind::Invalid),
    ];
    for (status, kind) in refusals {
        server.reset();
        server.fail(with.write, 1000, Fault::Status(status, format!("{{\"message\":\"not with {}\"}}", with.secret)));
        let error = scale(1, 3).await.expect_err("refused");
        assert_eq!((error.kind(), server.count(with.write)), (kind, 1), "{status}: {}", chain(&error));
        let expect = if with.secret.is_empty() { "not with" } else { "not with <secret>" };
        assert!(chain(&error).contains(expect), "{}", chain(&error));
        quiet(&error);
    }
    for (status, kind) in [(401, ErrorKind::Forbidden), (403, ErrorKind::Forbidden), (404, ErrorKind::NotFound)] {
        server.reset();
        server.fail(with.read, 1000, Fault::Status(status, "{\"message\":\"no\"}".into()));
        let error = orchestrator.state(service).await.expect_err("refused");
        assert_eq!((error.kind(), server.count(with.read)), (kind, 1), "{status}: {}", chain(&error));
    }

    // An object that has moved is read again; one that always moves is given up after a few tries.
    if let Some(stale) = &with.stale {
        server.reset();
        server.fail(with.write, 2, stale.clone());
        scale(1, 2).await.expect("the third try is taken");
        assert_eq!(server.count(with.write), 3);
        server.reset();
        server.fail(with.write, 1000, stale.clone());
        assert!(scale(2, 1).await.is_err());
        assert_eq!(server.count(with.write), with.stale_tries);
        server.reset();
        assert_eq!(wanted().await, 2);
        scale(2, 1).await.expect("back");
    }

    // The same while one replica is replaced: never two for one, and what was not done is said.
    server.reset();
    let only = || async { orchestrator.state(service).await.expect("it answers").replicas.remove(0).id };
    for fault in [Fault::Status(503, String::new()), Fault::Gone, Fault::GoneAfter, Fault::RetryAfter(0)] {
        let odd = only().await;
        server.reset();
        server.fail(with.replace, 1, fault.clone());
        let failed = orchestrator.replace(service, &odd).await.err().map(|e| chain(&e));
        assert_eq!(failed, None, "{fault:?} once while replacing");
        assert!(server.count(with.replace) <= 2, "{fault:?}: {} requests", server.count(with.replace));
        let next = only().await;
        assert_ne!(next, odd, "{fault:?}");
        orchestrator.replace(service, &odd).await.expect("it is gone");
        assert_eq!((only().await, wanted().await), (next, 1), "{fault:?}: one for one");
    }
    let odd = only().await;
    for (status, kind, tries) in [
        (403, ErrorKind::Forbidden, 1..=1),
        (400, ErrorKind::Invalid, 1..=1),
        (503, ErrorKind::Unavailable, 2..=BROKEN_TRIES),
    ] {
        server.reset();
        let words = format!("{{\"message\":\"not with {}\"}}", with.secret);
        server.fail(with.replace, 1000, Fault::Status(status, words));
        let error = orchestrator.replace(service, &odd).await.expect_err("refused");
        assert_eq!(error.kind(), kind, "{status}: {}", chain(&error));
        assert!(tries.contains(&server.count(with.replace)), "{status}: {} requests", server.count(with.replace));
        assert_eq!(only().await, odd, "{status}");
        quiet(&error);
    }

    server.reset();
    let shown = format!("{orchestrator:?}");
    assert!(!is_told(&shown), "a credential is in {shown}");
    assert_eq!(wanted().await, 1, "one replica after");
}
