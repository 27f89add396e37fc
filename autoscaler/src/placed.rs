//! A service over several clusters, as one orchestrator: its number is the sum, its replicas are those of all clusters.
//!
//! The policy's rounds set the total; a round of its own looks after each cluster and moves replicas between them. A dead
//! cluster delays neither: what it was last seen to run is remembered, and it is asked beside the others.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use vocab::ErrorKind;
use vocab::change_event::{ChangeEvent, ChangeKind};
use vocab::error::chain;
use vocab::ports::catalog::ScalingWrite;
use vocab::scaling::{DecisionState, ScalingDecision, ScalingMode};

use crate::error::OrchestratorError;
use crate::http;
use crate::orchestrator::{Orchestrator, OrchestratorEvent, Replica, Room, ScaleChange, ServiceState};
use crate::placement::{Placement, Places, Seen, is_well, step};
use crate::service_loop::{ACTOR, Shared};

/// Time between rounds.
const INTERVAL: Duration = Duration::from_secs(5);
/// Longest wait for a cluster or a probe.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Namespace of what is remembered.
const NAMESPACE: &str = "autoscaler-placement";
/// The name that placed services have for their orchestrator.
pub(crate) const KIND: &str = "placement";

#[derive(Debug, Default)]
struct Known {
    places: Places,
    /// What each cluster last said.
    states: Vec<Option<ServiceState>>,
    /// Whether the clusters have been looked at.
    looked: bool,
    version: u64,
}

/// One service over several clusters.
#[derive(Debug)]
pub(crate) struct Placed {
    service: String,
    policy: String,
    placement: Placement,
    /// Parallel to the shares.
    members: Vec<Arc<dyn Orchestrator>>,
    shared: Arc<Shared>,
    client: reqwest::Client,
    known: Mutex<Known>,
    /// One round at a time.
    round: tokio::sync::Mutex<()>,
}

impl Placed {
    /// A service whose clusters are not looked at yet.
    pub(crate) fn new(
        service: &str,
        policy: &str,
        placement: Placement,
        members: Vec<Arc<dyn Orchestrator>>,
        shared: Arc<Shared>,
    ) -> Self {
        // The plain client cannot fail to build: it has no TLS, proxy or resolver to set up.
        let client = http::client().timeout(TIMEOUT).build().unwrap_or_default();
        Self {
            service: service.to_owned(),
            policy: policy.to_owned(),
            placement,
            members,
            shared,
            client,
            known: Mutex::default(),
            round: tokio::sync::Mutex::default(),
        }
    }

    /// Rounds until cancelled.
    pub(crate) async fn run(self: Arc<Self>, cancel: CancellationToken) {
        while !cancel.is_cancelled() {
            if self.shared.leader.fence().is_some()
                && let Err(error) = self.look().await
            {
                tracing::warn!(service = self.service, error = chain(&error), "its clusters are left as they are");
            }
            tokio::select! {
                () = self.shared.clock.sleep(INTERVAL) => {}
                () = cancel.cancelled() => {}
            }
        }
    }

    /// Looks at the clusters and brings them in line with what was decided.
    pub(crate) async fn look(&self) -> Result<(), OrchestratorError> {
        let _one_round = self.round.lock().await;
        self.restore().await?;
        let seen = self.see().await;
        let now = self.shared.clock.now_ms();
        let (places, events) = {
            let mut known = self.known.lock();
            if known.places.places.is_empty() {
                // Never placed before: what runs is the total, and who is silent may run anything.
                if let Some(index) = seen.iter().position(|s| s.wanted.is_none()) {
                    let endpoint = self.placement.shares[index].orchestrator.clone();
                    let source = Box::new(std::io::Error::from(std::io::ErrorKind::TimedOut));
                    return Err(OrchestratorError::Unreachable { orchestrator: KIND, endpoint, source });
                }
                known.places.total = seen.iter().filter_map(|s| s.wanted).sum();
            }
            let (places, events) = step(&self.placement, &known.places, &seen, now);
            known.version += u64::from(known.places != places);
            known.places = places.clone();
            known.looked = true;
            (places, events)
        };
        self.keep(&places).await?;
        for event in &events {
            self.tell(event).await;
        }
        self.move_replicas(&places, &seen).await;
        Ok(())
    }

    /// What was remembered before this life.
    async fn restore(&self) -> Result<(), OrchestratorError> {
        if self.known.lock().looked {
            return Ok(());
        }
        let kept = self.shared.catalog.document(NAMESPACE, &self.service).await?;
        if let Some(places) = kept.and_then(|d| serde_json::from_value(d.value).ok()) {
            self.known.lock().places = places;
        }
        Ok(())
    }

    async fn keep(&self, places: &Places) -> Result<(), OrchestratorError> {
        let value = serde_json::to_value(places).unwrap_or_default();
        self.shared.catalog.put_document(NAMESPACE, &self.service, &value, None).await?;
        Ok(())
    }

