//! The supervisor of one service: brings what runs in line with what is wanted, a short step at a time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;

use nix::sys::signal::Signal;
use parking_lot::Mutex;
use vocab::ports::Catalog;
use vocab::{Clock, PortResult, TimestampMs};

use super::launch;
use super::proc_files;
use super::spec::ProcessService;
use super::table::{NAMESPACE, Phase, ProcessKey, Row, Table};
use crate::orchestrator::OrchestratorEvent;
use crate::policy::ms;

/// Wait before the first restart, in milliseconds; doubled with each death in a row.
const BACKOFF_MS: i64 = 500;
/// Longest wait before a restart, in milliseconds.
const BACKOFF_MS_MAX: i64 = 60_000;
/// A replica that ran for this long, in milliseconds, dies anew when it dies.
const SETTLED_MS: i64 = 60_000;
/// Most events that wait to be taken.
const EVENTS_MAX: usize = 256;
/// Output files are looked at once in this many steps.
const OUTPUT_LOOK_STEPS: u64 = 50;

/// One service and its processes.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) spec: ProcessService,
    pub(crate) table: Table,
    key: String,
    boot_id: String,
    output_dir: PathBuf,
    children: HashMap<String, Child>,
    released: HashSet<String>,
    ready: HashSet<String>,
    saved: Option<Table>,
    steps: u64,
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    events: Arc<Mutex<VecDeque<OrchestratorEvent>>>,
}

impl Supervisor {
    /// Reads the table and adopts what still runs.
    pub(crate) async fn open(
        spec: ProcessService,
        cluster: &str,
        output_dir: PathBuf,
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
        events: Arc<Mutex<VecDeque<OrchestratorEvent>>>,
    ) -> PortResult<Self> {
        let key = format!("{cluster}/{}", spec.name);
        let stored = catalog.document(NAMESPACE, &key).await?;
        let known = stored.and_then(|d| serde_json::from_value::<Table>(d.value).ok());
        let is_known = known.is_some();
        let mut table = known.unwrap_or_default();
        if !is_known || !spec.is_scaled {
            table.wanted = spec.replicas;
        }
        let output_dir = output_dir.join(&spec.name);
        let mut supervisor = Self {
            spec,
            table,
            key,
            boot_id: proc_files::boot_id(),
            output_dir,
            children: HashMap::new(),
            released: HashSet::new(),
            ready: HashSet::new(),
            saved: None,
            steps: 0,
            catalog,
            clock,
            events,
        };
        supervisor.adopt();
        supervisor.save().await?;
        Ok(supervisor)
    }

    /// Finds the processes of the table again; what is gone is started anew.
    fn adopt(&mut self) {
        let now = self.clock.now_ms();
        let mut adopted = 0u32;
        for row in &mut self.table.rows {
            let alive = row.process.take().filter(|p| proc_files::is_alive(p, &self.boot_id));
            // Started, but the end came before its number was written down.
            row.process = alive.or_else(|| proc_files::find_by_token(&row.token, &self.boot_id));
            match (&row.process, row.phase) {
                (Some(_), Phase::Due) => row.phase = Phase::Running,
                (None, Phase::Running) => (row.phase, row.not_before_ms) = (Phase::Due, now),
                _ => {}
            }
            adopted += u32::from(row.process.is_some());
        }
        self.table.rows.retain(|r| r.process.is_some() || r.phase == Phase::Due);
        if adopted > 0 {
            tracing::info!(service = self.spec.name, adopted, "adopted running replicas");
        }
    }

    /// One step. The table is saved before anything is started and after anything has changed.
    pub(crate) async fn step(&mut self) -> PortResult<()> {
        let now = self.clock.now_ms();
        self.steps += 1;
        self.bury(now);
        self.match_wanted(now);
        self.let_go(now);
        self.prepare(now);
        self.save().await?;
        self.launch(now);
        if self.steps.is_multiple_of(OUTPUT_LOOK_STEPS) {
            for row in &self.table.rows {
                if let Err(error) = launch::bound_output(&self.output_dir, &row.id) {
                    tracing::warn!(replica = row.id, %error, "its output file could not be emptied");
                }
            }
        }
        self.save().await
    }

