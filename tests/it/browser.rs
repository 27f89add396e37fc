//! The web UI in a real browser, against a real server; the screenshots are what the README shows.

use std::process::Command;

use tests::{Tidewatch, scratch, workspace_root};

#[tokio::test]
async fn every_page_works_in_both_sizes_themes_and_languages() {
    let dir = scratch().expect("a folder");
    let tidewatch = Tidewatch::start(dir.path(), &[]).await.expect("starts");
    let screenshots =
        std::env::var_os("TIDEWATCH_SCREENSHOTS").map_or_else(|| dir.path().join("screenshots"), Into::into);
    std::fs::create_dir_all(&screenshots).expect("a folder for screenshots");
    let ui = workspace_root().join("dashboards/ui");
    let base = tidewatch.api.base().to_owned();
    let output = tokio::task::spawn_blocking(move || {
        Command::new("node")
            .arg("e2e/run.mjs")
            .current_dir(ui)
            .env("TIDEWATCH_URL", base)
            .env("OUT", screenshots)
            .output()
    })
    .await
    .expect("joined")
    .expect("node runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    assert!(output.status.success(), "{text}");
    assert!(text.contains("0 failed"), "the checks ran: {text}");
}
