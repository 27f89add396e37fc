//! House rules, executed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand};
use tests::workspace_root;

/// Who may import whom (tests of a crate may use more).
const ALLOWED: &[(&str, &[&str])] = &[
    ("vocab", &[]),
    ("models", &["vocab"]),
    ("promql", &["vocab", "models"]),
    ("collector", &["vocab"]),
    ("store", &["vocab", "promql"]),
    ("analyzer", &["vocab", "models", "promql"]),
    ("autoscaler", &["vocab", "models", "promql"]),
    ("dashboards", &["vocab", "promql"]),
];

/// Heavy dependencies and the only crates that may name them.
const OWNED: &[(&str, &[&str])] = &[
    ("datafusion", &["store"]),
    ("arrow", &["store"]),
    ("parquet", &["store"]),
    ("tantivy", &["store"]),
    ("sqlx", &["store"]),
    ("pco", &["store"]),
    ("linfa", &["models"]),
    ("realfft", &["models"]),
    ("procfs", &["collector"]),
    ("axum", &["dashboards"]),
    ("utoipa", &["dashboards"]),
    ("clap", &["tidewatch", "demo"]),
    ("tracing-subscriber", &["tidewatch"]),
];

#[test]
fn the_crate_graph_is_as_designed() {
    let metadata = MetadataCommand::new()
        .manifest_path(workspace_root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata");
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let normal = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
        for dependency in normal {
            let wanted = dependency.name.as_str();
            if let (Some(allowed), true) = (allowed.get(name), ours.contains(wanted)) {
                assert!(allowed.contains(&wanted), "{name} must not import {wanted}");
            }
            if let Some((_, owners)) = OWNED.iter().find(|(heavy, _)| *heavy == wanted) {
                assert!(owners.contains(&name), "only {owners:?} may name {wanted}, not {name}");
            }
        }
    }
    for (name, _) in ALLOWED {
        assert!(ours.contains(name), "crate {name} is gone: is the design still true?");
    }
}

fn sources(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a readable folder").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | "node_modules" | ".git" | "dist" | "data") {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

#[test]
fn sources_keep_the_house_rules() {
    let root = workspace_root();
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 50, "the sources were not found");
    let mut wrong = Vec::new();
    for file in files.iter().filter(|f| !f.ends_with("it/tidy.rs")) {
        let text = std::fs::read_to_string(file).expect("a readable source");
        let shown = file.strip_prefix(&root).unwrap_or(file).display().to_string();
        if shown.ends_with("mod.rs") {
            wrong.push(format!("{shown}: a parent module is `name.rs` beside `name/`"));
        }
        for (index, line) in text.lines().enumerate() {
            for word in ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("] {
                if line.contains(word) {
                    wrong.push(format!("{shown}:{}: {word}", index + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_source_file_belongs_to_a_module() {
    let root = workspace_root();
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut dead = Vec::new();
    for file in &files {
        let (Some(dir), Some(stem)) = (file.parent(), file.file_stem().and_then(|s| s.to_str())) else { continue };
        let is_root = ["main", "lib", "build"].contains(&stem);
        let dir_name = dir.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if is_root || ["benches", "examples", "bin"].contains(&dir_name) {
            continue;
        }
        // The parent is `<dir>.rs` beside the folder, or the crate's root in the folder itself.
        let parents = [dir.with_extension("rs"), dir.join("lib.rs"), dir.join("main.rs")];
        let named = parents
            .iter()
            .filter_map(|p| std::fs::read_to_string(p).ok())
            .any(|text| text.contains(&format!("mod {stem};")));
        if !named {
            dead.push(file.strip_prefix(&root).unwrap_or(file).display().to_string());
        }
    }
    assert!(dead.is_empty(), "no module names these files: {dead:?}");
}
