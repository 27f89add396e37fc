//! On a real PostgreSQL: the same suite, and what only a server that others use, that stops, and that falls silent shows.

use std::collections::BTreeMap;

use vocab::alert::AlertState;
use vocab::entity::EntityKind;
use vocab::testing::Postgres;

use super::*;
use crate::catalog::scaling::stands;

/// A call that cannot succeed fails within this time.
const FAILS_WITHIN: Duration = Duration::from_secs(60);

/// A catalog as a process has it: with a folder of its own.
struct Process {
    catalog: SqlCatalog,
    _dir: tempfile::TempDir,
}

impl std::ops::Deref for Process {
    type Target = SqlCatalog;

    fn deref(&self) -> &SqlCatalog {
        &self.catalog
    }
}

async fn open(url: &str, clock: &SimClock) -> PortResult<Process> {
    let (server, dir) = (PostgresServer::new(url, None).expect("a URL"), tempfile::tempdir().expect("a folder"));
    let own = dir.path().join("catalog.db");
    let catalog = SqlCatalog::open_postgres(&server, &own, Arc::new(clock.clone())).await?;
    Ok(Process { catalog, _dir: dir })
}

fn start() -> Postgres {
    Postgres::start().unwrap_or_else(|e| panic!("{e}"))
}

/// `TIDEWATCH_TEST_POSTGRES` may hold the URL of an empty database, to try another server than the one that is installed.
#[tokio::test]
async fn it_conforms() {
    let clock = SimClock::at(1_000);
    let given = std::env::var("TIDEWATCH_TEST_POSTGRES").ok();
    let own = given.is_none().then(start);
    let url = given.or(own.as_ref().map(Postgres::url)).expect("one of both");
    let catalog = open(&url, &clock).await.expect("opened");
    conformance::catalog(&catalog.catalog, &clock).await;
    catalog.close().await;
}

