//! A newcomer's first minutes: start without a configuration, see this machine, stop, start again.

use std::time::{Duration, Instant};

use demo::servers::wait_for;
use tests::{Tidewatch, scratch};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "measures a real start")]
async fn it_shows_this_machine_and_keeps_yesterday() {
    let dir = scratch().expect("a folder");
    let started = Instant::now();
    let mut first = Tidewatch::start(dir.path(), &[]).await.expect("starts");
    assert!(first.log().contains(&format!("http://127.0.0.1:{}", first.port)), "the URL is printed: {}", first.log());

    let api = first.api.clone();
    for query in ["node_memory_MemTotal_bytes", "sum(node_cpu_seconds_total)", "process_resident_memory_bytes"] {
        let api = api.clone();
        wait_for(query, SOON, || {
            let api = api.clone();
            async move { matches!(api.value(query).await, Ok(Some(v)) if v > 0.0) }
        })
        .await
        .unwrap_or_else(|e| panic!("{e}; log: {}", first.log()));
    }
    println!("first metrics after {:?}", started.elapsed());
    let sources = api.get("/api/v1/sources").await.expect("sources");
    let names: Vec<_> = sources["sources"].as_array().expect("a list").iter().map(|s| s["name"].clone()).collect();
    for name in ["host", "containers", "self", "system_logs"] {
        assert!(names.iter().any(|n| n == name), "{name} is missing in {names:?}");
    }
    let targets = api.get("/api/v1/targets").await.expect("targets");
    assert_eq!(targets["data"]["activeTargets"].as_array().map(Vec::len), Some(0), "built-in sources are no targets");
    wait_for("the host is an entity", SOON, || async {
        api.get("/api/v1/hosts").await.is_ok_and(|h| h["hosts"].as_array().is_some_and(|h| h.len() == 1))
    })
    .await
    .expect("the host");

    let before = api.value("node_boot_time_seconds").await.expect("answers").expect("a value");
    assert_eq!(first.server.stop().expect("stops in time"), 0, "{}", first.log());

    let mut second = Tidewatch::start(dir.path(), &["--roles", "store,dashboards"]).await.expect("starts again");
    let kept = second.api.value("last_over_time(node_boot_time_seconds[1h])").await.expect("answers");
    assert_eq!(kept, Some(before), "what was there yesterday is there today");
    assert_eq!(second.server.stop().expect("stops in time"), 0);
}

#[tokio::test]
async fn a_second_one_on_the_same_folder_or_port_says_so_in_one_line() {
    let dir = scratch().expect("a folder");
    let first = Tidewatch::start(dir.path(), &[]).await.expect("starts");
    let run = |data: std::path::PathBuf, listen: String| {
        let output = std::process::Command::new(tests::binary("tidewatch").expect("built"))
            .args(["--log", "error", "--data-dir"])
            .arg(data)
            .args(["--listen", &listen])
            .output()
            .expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).trim().to_owned())
    };
    let (code, message) = run(dir.path().join("data"), "127.0.0.1:0".into());
    assert_eq!(code, Some(1), "{message}");
    assert!(message.lines().count() == 1 && message.contains("data") && message.contains("in use"), "{message}");
    let (code, message) = run(dir.path().join("other"), format!("127.0.0.1:{}", first.port));
    assert_eq!(code, Some(1), "{message}");
    assert!(message.lines().count() == 1 && message.contains("--listen"), "{message}");
}
