//! Tickets that the autoscaler opens about a service, and resolves.

use vocab::PortResult;
use vocab::ports::catalog::TicketFilter;
use vocab::ticket::{Ticket, TicketEntry, TicketState};

use crate::policy::Policy;
use crate::service_loop::Shared;

/// What a ticket says.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    /// What it is about: with the service it makes the key under which there is one open ticket at most.
    pub(crate) what: &'a str,
    pub(crate) title: String,
    pub(crate) severity: &'a str,
    /// First entry of the timeline.
    pub(crate) text: &'a str,
    /// Queries that show it.
    pub(crate) evidence: Vec<String>,
}

impl Shared {
    /// Opens a ticket about a policy's service; an open one of the same key gets the text as an entry.
    ///
    /// # Errors
    /// What the catalog answers.
    pub(crate) async fn open_ticket(&self, policy: &Policy, draft: Draft<'_>) -> PortResult<()> {
        let now = self.clock.now_ms();
        let ticket = Ticket {
            id: 0,
            dedup_key: key(policy, draft.what),
            title: draft.title,
            severity: draft.severity.into(),
            service: policy.service.clone(),
            state: TicketState::Open,
            owner: String::new(),
            opened_at_ms: now,
            updated_at_ms: now,
            resolved_at_ms: None,
            timeline: vec![entry(now, draft.text)],
            evidence: draft.evidence,
        };
        self.catalog.open_ticket(&self.tenant, &ticket).await.map(|_opened| ())
    }

    /// Resolves the open tickets about a policy's service and `what`.
    ///
    /// # Errors
    /// What the catalog answers.
    pub(crate) async fn resolve_tickets(&self, policy: &Policy, what: &str, text: &str) -> PortResult<()> {
        let filter = TicketFilter {
            states: vec![TicketState::Open, TicketState::Acknowledged],
            dedup_key: Some(key(policy, what)),
            ..TicketFilter::default()
        };
        let entry = entry(self.clock.now_ms(), text);
        for ticket in self.catalog.tickets(&self.tenant, &filter).await? {
            self.catalog.update_ticket(&self.tenant, ticket.id, Some(TicketState::Resolved), None, &entry).await?;
        }
        Ok(())
    }
}

fn key(policy: &Policy, what: &str) -> String {
    format!("autoscaler/{}/{}/{what}", policy.cluster, policy.service)
}

fn entry(time_ms: i64, text: &str) -> TicketEntry {
    TicketEntry { time_ms, actor: "tidewatch".into(), text: text.to_owned() }
}
