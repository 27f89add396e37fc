//! `tidewatch policy import`: policies of other scalers made into ours.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use autoscaler::import;

/// Largest input: some thousand objects.
const INPUT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Imports a file (`-` is standard input), or the flags of marathon-lb-autoscale when there is none, and gives what is printed.
///
/// # Errors
/// The file cannot be read, or nothing in it can be imported.
pub fn run(file: Option<&Path>, flags: &[String]) -> Result<String> {
    let Some(file) = file else {
        return Ok(import::from_flags(flags)?.to_yaml());
    };
    let read =
        if file.as_os_str() == "-" { read(std::io::stdin().lock()) } else { std::fs::File::open(file).and_then(read) };
    let text = read.with_context(|| format!("{} cannot be read", file.display()))?;
    if u64::try_from(text.len()).is_ok_and(|size| size > INPUT_BYTES_MAX) {
        bail!("{} has more than {INPUT_BYTES_MAX} bytes", file.display());
    }
    Ok(import::from_text(&text).with_context(|| file.display().to_string())?.to_yaml())
}

fn read(input: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    input.take(INPUT_BYTES_MAX + 1).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, PolicyCommand};

    fn import(line: &str) -> Option<Result<String>> {
        let cli = Cli::try_parse_from(line.split(' ')).ok()?;
        match cli.command {
            Some(Command::Policy { command: PolicyCommand::Import { file, flags } }) => {
                Some(run(file.as_deref(), &flags))
            }
            _ => None,
        }
    }

    #[test]
    fn flags_and_files_are_imported() {
        let flags = import("tidewatch policy import -- --apps nginx_10000 --target-rps 100").expect("flags");
        assert!(flags.expect("imported").contains("service: \"nginx\""));
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("hpa.yaml");
        let hpa = "{kind: HorizontalPodAutoscaler, apiVersion: autoscaling/v1, metadata: {name: web}, spec: {maxReplicas: 4, scaleTargetRef: {name: web}}}";
        std::fs::write(&path, hpa).expect("written");
        let line = format!("tidewatch policy import {}", path.display());
        assert!(import(&line).expect("a file").expect("imported").contains("max: 4"));
        std::fs::write(&path, "kind: Pod").expect("written");
        let error = import(&line).expect("a file").expect_err("a pod");
        assert!(format!("{error:#}").contains("no HorizontalPodAutoscaler"), "{error:#}");
        assert!(import("tidewatch policy import").is_none());
    }
}
