//! Light queries are answered on the spot, others on a thread of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vocab::{Ctx, ErrorKind};

use super::Bench;
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};

/// What a query does each time it is tried.
#[derive(Clone, Copy)]
enum Does {
    Answer,
    TakeLong,
    TakeLongUnseen,
    Wait,
    FindNoMemory,
    Fail,
}

/// Runs a query; gives its answer, which is whether it was found on the spot, and how often it was tried.
async fn run(bench: &Bench, name: &str, does: Does) -> (ApiResult<bool>, u32) {
    let (tries, clock) = (Arc::new(AtomicU32::new(0)), bench.clock.clone());
    let counted = Arc::clone(&tries);
    let work = async move |_app: Shared, ctx: Ctx| {
        counted.fetch_add(1, Ordering::Relaxed);
        match does {
            Does::Answer => {}
            Does::TakeLong => clock.advance(Duration::from_millis(1)),
            Does::TakeLongUnseen => {
                clock.advance(Duration::from_millis(1));
                return Ok(ctx.cancel.is_brief());
            }
            Does::Wait => tokio::task::yield_now().await,
            Does::FindNoMemory => return Err(ApiError::new(ErrorKind::Limit, "none left")),
            Does::Fail => return Err(ApiError::invalid("no such thing")),
        }
        ctx.cancel.check()?;
        Ok(ctx.cancel.is_brief())
    };
    let answer = bench.app.run_query(&Caller::default(), Duration::from_secs(60), name, work).await;
    (answer, tries.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_long_or_waits_is_begun_anew_elsewhere_and_not_tried_again_for_a_while() {
    let bench = Bench::new();
    let check = async |name: &str, does: Does, expect: Result<bool, &str>, tries: u32| {
        let (answer, tried) = run(&bench, name, does).await;
        assert_eq!(
            (answer.as_ref().map_err(|e| e.message.as_str()), tried),
            (expect.as_ref().map_err(|e| *e), tries),
            "{name}"
        );
    };
    for (name, does) in [("long", Does::TakeLong), ("waiting", Does::Wait)] {
        check("light", Does::Answer, Ok(true), 1).await;
        check(name, does, Ok(false), 2).await;
        for _ in 0..255 {
            check(name, does, Ok(false), 1).await;
        }
        check(name, does, Ok(false), 2).await;
    }
    check("unseen", Does::TakeLongUnseen, Ok(true), 1).await;
    check("unseen", Does::TakeLongUnseen, Ok(false), 1).await;
    check("wrong", Does::Fail, Err("no such thing"), 1).await;
    check("large", Does::FindNoMemory, Err("none left"), 2).await;
    assert_eq!(bench.app.metrics.queries_running.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_spot_there_are_no_more_at_once_than_elsewhere() {
    let bench = Bench::with(|config| config.query_concurrency = 1);
    let one = Arc::clone(&bench.app.permits).acquire_owned().await.expect("free");
    let asked = run(&bench, "light", Does::Answer);
    let frees = async {
        while bench.app.metrics.queries_waiting.get() == 0 {
            tokio::task::yield_now().await;
        }
        drop(one);
    };
    let ((answer, tries), ()) = tokio::join!(asked, frees);
    assert_eq!((answer.expect("answered"), tries), (false, 1));
}
