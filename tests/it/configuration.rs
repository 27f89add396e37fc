//! check-config and reload on the real binary.

use std::process::Command;

use demo::servers::wait_for;
use serde_json::json;
use tests::{Tidewatch, binary, scratch};

/// Guards against hanging only.
const SOON: std::time::Duration = std::time::Duration::from_secs(30);

#[test]
fn all_mistakes_are_reported_at_once_with_file_line_and_what_would_be_right() {
    let dir = scratch().expect("a folder");
    let file = dir.path().join("tidewatch.yaml");
    std::fs::write(
        &file,
        "global:\n  scrape_interval: 15 seconds\nscrape_configs:\n  - job_name: a\n    scheme: gopher\n    static_configs:\n      - targets: [localhost:1]\n  - job_name: a\n    consul_sd_configs: []\nremote_read: []\n",
    )
    .expect("written");
    let output =
        Command::new(binary("tidewatch").expect("built")).arg("check-config").arg(&file).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for expected in
        [":2: global.scrape_interval", ":5: scrape_configs[0].scheme", "consul_sd_configs", ":10: remote_read"]
    {
        assert!(text.contains(expected), "{expected} is missing in:\n{text}");
    }
    assert!(text.lines().any(|l| l.contains("job_name") && l.contains("\"a\"")), "the doubled job is reported: {text}");

    std::fs::write(
        &file,
        "scrape_configs:\n  - job_name: a\n    static_configs:\n      - targets: [\"localhost:1\"]\n",
    )
    .expect("written");
    let output =
        Command::new(binary("tidewatch").expect("built")).arg("check-config").arg(&file).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_bad_file_keeps_the_old_one_running() {
    let dir = scratch().expect("a folder");
    let file = dir.path().join("tidewatch.yaml");
    let config = |job: &str| {
        format!("scrape_configs:\n  - job_name: {job}\n    static_configs:\n      - targets: [\"127.0.0.1:1\"]\n")
    };
    std::fs::write(&file, config("first")).expect("written");
    let tidewatch = Tidewatch::start(dir.path(), &["--config", file.to_str().expect("UTF-8")]).await.expect("starts");
    let jobs = || async {
        let targets = tidewatch.api.get("/api/v1/targets").await.expect("targets");
        targets["data"]["activeTargets"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|t| t["scrapePool"].clone())
            .collect::<Vec<_>>()
    };
    wait_for("the first job's target", SOON, || async { jobs().await == [json!("first")] })
        .await
        .expect("the first file is in force");

    std::fs::write(&file, "scrape_configs: 7\n").expect("written");
    let refused = tidewatch.api.post("/-/reload", &json!({})).await.expect_err("a bad file is refused");
    assert!(refused.to_string().contains("scrape_configs"), "{refused}");
    assert_eq!(jobs().await, [json!("first")]);

    std::fs::write(&file, config("second")).expect("written");
    tidewatch.api.post("/-/reload", &json!({})).await.expect("reloads");
    // Targets are discovered once the job has started.
    wait_for("the second job's target", SOON, || async { jobs().await == [json!("second")] })
        .await
        .expect("the new file is in force");
}
