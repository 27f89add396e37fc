//! The web UI in a real browser, against a real server under load; the README's pictures are made here.
//!
//! `TIDEWATCH_SCREENSHOTS=docs/images` writes the README's pictures (the load is given longer to draw its curve, then);
//! `TIDEWATCH_SCREENSHOT_MATRIX=DIR` keeps one picture of every page in every size, theme and language.

mod stage;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use stage::{ADVISING, SPARE, Stage};
use tests::{scratch, workspace_root};

/// How long the load takes to its top.
const RAMP: Duration = Duration::from_secs(15);
/// The same for pictures: a curve that one can see.
const RAMP_OF_PICTURES: Duration = Duration::from_secs(80);
/// How long the top is watched before pictures are taken.
const TOP_OF_PICTURES: Duration = Duration::from_secs(60);

/// A folder named by a variable, relative to the workspace.
fn folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(|name| workspace_root().join(name))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_works_in_both_sizes_themes_and_languages() {
    let dir = scratch().expect("a folder");
    let pictures = folder("TIDEWATCH_SCREENSHOTS");
    let matrix = folder("TIDEWATCH_SCREENSHOT_MATRIX").unwrap_or_else(|| dir.path().join("screenshots"));
    let ramp = if pictures.is_some() { RAMP_OF_PICTURES } else { RAMP };
    let mut stage = Stage::start(dir.path(), ramp).await.unwrap_or_else(|e| panic!("{e:#}"));
    if pictures.is_some() {
        #[allow(clippy::disallowed_methods, reason = "a picture of a curve needs the curve")]
        tokio::time::sleep(ramp + TOP_OF_PICTURES).await;
    }
    stage.come_alive().await.unwrap_or_else(|e| panic!("{e:#}"));

    let mut command = Command::new("node");
    command.arg("e2e/run.mjs").current_dir(workspace_root().join("dashboards/ui"));
    command.env("TIDEWATCH_URL", stage.tidewatch.api.base()).env("OUT", matrix).env("ADVISING", ADVISING);
    command.env("SPARE", SPARE);
    if let Some(pictures) = pictures {
        command.env("PICTURES", pictures);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("joined").expect("node runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    assert!(output.status.success(), "{text}");
    assert!(text.contains(" 0 failed"), "the checks ran: {text}");

    // What was approved on the page was done.
    assert!(
        stage.has_acted(ADVISING).await,
        "no decision of {ADVISING} was carried out after it was approved on the page"
    );
    let (answered, failed) = stage.end_load().await.expect("the load ran");
    // The browser takes the processor from the services for seconds, so a health check may fail and a request with it;
    // that none fails is what the closed loop's own tests ask for.
    assert!(answered > 1000 && failed * 100 < answered, "{answered} answered, {failed} failed");
}