    /// Notices processes that have ended.
    fn bury(&mut self, now: TimestampMs) {
        let mut rows = std::mem::take(&mut self.table.rows);
        rows.retain_mut(|row| {
            let Some(process) = &row.process else { return row.phase == Phase::Due };
            let ending = match self.children.get_mut(&row.id).map(Child::try_wait) {
                Some(Ok(Some(status))) => status.to_string(),
                Some(Ok(None)) => return true,
                _ if proc_files::is_alive(process, &self.boot_id) => return true,
                _ => {
                    launch::reap(process);
                    "end not seen".to_owned()
                }
            };
            self.children.remove(&row.id);
            self.ready.remove(&row.id);
            row.process = None;
            if row.phase != Phase::Running {
                self.released.remove(&row.id);
                launch::remove_output(&self.output_dir, &row.id);
                return false;
            }
            if now.saturating_sub(row.started_at_ms) >= SETTLED_MS {
                row.deaths = 0;
            }
            self.back_off(row, now, &format!("died ({ending})"));
            true
        });
        self.table.rows = rows;
    }

    /// Lets a replica wait for its next start.
    fn back_off(&self, row: &mut Row, now: TimestampMs, what: &str) {
        row.deaths = row.deaths.saturating_add(1);
        let wait_ms = BACKOFF_MS.saturating_mul(1 << (row.deaths - 1).min(16)).min(BACKOFF_MS_MAX);
        row.phase = Phase::Due;
        row.since_ms = now;
        row.not_before_ms = now + wait_ms;
        #[allow(clippy::cast_precision_loss, reason = "only shown")]
        let wait_seconds = wait_ms as f64 / 1000.0;
        let summary = format!("{what}, started again in {wait_seconds} s");
        tracing::warn!(service = self.spec.name, replica = row.id, "{summary}");
        let mut events = self.events.lock();
        if events.len() >= EVENTS_MAX {
            events.pop_front();
        }
        events.push_back(OrchestratorEvent {
            time_ms: now,
            service: self.spec.name.clone(),
            replica: row.id.clone(),
            summary,
        });
    }

    /// Adds or lets leave.
    fn match_wanted(&mut self, now: TimestampMs) {
        while self.table.num_staying() < self.table.wanted {
            // One that has not been told to end yet serves at once.
            let is_free = |row: &&mut Row| row.phase == Phase::Draining && !self.released.contains(&row.id);
            if let Some(row) = self.table.rows.iter_mut().find(is_free) {
                row.phase = Phase::Running;
                row.since_ms = now;
                continue;
            }
            self.table.add(&self.spec.name, now);
        }
        while self.table.num_staying() > self.table.wanted {
            let Some(index) = self.table.next_to_leave(|row| self.ready.contains(&row.id)) else { break };
            if self.table.rows[index].process.is_none() {
                self.table.rows.remove(index);
            } else {
                self.table.rows[index].phase = Phase::Draining;
                self.table.rows[index].since_ms = now;
            }
        }
    }

    /// Ends what is drained, and forces what does not end.
    fn let_go(&mut self, now: TimestampMs) {
        for row in &mut self.table.rows {
            let Some(process) = &row.process else { continue };
            let waited_ms = now.saturating_sub(row.since_ms);
            match row.phase {
                Phase::Draining if self.released.contains(&row.id) || waited_ms >= ms(self.spec.drain_timeout) => {
                    launch::signal(process, &self.boot_id, Signal::SIGTERM);
                    row.phase = Phase::Stopping;
                    row.since_ms = now;
                }
                Phase::Stopping if waited_ms >= ms(self.spec.stop_grace) => {
                    launch::signal(process, &self.boot_id, Signal::SIGKILL);
                }
                _ => {}
            }
        }
    }

