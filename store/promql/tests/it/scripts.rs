//! All scripts: those of the conformance kit where it is found, and our own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use promql::EngineOptions;

use crate::script::{Outcome, run};

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut out: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    out.retain(|p| p.extension().is_some_and(|e| e == "test"));
    out.sort();
    out
}

async fn outcomes(folder: &Path, options: &EngineOptions) -> Vec<(String, Outcome)> {
    let only = std::env::var("TIDEWATCH_SCRIPT").unwrap_or_default();
    let mut out = Vec::new();
    for path in scripts(folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.contains(&only) {
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        out.extend(run(&text, options).await.into_iter().map(|outcome| (name.clone(), outcome)));
    }
    out
}

/// The tags of the kit's cases by file and line.
fn tags(kit: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(kit.join("promql/cases.tsv")).unwrap();
    let columns = text.lines().skip(1).map(|l| l.split('\t').collect::<Vec<_>>());
    columns.map(|c| (c[1].to_owned(), c[3].to_owned())).collect()
}

#[tokio::test]
async fn conformance_scripts() {
    let Some(kit) = crate::conformance::kit() else { return };
    let tags = tags(&kit);
    for fragments in [true, false] {
        let options = EngineOptions { fragments, ..EngineOptions::default() };
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let mut failures = Vec::new();
        for (file, outcome) in outcomes(&kit.join("promql"), &options).await {
            let place = format!("{file}:{}", outcome.line);
            let tag = tags.get(&place).cloned().unwrap_or_else(|| "untagged".to_owned());
            let count = counts.entry(tag.clone()).or_default();
            count.1 += 1;
            match outcome.answer.and(outcome.notes.map_err(|e| format!("remarks: {e}"))) {
                Ok(()) => count.0 += 1,
                Err(error) => failures.push(format!("{place} [{tag}] {}\n    {error}", outcome.query)),
            }
        }
        for (tag, (passed, all)) in &counts {
            println!("{tag}: {passed} of {all}");
        }
        assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    }
}

#[tokio::test]
async fn own_scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/queries");
    for fragments in [true, false] {
        let options = EngineOptions { fragments, ..EngineOptions::default() };
        let outcomes = outcomes(&folder, &options).await;
        assert!(outcomes.len() > 100, "only {} cases were found", outcomes.len());
        let failures: Vec<String> = outcomes
            .into_iter()
            .filter_map(|(file, outcome)| {
                let error = outcome.answer.and(outcome.notes).err()?;
                Some(format!("{file}:{} {}\n    {error}", outcome.line, outcome.query))
            })
            .collect();
        assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    }
}