    /// Asks all clusters and probes at once; who does not answer in time is silent.
    async fn see(&self) -> Vec<Seen> {
        let grows = {
            let known = self.known.lock();
            let runs: u32 = known.states.iter().flatten().map(|s| s.wanted).sum();
            known.places.total > runs
        };
        let asked = self.members.iter().zip(&self.placement.shares).map(|(member, share)| async move {
            let state = async {
                tokio::select! {
                    state = member.state(&self.service) => state.ok(),
                    () = self.shared.clock.sleep(TIMEOUT) => None,
                }
            };
            let room = async {
                // Only who is to run more needs room.
                let more = if grows { self.room_of(member.as_ref()).await } else { None };
                more.map(|room| room.more)
            };
            let probes = futures::future::join_all(share.probes.iter().map(|url| self.probe(url)));
            tokio::join!(state, probes, room)
        });
        let answers = futures::future::join_all(asked).await;
        let seen = answers.iter().map(|(state, probes, room)| {
            let counts = state.as_ref().map(ServiceState::counts);
            Seen {
                well: is_well(counts.is_some(), probes),
                wanted: counts.map(|c| c.wanted),
                ready: counts.map_or(0, |c| c.ready),
                room: *room,
            }
        });
        let seen = seen.collect();
        let mut known = self.known.lock();
        known.states.resize(self.members.len(), None);
        for (kept, (state, ..)) in known.states.iter_mut().zip(answers) {
            // What a silent cluster ran is not forgotten, only not counted while it is lost.
            if state.is_some() {
                *kept = state;
            }
        }
        seen
    }

    /// What a cluster has room for; nothing when it cannot say, or not in time.
    async fn room_of(&self, member: &dyn Orchestrator) -> Option<Room> {
        tokio::select! {
            room = member.room(&self.service) => room.ok().flatten(),
            () = self.shared.clock.sleep(TIMEOUT) => None,
        }
    }

    async fn probe(&self, url: &str) -> bool {
        tokio::select! {
            answer = self.client.get(url).send() => answer.is_ok_and(|a| a.status().is_success()),
            () = self.shared.clock.sleep(TIMEOUT) => false,
        }
    }

    /// Brings each cluster to its target: those that grow first.
    async fn move_replicas(&self, places: &Places, seen: &[Seen]) {
        let mut moves: Vec<(usize, u32, u32)> = Vec::new();
        for (index, (place, seen)) in places.places.iter().zip(seen).enumerate() {
            if let Some(wanted) = seen.wanted.filter(|wanted| !place.lost && *wanted != place.target) {
                moves.push((index, wanted, place.target));
            }
        }
        moves.sort_by_key(|(_, from, to)| to < from);
        // While one cluster cannot grow as it should, no other gives back for its sake.
        let mut grown = true;
        for (index, from, to) in moves {
            if to < from && !grown {
                continue;
            }
            let done = self.move_one(index, from, to).await;
            grown &= done || to < from;
        }
    }

    /// Records a change of one cluster, and then makes it.
    async fn move_one(&self, index: usize, from: u32, to: u32) -> bool {
        let Some(fence) = self.shared.leader.fence() else { return false };
        let share = &self.placement.shares[index];
        let total = self.known.lock().places.total;
        let mut decision = ScalingDecision {
            id: 0,
            time_ms: self.shared.clock.now_ms(),
            // Not the cluster's own name: the service's state is kept under that.
            cluster: format!("{KIND}/{}", share.orchestrator),
            service: self.service.clone(),
            policy: format!("{}/{KIND}", self.policy),
            orchestrator: share.orchestrator.clone(),
            from,
            to,
            ready: 0,
            mode: ScalingMode::Act,
            reason: format!("{from} to {to} in {}: its part of {total} over all clusters", share.orchestrator),
            seen: Vec::new(),
            candidates: Vec::new(),
            guards: Vec::new(),
            state: DecisionState::Recorded,
            result: String::new(),
            acted_at_ms: None,
            finished_at_ms: None,
        };
        let (catalog, tenant) = (&self.shared.catalog, &self.shared.tenant);
        let record = ScalingWrite::Record { decision: &decision, state: &[] };
        match catalog.write_scaling(tenant, record, Some(&fence)).await {
            Ok(id) => decision.id = id,
            Err(error) => {
                if error.kind() == ErrorKind::Conflict {
                    self.shared.leader.overtaken();
                }
                tracing::error!(service = self.service, error = chain(&error), "not moved: it could not be recorded");
                return false;
            }
        }
        let answer = tokio::select! {
            answer = self.members[index].scale(&self.service, ScaleChange { from, to }) => answer.map_err(|e| chain(&e)),
            () = self.shared.clock.sleep(TIMEOUT) => Err("no answer in time".to_owned()),
        };
        let now = self.shared.clock.now_ms();
        decision.finished_at_ms = Some(now);
        match &answer {
            Ok(()) => {
                decision.state = DecisionState::Verified;
                decision.acted_at_ms = Some(now);
                decision.result = format!("taken by {}", share.orchestrator);
            }
            Err(reason) => {
                // The next round looks again, and asks again if it must.
                decision.state = DecisionState::Failed;
                decision.result = format!("not taken by {}: {reason}", share.orchestrator);
            }
        }
        let update = ScalingWrite::Update { decision: &decision, state: None };
        if let Err(error) = catalog.write_scaling(tenant, update, Some(&fence)).await {
            tracing::error!(service = self.service, error = chain(&error), "its outcome could not be written");
        }
        answer.is_ok()
    }

