//! Builds the web app into `$OUT_DIR/dist`, from where it is embedded.
//!
//! `UI_DIST=/path` embeds a finished build instead. Without Node.js a page that says so is embedded and everything else
//! works; with `UI_REQUIRED=1` the build fails then.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the app is built from.
const INPUTS: [&str; 8] =
    ["src", "public", "index.html", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json", "scripts"];

fn main() -> Outcome<()> {
    for variable in ["UI_DIST", "UI_REQUIRED"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    let ui = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("ui");
    for input in INPUTS {
        println!("cargo:rerun-if-changed={}", ui.join(input).display());
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let dist = out.join("dist");
    // What an earlier build left must not be embedded again.
    if dist.exists() {
        fs::remove_dir_all(&dist)?;
    }
    fs::create_dir_all(&dist)?;

    if let Ok(prebuilt) = std::env::var("UI_DIST") {
        println!("cargo:rerun-if-changed={prebuilt}");
        return copy(Path::new(&prebuilt), &dist).map_err(|e| format!("UI_DIST={prebuilt}: {e}").into());
    }
    if let Err(problem) = build(&ui, &dist) {
        if std::env::var("UI_REQUIRED").is_ok_and(|v| v == "1") {
            return Err(format!("the web app cannot be built, and UI_REQUIRED=1: {problem}").into());
        }
        println!("cargo:warning=the web app is not part of this build: {problem}");
        fs::remove_dir_all(&dist)?;
        fs::create_dir_all(&dist)?;
        fs::write(dist.join("index.html"), placeholder(&problem.to_string()))?;
    }
    Ok(())
}

fn build(ui: &Path, dist: &Path) -> Outcome<()> {
    if !ui.join("package-lock.json").exists() {
        return Err("dashboards/ui has no package-lock.json".into());
    }
    run(Command::new("node").arg("--version").current_dir(ui))
        .map_err(|_| "Node.js is not installed (Debian: apt install nodejs npm)")?;
    // Several builds with target folders of their own may run at once, but there is one node_modules.
    let lock = fs::File::create(ui.join(".build.lock"))?;
    lock.lock()?;
    if needs_install(ui) {
        run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--prefer-offline"]).current_dir(ui))?;
    }
    let script = fs::read_to_string(ui.join("package.json"))?;
    if !script.contains("\"build\"") {
        return Err("dashboards/ui/package.json has no build script".into());
    }
    let mut command = Command::new("npm");
    command.args(["run", "build", "--", "--outDir"]).arg(dist).arg("--emptyOutDir").current_dir(ui);
    run(&mut command)?;
    if !dist.join("index.html").exists() {
        return Err("the build left no index.html".into());
    }
    Ok(())
}

/// Whether the lock is newer than what is installed.
fn needs_install(ui: &Path) -> bool {
    let changed = |path: PathBuf| fs::metadata(path).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    // npm writes this file last.
    changed(ui.join("package-lock.json")) > changed(ui.join("node_modules/.package-lock.json"))
}

fn run(command: &mut Command) -> Outcome<()> {
    let output = command.output().map_err(|e| format!("{:?}: {e}", command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let tail: Vec<&str> = text.lines().rev().filter(|l| !l.trim().is_empty()).take(12).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(format!("{command:?} failed: {}", tail.join(" | ")).into())
}

fn copy(from: &Path, to: &Path) -> Outcome<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?
        } else {
            fs::copy(entry.path(), target).map(drop)?
        }
    }
    Ok(())
}

fn placeholder(problem: &str) -> String {
    let problem = problem.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Tidewatch</title>\n<h1>Tidewatch is running, without its web app</h1>\n\
         <p>The web app was not part of this build: <code>{problem}</code></p>\n\
         <p>Install Node.js 20.19 or newer with npm and build again.</p>\n\
         <p>Everything else works: the <a href=\"/api/openapi.json\">API</a>, \
         <a href=\"/metrics\">metrics</a>, <a href=\"/api/v1/status\">status</a>, \
         <a href=\"/api/v1/targets\">targets</a>.</p>\n</html>\n"
    )
}