#[tokio::test]
async fn processes_open_it_at_the_same_moment_and_share_its_rows() {
    let (server, clock) = (start(), SimClock::at(1_000));
    let url = server.url();
    let opened = futures::future::join_all((0..4).map(|_| open(&url, &clock))).await;
    let catalogs: Vec<Process> = opened.into_iter().map(|c| c.expect("the tables are made once")).collect();
    check_one_ticket(&catalogs[0]).await;

    // What belongs to an installation stays with it.
    for (number, catalog) in (0..).zip(&catalogs) {
        for namespace in ["collector.journal", "process", "autoscaler"] {
            catalog.put_document(namespace, "k", &serde_json::json!(number), None).await.expect("written");
        }
    }
    let value = async |n: usize, namespace: &str| {
        catalogs[n].document(namespace, "k").await.expect("read").expect("there").value.as_i64().expect("a number")
    };
    assert_eq!(
        (value(0, "collector.journal").await, value(2, "process").await, value(1, "autoscaler").await),
        (0, 2, 3)
    );

    // Four at once write the same rows in different orders.
    let tenant = TenantId::default();
    let entity = |n: usize| Entity {
        kind: EntityKind::Host,
        cluster: "c".into(),
        id: format!("h{n}"),
        parent: String::new(),
        labels: BTreeMap::new(),
        first_seen_ms: 1,
        last_seen_ms: 1,
    };
    let alert = |n: usize| Alert {
        group: "g".into(),
        rule: format!("r{n}"),
        fingerprint: "f".into(),
        labels: vocab::Labels::default(),
        annotations: vocab::Labels::default(),
        state: AlertState::Firing,
        value: 1.0,
        expression: "up".into(),
        active_at_ms: 1,
        fired_at_ms: None,
        resolved_at_ms: None,
        updated_at_ms: 1,
        ticket_id: None,
    };
    let tasks = catalogs.iter().enumerate().map(|(process, catalog)| {
        let (tenant, catalog) = (tenant.clone(), catalog.catalog.clone());
        tokio::spawn(async move {
            for round in 0..10 {
                let order = |n: usize| (n * (process + 1) * 7 + round) % 23;
                let entities: Vec<Entity> = (0..23).map(|n| entity(order(n))).collect();
                let alerts: Vec<Alert> = (0..23).map(|n| alert(order(n))).collect();
                catalog.upsert_entities(&tenant, &entities).await.expect("stored");
                catalog.upsert_alerts(&tenant, &alerts).await.expect("stored");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("nobody waits for each other");
    }
    let hosts = catalogs[3].entities(&tenant, &EntityFilter::default()).await.expect("listed");
    assert_eq!(hosts.len(), 23);
}

#[tokio::test]
async fn a_server_that_stops_or_falls_silent_is_unavailable_and_then_goes_on() {
    let (mut server, clock) = (start(), SimClock::at(1_000));
    let catalog = open(&server.url(), &clock).await.expect("opened");
    let value = serde_json::json!([1]);
    catalog.put_document("n", "k", &value, None).await.expect("written");
    let fails = async |why: &str| {
        let calls = (0..6).map(|_| async { catalog.document("n", "k").await.expect_err(why) });
        let errors = tokio::time::timeout(FAILS_WITHIN, futures::future::join_all(calls)).await.expect(why);
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", vocab::error::chain(&error));
            assert!(error.message().contains("the catalog's database"), "{error}");
        }
    };
    server.stop();
    fails("it is stopped").await;
    // Others are told at once: hundreds of them do not wait for one after the other.
    let many = async {
        for _ in 0..200 {
            catalog.document("n", "k").await.expect_err("it is stopped");
        }
    };
    tokio::time::timeout(FAILS_WITHIN, many).await.expect("most fail at once");
    server.start_again().unwrap_or_else(|e| panic!("{e}"));
    let goes_on = async |expected: i64| {
        let again = async {
            while let Err(error) = catalog.put_document("n", "k", &value, Some(expected)).await {
                // Until somebody has found out that it is back.
                match error.kind() {
                    ErrorKind::Unavailable => tokio::task::yield_now().await,
                    kind => panic!("{kind:?}: {error}"),
                }
            }
        };
        tokio::time::timeout(FAILS_WITHIN, again).await.expect("goes on");
        catalog.document("n", "k").await.expect("goes on").expect("kept").version
    };
    assert_eq!(goes_on(1).await, 2, "what was there before is there");

    // In the middle of a transaction, too: it is neither carried out nor stands in the way afterwards.
    let mut tx = catalog.db.begin().await.expect("begun");
    tx.next("silent").await.expect("numbered");
    server.pause();
    let broken = tokio::time::timeout(FAILS_WITHIN, tx.commit()).await.expect("given up").expect_err("no answer");
    assert_eq!(port_error("try", broken).kind(), ErrorKind::Unavailable);
    fails("it is silent").await;
    server.resume();
    assert_eq!(goes_on(2).await, 3);
    catalog.close().await;
    server.stop();
    let stopped = tokio::time::timeout(FAILS_WITHIN, open(&server.url(), &clock)).await.expect("given up");
    assert_eq!(stopped.err().expect("nobody is there").kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_holder_that_hangs_in_the_middle_of_a_transaction_does_not_keep_the_lease() {
    let (server, clock) = (start(), SimClock::at(1_000));
    let (first, second) = (open(&server.url(), &clock).await, open(&server.url(), &clock).await);
    let (first, second) = (first.expect("opened"), second.expect("opened"));
    let ttl = Duration::from_secs(2);
    let lease = first.acquire_lease("l", "first", ttl).await.expect("asked").expect("free");
    let mut hangs = first.db.begin().await.expect("begun");
    assert!(stands(&mut hangs, &lease.fence()).await.expect("asked"));
    clock.advance(ttl);
    let taken = async {
        loop {
            // While the row is locked the answer is an error, and the next try comes with the next renewal.
            match second.acquire_lease("l", "second", ttl).await {
                Ok(lease) => break lease,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
        }
    };
    let taken = tokio::time::timeout(FAILS_WITHIN, taken).await.expect("within the time that a transaction may idle");
    assert_eq!(taken.expect("free").token, lease.token + 1);
    let late = hangs.commit().await.map_err(|e| port_error("try", e)).expect_err("it was broken off");
    assert_eq!(late.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_database_that_is_not_there_says_what_to_do() {
    let (server, clock) = (start(), SimClock::at(1_000));
    let elsewhere = server.url().replace("/postgres?", "/elsewhere?");
    let error = open(&elsewhere, &clock).await.err().expect("no such database");
    assert!(error.kind() == ErrorKind::Unavailable && error.message().contains("CREATE DATABASE"), "{error}");
}
