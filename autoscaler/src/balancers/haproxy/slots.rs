//! Slots and the plan to bring them in line with the replicas: pure.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::orchestrator::Replica;

/// Bits of `srv_admin_state` that mean maintenance (forced, inherited, by the resolver). 0x04 only says that the
/// configuration once asked for it, and stays when the server is opened.
const ADMIN_MAINT: u32 = 0x01 | 0x02 | 0x20;
/// Bits that mean drain (forced, inherited).
const ADMIN_DRAIN: u32 = 0x08 | 0x10;
/// `srv_op_state` of a server that is fully up.
const OP_RUNNING: u32 = 2;

/// One server of the backend that was made by the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) admin_state: u32,
    pub(crate) op_state: u32,
    /// Sessions it has now, waiting ones included.
    pub(crate) sessions: u32,
}

impl Slot {
    /// Whether it takes no load at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.admin_state & ADMIN_MAINT != 0
    }

    /// Whether it finishes what it has.
    pub(crate) fn is_draining(&self) -> bool {
        !self.is_empty() && self.admin_state & ADMIN_DRAIN != 0
    }

    /// Whether it takes new load.
    fn serves(&self) -> bool {
        !self.is_empty() && !self.is_draining() && self.op_state == OP_RUNNING
    }
}

/// One command to HAProxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Points an empty slot at a replica and opens it.
    Fill { slot: String, replica: String, address: SocketAddr },
    /// Opens a draining slot again.
    Ready { slot: String, replica: String },
    /// Stops new requests.
    Drain { slot: String },
    /// Closes a slot.
    Empty { slot: String },
}

impl Step {
    pub(crate) fn slot(&self) -> &str {
        match self {
            Self::Fill { slot, .. } | Self::Ready { slot, .. } | Self::Drain { slot } | Self::Empty { slot } => slot,
        }
    }

