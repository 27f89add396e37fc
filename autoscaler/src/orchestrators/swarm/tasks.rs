//! Tasks as `GET /tasks` gives them.

use std::net::IpAddr;

use serde_json::Value;
use vocab::TimestampMs;

/// What matters of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) slot: u64,
    pub(crate) node: String,
    pub(crate) is_running: bool,
    /// Whether it ended by itself.
    pub(crate) has_failed: bool,
    /// Whether Swarm wants it gone.
    pub(crate) is_leaving: bool,
    /// Whether it has reached its end.
    has_ended: bool,
    pub(crate) container: Option<String>,
    pub(crate) overlay_address: Option<IpAddr>,
    pub(crate) started_at_ms: Option<TimestampMs>,
    pub(crate) note: String,
}

/// States in which a task no longer runs.
const ENDED: [&str; 6] = ["complete", "failed", "shutdown", "rejected", "orphaned", "remove"];

impl Task {
    /// Whether it runs, will run, or still has to leave.
    pub(crate) fn is_alive(&self) -> bool {
        !self.has_ended && (self.is_running || !self.is_leaving)
    }

    /// The name Docker gives its container: `web.2.t3jx…`.
    pub(crate) fn replica_id(&self, service: &str) -> String {
        format!("{service}.{}.{}", self.slot, self.id)
    }
}

/// Reads a list of tasks; entries that are not tasks are left out.
pub(crate) fn parse(list: &Value) -> Vec<Task> {
    list.as_array().map(|tasks| tasks.iter().filter_map(parse_one).collect()).unwrap_or_default()
}

fn parse_one(task: &Value) -> Option<Task> {
    let status = &task["Status"];
    let state = status["State"].as_str()?;
    let is_running = state == "running";
    let text = |value: &Value| value.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let note = text(&status["Err"]).or_else(|| text(&status["Message"])).unwrap_or_default();
    Some(Task {
        id: task["ID"].as_str()?.to_owned(),
        slot: task["Slot"].as_u64().unwrap_or(0),
        node: task["NodeID"].as_str().unwrap_or_default().to_owned(),
        is_running,
        has_failed: matches!(state, "failed" | "rejected" | "orphaned" | "complete"),
        is_leaving: matches!(task["DesiredState"].as_str(), Some("shutdown" | "remove")),
        has_ended: ENDED.contains(&state),
        container: text(&status["ContainerStatus"]["ContainerID"]),
        overlay_address: overlay_address(task),
        started_at_ms: is_running
            .then(|| status["Timestamp"].as_str()?.parse::<jiff::Timestamp>().ok())
            .flatten()
            .map(jiff::Timestamp::as_millisecond),
        note: if is_running { String::new() } else { note },
    })
}

/// The task's address on its first network that is not the ingress one.
fn overlay_address(task: &Value) -> Option<IpAddr> {
    let networks = task["NetworksAttachments"].as_array()?;
    let is_ingress = |n: &Value| n["Network"]["Spec"]["Ingress"].as_bool() == Some(true);
    networks.iter().filter(|n| !is_ingress(n)).find_map(|network| {
        let address = network["Addresses"].as_array()?.first()?.as_str()?;
        address.split('/').next()?.parse().ok()
    })
}

/// The address of an inspected container: its bridge's, else the first there is.
pub(crate) fn bridge_address(container: &Value) -> Option<IpAddr> {
    let networks = container["NetworkSettings"]["Networks"].as_object()?;
    let address = |network: &Value| network["IPAddress"].as_str()?.parse().ok();
    let not_ingress = networks.iter().filter(|n| n.0 != "ingress").find_map(|n| address(n.1));
    networks.get("bridge").and_then(address).or(not_ingress)
}
