//! The conformance suite on a real database, and what only a database can get wrong.

use vocab::testing::{SimClock, conformance};
use vocab::ticket::{Ticket, TicketState};

use super::*;

mod on_postgres;

async fn open(path: &Path, clock: &SimClock) -> PortResult<SqlCatalog> {
    SqlCatalog::open(path, Arc::new(clock.clone())).await
}

#[tokio::test]
async fn sqlite_conforms() {
    let (dir, clock) = (tempfile::tempdir().expect("a folder"), SimClock::at(1_000));
    conformance::catalog(&open(&dir.path().join("catalog.db"), &clock).await.expect("opened"), &clock).await;
}

#[tokio::test]
async fn rows_are_there_after_opening_again() {
    let (dir, clock) = (tempfile::tempdir().expect("a folder"), SimClock::at(1_000));
    let path = dir.path().join("catalog.db");
    let catalog = open(&path, &clock).await.expect("opened");
    catalog.put_document("n", "k", &serde_json::json!([1]), None).await.expect("written");
    catalog.close().await;
    let late = catalog.document("n", "k").await.expect_err("closed");
    assert_eq!(late.kind(), ErrorKind::Unavailable);
    let again = open(&path, &clock).await.expect("opened again");
    assert_eq!(again.document("n", "k").await.expect("read").expect("there").value, serde_json::json!([1]));
}

#[tokio::test]
async fn many_writers_open_one_ticket() {
    let (dir, clock) = (tempfile::tempdir().expect("a folder"), SimClock::at(1_000));
    let catalog = open(&dir.path().join("catalog.db"), &clock).await.expect("opened");
    check_one_ticket(&catalog).await;
}

/// Whatever the database is: of many that open a ticket of the same cause at once, one does.
async fn check_one_ticket(catalog: &SqlCatalog) {
    let ticket = Ticket {
        id: 0,
        dedup_key: "same\0cause".into(),
        title: "t".into(),
        severity: "warning".into(),
        service: String::new(),
        state: TicketState::Open,
        owner: String::new(),
        opened_at_ms: 1,
        updated_at_ms: 1,
        resolved_at_ms: None,
        timeline: Vec::new(),
        evidence: Vec::new(),
    };
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (catalog, ticket) = (catalog.clone(), ticket.clone());
            tokio::spawn(async move { catalog.open_ticket(&TenantId::default(), &ticket).await.expect("opened") })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        created += u32::from(task.await.expect("ran").1);
    }
    assert_eq!(created, 1);
    assert_eq!(catalog.tickets(&TenantId::default(), &TicketFilter::default()).await.expect("listed").len(), 1);
}

#[tokio::test]
async fn a_bad_place_and_a_damaged_file_say_what_to_do() {
    let (dir, clock) = (tempfile::tempdir().expect("a folder"), SimClock::at(1_000));
    let nowhere = open(&dir.path().join("missing/catalog.db"), &clock).await.expect_err("no such folder");
    assert!(nowhere.message().contains("its folder must exist and be writable"), "{nowhere}");
    let path = dir.path().join("catalog.db");
    std::fs::write(&path, "this is not a database, but it is long enough to be looked at as if it were one".repeat(80))
        .expect("written");
    let damaged = open(&path, &clock).await.expect_err("not a database");
    assert!(damaged.message().contains("damaged"), "{}", vocab::error::chain(&damaged));
    assert_eq!(damaged.kind(), ErrorKind::Internal);
}
