//! An orchestrator in memory: replicas become ready when a test says so, or at once.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::error::OrchestratorError;
use crate::orchestrator::{Orchestrator, OrchestratorEvent, Replica, Room, ScaleChange, ServiceState};

#[derive(Debug, Default)]
struct Inner {
    services: BTreeMap<String, ServiceState>,
    next_number: u64,
    silent: bool,
    refusals: u32,
    busy: u32,
    holds: Option<u32>,
    unready: bool,
    lost_answers: u32,
    hanging: bool,
    calls: u32,
    fixed: bool,
}

/// Keeps services in memory.
#[derive(Debug, Default)]
pub struct FakeOrchestrator {
    inner: Mutex<Inner>,
}

impl FakeOrchestrator {
    /// An orchestrator with services and their replicas, all ready.
    pub fn new(services: &[(&str, u32)]) -> Self {
        let fake = Self::default();
        for (name, replicas) in services {
            let mut inner = fake.inner.lock();
            inner.services.insert((*name).to_owned(), ServiceState::default());
            set(&mut inner, name, *replicas);
        }
        fake
    }

    /// Lets it answer nothing (or again).
    pub fn set_silent(&self, silent: bool) {
        self.inner.lock().silent = silent;
    }

    /// Lets it refuse the next changes.
    pub fn refuse(&self, times: u32) {
        self.inner.lock().refusals = times;
    }

    /// Lets it say that it has room for so many replicas of a service in all.
    pub fn set_room(&self, holds: Option<u32>) {
        self.inner.lock().holds = holds;
    }

    /// Lets it be busy with something else at the next changes.
    pub fn be_busy(&self, times: u32) {
        self.inner.lock().busy = times;
    }

    /// Lets it take questions and never answer them (or answer again).
    pub fn set_hanging(&self, hanging: bool) {
        self.inner.lock().hanging = hanging;
    }

    /// Lets it have no way to replace single replicas.
    pub fn fix_replicas(&self) {
        self.inner.lock().fixed = true;
    }

    /// Lets it take the next changes without an answer that arrives.
    pub fn lose_answers(&self, times: u32) {
        self.inner.lock().lost_answers = times;
    }

    /// Whether new replicas stay unready.
    pub fn set_unready(&self, unready: bool) {
        let mut inner = self.inner.lock();
        inner.unready = unready;
        if !unready {
            inner.services.values_mut().flat_map(|s| &mut s.replicas).for_each(|r| r.ready = true);
        }
    }

    /// Sets a number of replicas as someone else would.
    pub fn set_by_hand(&self, service: &str, replicas: u32) {
        set(&mut self.inner.lock(), service, replicas);
    }

    /// Changes asked for since the start.
    pub fn num_calls(&self) -> u32 {
        self.inner.lock().calls
    }

    fn check(inner: &Inner) -> Result<(), OrchestratorError> {
        if inner.silent { Err(Self::unreachable()) } else { Ok(()) }
    }

    fn unreachable() -> OrchestratorError {
        let source = Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        OrchestratorError::Unreachable { orchestrator: "fake", endpoint: "memory".into(), source }
    }
}

fn set(inner: &mut Inner, name: &str, replicas: u32) {
    let ready = !inner.unready;
    let Some(state) = inner.services.get_mut(name) else { return };
    state.wanted = replicas;
    state.version += 1;
    let wanted = usize::try_from(replicas).unwrap_or(usize::MAX);
    state.replicas.truncate(wanted);
    while state.replicas.len() < wanted {
        inner.next_number += 1;
        state.replicas.push(Replica { id: format!("{name}-{}", inner.next_number), ready, ..Replica::default() });
    }
}

#[async_trait]
impl Orchestrator for FakeOrchestrator {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn cluster(&self) -> &str {
        "local"
    }

    async fn services(&self) -> Result<Vec<String>, OrchestratorError> {
        let inner = self.inner.lock();
        Self::check(&inner)?;
        Ok(inner.services.keys().cloned().collect())
    }

    async fn state(&self, service: &str) -> Result<ServiceState, OrchestratorError> {
        if self.inner.lock().hanging {
            std::future::pending::<()>().await;
        }
        let inner = self.inner.lock();
        Self::check(&inner)?;
        let unknown = || OrchestratorError::UnknownService { orchestrator: "fake", service: service.to_owned() };
        inner.services.get(service).cloned().ok_or_else(unknown)
    }

    async fn scale(&self, service: &str, change: ScaleChange) -> Result<(), OrchestratorError> {
        let found = self.state(service).await?.wanted;
        let mut inner = self.inner.lock();
        inner.calls += 1;
        if inner.refusals > 0 {
            inner.refusals -= 1;
            let message = "no quota left".to_owned();
            return Err(OrchestratorError::Refused { orchestrator: "fake", status: 422, message });
        }
        if inner.busy > 0 {
            inner.busy -= 1;
            return Err(OrchestratorError::Busy {
                service: service.to_owned(),
                reason: "a rollout is under way".into(),
            });
        }
        if !change.is_due(service, found)? {
            return Ok(());
        }
        set(&mut inner, service, change.to);
        if inner.lost_answers > 0 {
            inner.lost_answers -= 1;
            return Err(Self::unreachable());
        }
        Ok(())
    }

    async fn replace(&self, service: &str, replica: &str) -> Result<(), OrchestratorError> {
        let wanted = self.state(service).await?.wanted;
        let mut inner = self.inner.lock();
        if inner.fixed {
            return Err(OrchestratorError::NotReplaceable { reason: "they all hang together".into() });
        }
        if let Some(state) = inner.services.get_mut(service) {
            state.replicas.retain(|r| r.id != replica);
        }
        set(&mut inner, service, wanted);
        Ok(())
    }

    async fn room(&self, service: &str) -> Result<Option<Room>, OrchestratorError> {
        let inner = self.inner.lock();
        Self::check(&inner)?;
        let wanted = inner.services.get(service).map_or(0, |s| s.wanted);
        let room = |holds: u32| Room { more: holds.saturating_sub(wanted), reason: format!("it holds {holds} in all") };
        Ok(inner.holds.map(room))
    }

    async fn release(&self, _service: &str, _replicas: &[String]) {}

    fn take_events(&self) -> Vec<OrchestratorEvent> {
        Vec::new()
    }
}
