//! A business counter passes its threshold: a hundred replicas more, in one decision, all of them ready.

use std::time::Duration;

use tests::scratch;
use tests::volume::{ADDED, FIRST, step};

/// The goal from the first count above the threshold to a hundred more replicas that are ready.
const GOAL: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_thousand_transactions_a_minute_bring_a_hundred_replicas_at_once() {
    let dir = scratch().expect("a folder");
    // A busy machine may take five times as long.
    let stepped = step(dir.path(), GOAL * 5).await.unwrap_or_else(|e| panic!("{e:#}"));
    println!("{ADDED} replicas more were ready after {:.1} s (goal: {} s)", stepped.took.as_secs_f64(), GOAL.as_secs());
    // One decision, with its reason, and nothing before it.
    let [decision] = stepped.decisions.as_slice() else { panic!("want one decision: {:#?}", stepped.decisions) };
    assert_eq!((decision["from"].as_u64(), decision["to"].as_u64()), (Some(FIRST), Some(FIRST + ADDED)), "{decision}");
    assert!(decision["candidates"].to_string().contains("peak"), "{decision}");
}