    async fn tell(&self, summary: &str) {
        tracing::warn!(service = self.service, "{summary}");
        let event = ChangeEvent {
            time_ms: self.shared.clock.now_ms(),
            kind: ChangeKind::Membership,
            cluster: String::new(),
            service: self.service.clone(),
            subject: String::new(),
            actor: ACTOR.into(),
            summary: summary.to_owned(),
            details: Default::default(),
        };
        if let Err(error) = self.shared.catalog.record_change(&self.shared.tenant, &event).await {
            tracing::warn!(service = self.service, error = chain(&error), "the change could not be written down");
        }
    }
}

#[async_trait]
impl Orchestrator for Placed {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn cluster(&self) -> &str {
        "*"
    }

    async fn services(&self) -> Result<Vec<String>, OrchestratorError> {
        Ok(vec![self.service.clone()])
    }

    async fn state(&self, service: &str) -> Result<ServiceState, OrchestratorError> {
        if service != self.service {
            return Err(OrchestratorError::UnknownService { orchestrator: KIND, service: service.to_owned() });
        }
        if !self.known.lock().looked {
            self.look().await?;
        }
        let known = self.known.lock();
        let mut replicas: Vec<Replica> = Vec::new();
        for ((share, place), state) in self.placement.shares.iter().zip(&known.places.places).zip(&known.states) {
            for replica in state.iter().flat_map(|s| &s.replicas).filter(|_| !place.lost) {
                // Only a cluster that is well says that its replicas are ready.
                let ready = replica.ready && place.ill_since_ms.is_none();
                replicas.push(Replica {
                    id: format!("{}/{}", share.orchestrator, replica.id),
                    ready,
                    ..replica.clone()
                });
            }
        }
        Ok(ServiceState { version: known.version, wanted: known.places.total, replicas })
    }

    async fn scale(&self, service: &str, change: ScaleChange) -> Result<(), OrchestratorError> {
        let found = self.state(service).await?.wanted;
        if found == change.to {
            return Ok(());
        }
        if found != change.from {
            return Err(OrchestratorError::Conflict { service: service.to_owned(), expected: change.from, found });
        }
        let most: u64 = self.placement.shares.iter().map(|s| u64::from(s.max)).sum();
        if u64::from(change.to) > most {
            let message = format!("all clusters together may hold {most} replicas");
            return Err(OrchestratorError::Refused { orchestrator: KIND, status: 422, message });
        }
        {
            let _one_round = self.round.lock().await;
            let places = {
                let mut known = self.known.lock();
                known.places.total = change.to;
                known.version += 1;
                known.places.clone()
            };
            self.keep(&places).await?;
        }
        self.look().await
    }

    async fn room(&self, _service: &str) -> Result<Option<Room>, OrchestratorError> {
        let rooms = futures::future::join_all(self.members.iter().map(|m| self.room_of(m.as_ref()))).await;
        let places = self.known.lock().places.places.clone();
        let lost = |index: usize| places.get(index).is_some_and(|p| p.lost);
        let mut all = Room { more: 0, reason: String::new() };
        let mut reasons = Vec::new();
        for (index, room) in rooms.into_iter().enumerate().filter(|(index, _)| !lost(*index)) {
            // Where one cluster cannot say, nobody can say of all.
            let Some(room) = room else { return Ok(None) };
            all.more = all.more.saturating_add(room.more);
            reasons.push(format!("{}: {}", self.placement.shares[index].orchestrator, room.reason));
        }
        all.reason = reasons.join(", ");
        Ok(Some(all))
    }

    async fn replace(&self, service: &str, replica: &str) -> Result<(), OrchestratorError> {
        for (share, member) in self.placement.shares.iter().zip(&self.members) {
            if let Some(own) = replica.strip_prefix(&format!("{}/", share.orchestrator)) {
                return member.replace(service, own).await;
            }
        }
        let reason = format!("there is no replica {replica}");
        Err(OrchestratorError::NotScalable { service: service.to_owned(), reason })
    }

    async fn release(&self, service: &str, replicas: &[String]) {
        for (share, member) in self.placement.shares.iter().zip(&self.members) {
            let prefix = format!("{}/", share.orchestrator);
            let own: Vec<String> = replicas.iter().filter_map(|r| r.strip_prefix(&prefix)).map(str::to_owned).collect();
            if !own.is_empty() {
                member.release(service, &own).await;
            }
        }
    }

    fn take_events(&self) -> Vec<OrchestratorEvent> {
        // The clusters' own inventories take them.
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
