//! `tidewatch policy`: lists, shows, keeps and removes scaling policies of a running Tidewatch.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cli::{OutputFormat, PolicyCommand, Server};
use crate::client::Client;

/// Carries out a subcommand and gives the text to print.
///
/// # Errors
/// When there is no answer, the file cannot be read, or a policy is refused; all mistakes are in the message.
pub async fn run(command: &PolicyCommand) -> Result<String> {
    match command {
        PolicyCommand::Import { file, flags } => crate::policy_import::run(file.as_deref(), flags),
        PolicyCommand::Apply { file, server } => apply(server, file).await,
        PolicyCommand::List { server, format } => list(server, *format).await,
        PolicyCommand::Get { name, server } => {
            let answer = Client::new(server)?.get(&format!("/api/v1/scaling/policies/{name}")).await?;
            Ok(serde_json::to_string_pretty(&answer)?)
        }
        PolicyCommand::Delete { name, server } => {
            Client::new(server)?.delete(&format!("/api/v1/scaling/policies/{name}")).await?;
            Ok(format!("policy {name} is removed"))
        }
    }
}

async fn apply(server: &Server, file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let policies = policies(&text).with_context(|| file.display().to_string())?;
    let client = Client::new(server)?;
    let mut said = Vec::new();
    let mut refused = Vec::new();
    let mut waiting = policies;
    // A policy may need another one of the same file: those that are refused are tried again as long as any is taken.
    while !waiting.is_empty() {
        let before = waiting.len();
        refused.clear();
        let mut again = Vec::new();
        for (name, policy) in waiting {
            match client.put(&format!("/api/v1/scaling/policies/{name}"), &policy).await {
                Ok(answer) => said.push(format!("policy {name} is kept as version {}", answer["policy"]["version"])),
                Err(error) => {
                    refused.push(format!("{error:#}"));
                    again.push((name, policy));
                }
            }
        }
        if again.len() == before {
            break;
        }
        waiting = again;
    }
    if refused.is_empty() {
        return Ok(said.join("\n"));
    }
    said.append(&mut refused);
    bail!("{}", said.join("\n"))
}

/// The policies of a file, each with its name: one policy, a list of them, or a section `autoscaling`.
fn policies(text: &str) -> Result<Vec<(String, Value)>> {
    let value: Value = serde_saphyr::from_str(text).context("not YAML")?;
    let list = match value {
        Value::Array(list) => list,
        Value::Object(mut map) if map.contains_key("autoscaling") => match map.remove("autoscaling") {
            Some(Value::Array(list)) if map.is_empty() => list,
            Some(Value::Array(_)) => {
                let others: Vec<String> = map.keys().cloned().collect();
                bail!(
                    "only policies can be applied, not {}; those sections stand in the configuration file",
                    others.join(", ")
                )
            }
            _ => bail!("autoscaling: want a list of policies"),
        },
        policy => vec![policy],
    };
    let named = |policy: Value| {
        let name = ["name", "service"].into_iter().find_map(|key| policy[key].as_str()).map(str::to_owned);
        let name = name.context("a policy without a service; want {service: web, max: 8, targets: […]}")?;
        Ok((name, policy))
    };
    list.into_iter().map(named).collect()
}

async fn list(server: &Server, format: OutputFormat) -> Result<String> {
    let answer = Client::new(server)?.get("/api/v1/scaling/policies").await?;
    if format == OutputFormat::Json {
        return Ok(serde_json::to_string_pretty(&answer["policies"])?);
    }
    let mut rows = vec![["POLICY", "SERVICE", "VERSION", "FROM", "PROBLEM"].map(str::to_owned)];
    for policy in answer["policies"].as_array().into_iter().flatten() {
        let from_file = policy["from_file"].as_bool() == Some(true);
        let text = |key: &str| policy[key].as_str().unwrap_or_default().to_owned();
        let version = if from_file { "-".to_owned() } else { policy["version"].to_string() };
        let from = if from_file { "file".to_owned() } else { text("actor") };
        rows.push([text("name"), text("service"), version, from, text("problem")]);
    }
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let line = |row: &[String; 5]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}  {}", cells.join("  "), row[4]).trim_end().to_owned()
    };
    Ok(rows.iter().map(line).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_policy_a_list_or_a_section() {
        let names = |text: &str| policies(text).map(|p| p.into_iter().map(|p| p.0).collect::<Vec<_>>());
        for (text, expect) in [
            ("service: web\nmax: 3", vec!["web"]),
            ("[{service: web, name: front}, {service: shop}]", vec!["front", "shop"]),
            ("autoscaling: [{service: web}]", vec!["web"]),
        ] {
            assert_eq!(names(text).expect(text), expect);
        }
        for (text, expect) in [
            ("process: [{name: web}]\nautoscaling: []", "not process"),
            ("max: 3", "without a service"),
            ("autoscaling: 3", "want a list"),
            ("a: [", "not YAML"),
        ] {
            let error = format!("{:#}", names(text).expect_err(text));
            assert!(error.contains(expect), "{error}");
        }
    }
}
