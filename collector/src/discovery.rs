//! Target groups: those written in the configuration, and those of discovery files, which are read again when they change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{FileSdConfig, RawStaticConfig, ScrapeConfig, StaticGroup};
use crate::error::SourceError;

/// How often discovery files are looked at: changes are noticed by size and modification time, without a kernel
/// notification, which network file systems and bind mounts do not give. Shorter refresh intervals are honoured.
const FILE_LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Largest discovery file.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The groups of one job.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    files: BTreeMap<PathBuf, KnownFile>,
}

#[derive(Debug)]
struct KnownFile {
    stamp: (u64, Option<std::time::SystemTime>),
    /// What the file last said in valid form: a damaged file keeps its old targets.
    groups: Vec<StaticGroup>,
}

impl Discovery {
    /// All groups now, and what could not be read.
    pub(crate) fn groups(&mut self, config: &ScrapeConfig) -> (Vec<StaticGroup>, Vec<SourceError>) {
        let mut groups = config.static_groups.clone();
        let mut errors = Vec::new();
        let mut seen = Vec::new();
        for path in config.file_sd.iter().flat_map(paths) {
            if let Err(error) = self.refresh(&path) {
                errors.push(error);
            }
            if let Some(known) = self.files.get(&path) {
                groups.extend(known.groups.iter().cloned());
            }
            seen.push(path);
        }
        self.files.retain(|path, _| seen.contains(path));
        (groups, errors)
    }

    fn refresh(&mut self, path: &Path) -> Result<(), SourceError> {
        let meta = std::fs::metadata(path).map_err(|e| SourceError::read(path, e))?;
        let stamp = (meta.len(), meta.modified().ok());
        if self.files.get(path).is_some_and(|known| known.stamp == stamp) {
            return Ok(());
        }
        if meta.len() > FILE_BYTES_MAX {
            let text = format!("{} is larger than {FILE_BYTES_MAX} bytes", path.display());
            return Err(SourceError::Malformed(text));
        }
        let text = std::fs::read_to_string(path).map_err(|e| SourceError::read(path, e))?;
        let groups = parse(path, &text)?;
        self.files.insert(path.to_owned(), KnownFile { stamp, groups });
        Ok(())
    }
}

/// How long until the files are looked at again; `None` when there are none.
pub(crate) fn look_interval(config: &ScrapeConfig) -> Option<Duration> {
    config.file_sd.iter().map(|f| f.refresh_interval.min(FILE_LOOK_INTERVAL)).min()
}

fn paths(config: &FileSdConfig) -> Vec<PathBuf> {
    config.files.iter().filter_map(|pattern| glob::glob(pattern).ok()).flatten().filter_map(Result::ok).collect()
}

/// Reads a discovery file: a list of `{targets, labels}` in JSON (which is YAML too) or YAML.
fn parse(path: &Path, text: &str) -> Result<Vec<StaticGroup>, SourceError> {
    let malformed = |message: String| SourceError::Malformed(format!("{}: {message}", path.display()));
    let raw: Vec<RawStaticConfig> = serde_saphyr::from_str(text).map_err(|e| malformed(e.to_string()))?;
    let mut groups = Vec::with_capacity(raw.len());
    for (index, group) in raw.into_iter().enumerate() {
        if let Some(key) = group.unknown.first() {
            return Err(malformed(format!("[{index}]: unknown key `{key}`: want targets and labels")));
        }
        let mut labels = group.labels.unwrap_or_default();
        labels.insert("__meta_filepath".to_owned(), path.display().to_string());
        groups.push(StaticGroup { targets: group.targets.unwrap_or_default(), labels });
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_again_and_a_damaged_one_keeps_its_targets() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.json");
        let yaml = format!(
            "scrape_configs: [{{job_name: j, file_sd_configs: [{{files: ['{}/*.json'], refresh_interval: 1s}}]}}]",
            folder.path().display()
        );
        let mut problems = vocab::Problems::default();
        let raw = serde_saphyr::from_str(&yaml).expect("valid");
        let config = crate::config::check(&raw, Default::default(), &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let config = &config.scrape_configs[0];
        assert_eq!(look_interval(config), Some(Duration::from_secs(1)));
        let mut discovery = Discovery::default();
        let mut targets = || {
            let (groups, errors) = discovery.groups(config);
            (groups.iter().flat_map(|g| g.targets.clone()).collect::<Vec<_>>(), errors.len())
        };
        assert_eq!(targets(), (vec![], 0));
        std::fs::write(&file, r#"[{"targets": ["a:1"], "labels": {"env": "x"}}]"#).expect("written");
        assert_eq!(targets(), (vec!["a:1".to_owned()], 0));
        std::fs::write(&file, r#"[{"targets": ["a:1", "b:2"]"#).expect("written");
        assert_eq!(targets(), (vec!["a:1".to_owned()], 1));
        std::fs::write(&file, r#"[{"targets": ["a:1", "b:22"]}]"#).expect("written");
        assert_eq!(targets(), (vec!["a:1".to_owned(), "b:22".to_owned()], 0));
        std::fs::remove_file(&file).expect("removed");
        assert_eq!(targets(), (vec![], 0));
    }
}
