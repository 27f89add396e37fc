//! What the metrics APIs ask of a cluster: who its proxy is, and which pods a selector means.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use vocab::Clock;
use vocab::error::chain;

use super::client::Client;
use super::config::{KubernetesConfig, is_object_name};
use super::pods;
use super::selector::Selector;
use crate::metrics_api::{ObjectNames, Trust};
use crate::orchestrators::retry::with_retries;

/// Where a cluster says who may speak for its users.
const AUTHENTICATION: &str = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

/// Reads from a cluster.
#[derive(Debug)]
pub struct ClusterReader {
    client: Client,
    clock: Arc<dyn Clock>,
}

impl ClusterReader {
    /// A reader; nothing is asked before it is used.
    pub fn new(config: KubernetesConfig, clock: Arc<dyn Clock>) -> Self {
        Self { client: Client::new(config, Arc::clone(&clock)), clock }
    }

    /// The authority and the names of the API server's proxy.
    ///
    /// # Errors
    /// A sentence that says what could not be read.
    pub async fn front_proxy(&self) -> Result<Trust, String> {
        let read = || self.client.get::<Value>(AUTHENTICATION, "a ConfigMap");
        let map = with_retries(self.clock.as_ref(), read).await.map_err(|e| {
            format!(
                "who the API server's proxy is cannot be read from extension-apiserver-authentication: {}",
                chain(&e)
            )
        })?;
        let text = |key: &str| map["data"][key].as_str().filter(|t| !t.is_empty());
        let authorities = text("requestheader-client-ca-file").ok_or(
            "extension-apiserver-authentication has no requestheader-client-ca-file: the API server has no aggregator",
        )?;
        let allowed_names = match text("requestheader-allowed-names") {
            None => Vec::new(),
            Some(list) => {
                serde_json::from_str(list).map_err(|_| "requestheader-allowed-names is no list".to_owned())?
            }
        };
        Ok(Trust { authorities: authorities.as_bytes().to_vec(), allowed_names })
    }
}

#[async_trait]
impl ObjectNames for ClusterReader {
    async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<String>, String> {
        if !is_object_name(namespace) || Selector::parse(selector).is_none() {
            return Err("the namespace or the selector cannot be read".to_owned());
        }
        let list = || pods::list(&self.client, namespace, Some(selector));
        let (pods, _) = with_retries(self.clock.as_ref(), list).await.map_err(|e| chain(&e))?;
        Ok(pods.into_iter().filter(|p| !p.has_ended).map(|p| p.name).collect())
    }
}