    pub(crate) fn words(&self) -> String {
        match self {
            Self::Fill { slot, replica, address } => format!("{replica} added as {slot} ({address})"),
            Self::Ready { slot, replica } => format!("{replica} is back at {slot}"),
            Self::Drain { slot } => format!("{slot} drains"),
            Self::Empty { slot } => format!("{slot} emptied"),
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SlotPlan {
    pub(crate) steps: Vec<Step>,
    pub(crate) serving: u32,
    pub(crate) drained: Vec<String>,
    pub(crate) unplaced: Vec<String>,
}

/// Reads `show servers state <backend>` and `show stat <backend> 4 -1`; columns are found by their names, since versions add
/// some. Servers that do not carry the prefix are not ours.
pub(crate) fn parse(state: &str, statistics: &str, prefix: &str) -> Vec<Slot> {
    let sessions = sessions_by_server(statistics);
    let mut columns: HashMap<&str, usize> = HashMap::new();
    let mut slots = Vec::new();
    for line in state.lines() {
        if let Some(header) = line.strip_prefix('#') {
            columns = header.split_whitespace().enumerate().map(|(i, name)| (name, i)).collect();
            continue;
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        let field = |name: &str| columns.get(name).and_then(|i| fields.get(*i)).copied();
        let (Some(name), Some(admin), Some(op)) = (field("srv_name"), field("srv_admin_state"), field("srv_op_state"))
        else {
            continue;
        };
        let is_ours = name.strip_prefix(prefix).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let (Ok(admin_state), Ok(op_state)) = (admin.parse(), op.parse()) else { continue };
        if !is_ours {
            continue;
        }
        let ip = field("srv_addr").and_then(|a| a.parse::<IpAddr>().ok());
        let port = field("srv_port").and_then(|p| p.parse::<u16>().ok());
        slots.push(Slot {
            name: name.to_owned(),
            address: ip.zip(port).map(|(ip, port)| SocketAddr::new(ip, port)),
            admin_state,
            op_state,
            sessions: sessions.get(name).copied().unwrap_or(0),
        });
    }
    slots
}

fn sessions_by_server(statistics: &str) -> HashMap<&str, u32> {
    let mut lines = statistics.lines();
    let header = lines.next().unwrap_or("").trim_start_matches("# ");
    let column = |name: &str| header.split(',').position(|c| c == name);
    let (Some(server), Some(current), Some(queued)) = (column("svname"), column("scur"), column("qcur")) else {
        return HashMap::new();
    };
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |index: usize| fields.get(index).and_then(|f| f.parse::<u32>().ok()).unwrap_or(0);
            Some((*fields.get(server)?, number(current).saturating_add(number(queued))))
        })
        .collect()
}

/// Plans one round. `drained_for` says how long each draining slot has been so: zero means that this round is the first to
/// see it, and a slot is not called drained before the next one, since requests may have been on their way.
pub(crate) fn plan(
    slots: &[Slot],
    replicas: &[Replica],
    drained_for: &HashMap<String, Duration>,
    drain_timeout: Duration,
) -> SlotPlan {
    let mut plan = SlotPlan::default();
    let by_address: HashMap<SocketAddr, &Replica> = replicas.iter().filter_map(|r| r.address.map(|a| (a, r))).collect();
    let mut placed: HashSet<&str> = HashSet::new();
    let mut leaving: Vec<(&Slot, Option<&Replica>)> = Vec::new();
    for slot in slots.iter().filter(|s| !s.is_empty()) {
        let replica = slot.address.and_then(|a| by_address.get(&a)).copied();
        match replica {
            Some(replica) if !replica.leaving && placed.insert(&replica.id) => {
                if slot.is_draining() {
                    plan.steps.push(Step::Ready { slot: slot.name.clone(), replica: replica.id.clone() });
                    plan.serving += u32::from(replica.ready);
                } else {
                    plan.serving += u32::from(slot.serves());
                }
            }
            // Leaving, unknown, or a second slot for the same replica.
            other => leaving.push((slot, other.filter(|r| r.leaving))),
        }
    }
    let mut empty = slots.iter().filter(|s| s.is_empty());
    for replica in replicas.iter().filter(|r| r.ready && !r.leaving && !placed.contains(r.id.as_str())) {
        let Some(address) = replica.address else { continue };
        let Some(slot) = empty.next() else {
            plan.unplaced.push(replica.id.clone());
            continue;
        };
        plan.steps.push(Step::Fill { slot: slot.name.clone(), replica: replica.id.clone(), address });
        plan.serving += 1;
    }
    for (slot, replica) in leaving {
        take_away(&mut plan, slot, replica, drained_for, drain_timeout);
    }
    let has_slot = |r: &Replica| slots.iter().any(|s| !s.is_empty() && s.address.is_some() && s.address == r.address);
    plan.drained.extend(replicas.iter().filter(|r| r.leaving && !has_slot(r)).map(|r| r.id.clone()));
    plan
}

/// Drains a slot, and empties it once it has no sessions; the last one that serves stays.
fn take_away(
    plan: &mut SlotPlan,
    slot: &Slot,
    replica: Option<&Replica>,
    drained_for: &HashMap<String, Duration>,
    drain_timeout: Duration,
) {
    if slot.serves() && plan.serving == 0 {
        plan.serving += 1;
        return;
    }
    if !slot.is_draining() {
        plan.steps.push(Step::Drain { slot: slot.name.clone() });
        return;
    }
    let waited = drained_for.get(&slot.name).copied().unwrap_or_default();
    let is_drained = slot.sessions == 0 && !waited.is_zero();
    if is_drained || waited >= drain_timeout {
        match replica {
            // It may stop; its slot is emptied when it is gone, or at the next round.
            Some(replica) => plan.drained.push(replica.id.clone()),
            None => plan.steps.push(Step::Empty { slot: slot.name.clone() }),
        }
    }
}
