//! `tidewatch k8s-manifest`: what makes a Kubernetes cluster ask Tidewatch for its metrics.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// The objects as YAML. `ca_file` is the PEM authority of the certificate in section `metrics_api`.
///
/// # Errors
/// The file cannot be read, or has no certificate.
pub fn run(ca_file: &Path, service: &str, namespace: &str, port: u16) -> Result<String> {
    let authority = std::fs::read_to_string(ca_file).with_context(|| format!("--ca-file {}", ca_file.display()))?;
    if !authority.contains("-----BEGIN CERTIFICATE-----") {
        bail!("--ca-file {} has no PEM certificate", ca_file.display());
    }
    Ok(autoscaler::metrics_api::manifest(service, namespace, port, authority.as_bytes()))
}
