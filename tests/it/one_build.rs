//! `make run` and `make test` share what they compile: nothing that the one built is built again for the other.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;

use serde_json::Value;
use tests::{scratch, workspace_root};

/// What cargo would compile for these arguments. The list is an unstable output, which stable compilers give when they are told to.
fn units(arguments: &[&str]) -> Vec<Value> {
    let dir = scratch().expect("a folder");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--locked", "--offline", "-Z", "unstable-options", "--unit-graph"])
        .args(arguments)
        .current_dir(workspace_root())
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", dir.path())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let graph: Value = serde_json::from_slice(&output.stdout).expect("a unit graph");
    graph["units"].as_array().expect("units").clone()
}

/// What a unit is made of, its dependencies included.
fn made_of(units: &[Value], at: usize, known: &mut [Option<u64>]) -> u64 {
    if let Some(hash) = known[at] {
        return hash;
    }
    let unit = &units[at];
    let mut hasher = DefaultHasher::new();
    for key in ["pkg_id", "target", "profile", "platform", "mode", "features"] {
        unit[key].to_string().hash(&mut hasher);
    }
    let dependencies = unit["dependencies"].as_array().expect("dependencies");
    let mut parts: Vec<u64> = Vec::new();
    for dependency in dependencies {
        let index = dependency["index"].as_u64().and_then(|i| usize::try_from(i).ok()).expect("an index");
        parts.push(made_of(units, index, known));
    }
    parts.sort_unstable();
    parts.hash(&mut hasher);
    let hash = hasher.finish();
    known[at] = Some(hash);
    hash
}

fn all_made_of(units: &[Value]) -> Vec<u64> {
    let mut known = vec![None; units.len()];
    (0..units.len()).map(|at| made_of(units, at, &mut known)).collect()
}

#[test]
fn what_the_tests_compiled_is_not_compiled_again_to_run() {
    let (run, test) = (units(&["-p", "tidewatch"]), units(&["--workspace", "--all-targets"]));
    let tested: BTreeSet<u64> = all_made_of(&test).into_iter().collect();
    let again: BTreeSet<String> = run
        .iter()
        .zip(all_made_of(&run))
        .filter(|(_, hash)| !tested.contains(hash))
        .map(|(unit, _)| format!("{} {}", unit["pkg_id"], unit["features"]))
        .collect();
    assert!(
        again.is_empty(),
        "{} are compiled twice, mostly because a test's dependency asks for a feature: {again:#?}",
        again.len()
    );
}