    /// Chooses ports for what is about to start.
    fn prepare(&mut self, now: TimestampMs) {
        if !self.spec.has_port() {
            return;
        }
        let taken: HashSet<u16> = self.table.rows.iter().filter_map(|r| r.port).collect();
        for row in self.table.rows.iter_mut().filter(|r| r.phase == Phase::Due && r.not_before_ms <= now) {
            if row.port.is_some_and(launch::is_free) {
                continue;
            }
            // A port of a replica that is just starting is free to bind and yet taken.
            row.port = (0..16).find_map(|_| launch::free_port().ok().filter(|p| !taken.contains(p)));
        }
    }

    fn launch(&mut self, now: TimestampMs) {
        let mut rows = std::mem::take(&mut self.table.rows);
        for row in rows.iter_mut().filter(|r| r.phase == Phase::Due && r.not_before_ms <= now) {
            if row.port.is_none() && self.spec.has_port() {
                self.back_off(row, now, "no free port was found");
                continue;
            }
            match launch::start(&self.spec, row, &self.output_dir) {
                Ok(child) => {
                    let pid = child.id();
                    let start_ticks = proc_files::stat(pid).map_or(0, |s| s.start_ticks);
                    row.process = Some(ProcessKey { pid, start_ticks, boot_id: self.boot_id.clone() });
                    row.phase = Phase::Running;
                    row.started_at_ms = now;
                    row.since_ms = now;
                    self.children.insert(row.id.clone(), child);
                }
                Err(error) => self.back_off(row, now, &format!("could not be started ({error})")),
            }
        }
        self.table.rows = rows;
    }

    /// Writes the table when it has changed.
    pub(crate) async fn save(&mut self) -> PortResult<()> {
        if self.saved.as_ref() == Some(&self.table) {
            return Ok(());
        }
        // Rows hold plain numbers and strings, which always have a JSON form.
        let value = serde_json::to_value(&self.table).unwrap_or_default();
        self.catalog.put_document(NAMESPACE, &self.key, &value, None).await?;
        self.saved = Some(self.table.clone());
        Ok(())
    }

    /// Notes which replicas pass their check, so that others leave first.
    pub(crate) fn note_ready(&mut self, ready: HashSet<String>) {
        self.ready = ready;
    }

    /// Lets a running replica drain and leave, and puts a new one in its place at once; `false` when there is none.
    pub(crate) fn replace(&mut self, id: &str) -> bool {
        let now = self.clock.now_ms();
        let Some(row) = self.table.rows.iter_mut().find(|r| r.id == id && r.phase == Phase::Running) else {
            return false;
        };
        row.phase = Phase::Draining;
        row.since_ms = now;
        self.table.add(&self.spec.name, now);
        self.table.version += 1;
        true
    }

    /// Lets drained replicas end.
    pub(crate) fn release(&mut self, replicas: &[String]) {
        self.released.extend(replicas.iter().filter(|id| self.table.rows.iter().any(|r| r.id == **id)).cloned());
    }

    /// Ends everything at once and forgets the table once nothing runs; `true` when that is so.
    pub(crate) async fn stop_step(&mut self) -> PortResult<bool> {
        let now = self.clock.now_ms();
        for row in &mut self.table.rows {
            if let Some(process) = row.process.as_ref().filter(|_| row.phase != Phase::Stopping) {
                launch::signal(process, &self.boot_id, Signal::SIGTERM);
                row.phase = Phase::Stopping;
                row.since_ms = now;
            }
        }
        self.table.rows.retain(|r| r.process.is_some());
        self.bury(now);
        self.let_go(now);
        if self.table.rows.is_empty() {
            self.catalog.delete_document(NAMESPACE, &self.key).await?;
            return Ok(true);
        }
        Ok(false)
    }
}
