//! The targets of one job: discovers, starts and stops their loops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vocab::ports::views::DroppedTarget;

use crate::config::{ScrapeConfig, StaticGroup};
use crate::discovery::{Discovery, look_interval};
use crate::error::SourceError;
use crate::fetch::Fetcher;
use crate::scrape_loop::ScrapeLoop;
use crate::shared::Shared;
use crate::target::{Outcome, Target, TargetState};

/// What a pool shows.
#[derive(Debug, Default)]
pub(crate) struct PoolView {
    pub(crate) active: Mutex<Vec<Arc<TargetState>>>,
    pub(crate) dropped: Mutex<(Vec<DroppedTarget>, u64)>,
}

/// A running pool as the collector holds it.
#[derive(Debug)]
pub(crate) struct PoolHandle {
    pub(crate) config: Arc<ScrapeConfig>,
    pub(crate) view: Arc<PoolView>,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Command {
    /// Go on with another configuration of the same job.
    Reconfigure(Arc<ScrapeConfig>),
    /// End; `true` when the job is gone for good.
    Stop(bool),
}

impl PoolHandle {
    /// Starts a job.
    pub(crate) fn start(shared: &Arc<Shared>, config: ScrapeConfig) -> Self {
        let config = Arc::new(config);
        let view = Arc::new(PoolView::default());
        let (commands, inbox) = mpsc::channel(4);
        let pool = Pool {
            shared: Arc::clone(shared),
            config: Arc::clone(&config),
            view: Arc::clone(&view),
            fetcher: None,
            discovery: Discovery::default(),
            running: HashMap::new(),
        };
        Self { config, view, commands, task: tokio::spawn(pool.run(inbox)) }
    }

    /// Hands over a new configuration; targets that it does not change keep running.
    pub(crate) async fn reconfigure(&mut self, config: ScrapeConfig) {
        if *self.config == config {
            return;
        }
        self.config = Arc::new(config);
        if self.commands.send(Command::Reconfigure(Arc::clone(&self.config))).await.is_err() {
            tracing::error!(job = %self.config.job_name, "the job's task has ended");
        }
    }

    /// Stops all loops and waits for them.
    pub(crate) async fn stop(self, removed: bool) {
        // A closed channel or a failed task has ended already, which is what is wanted.
        let _ended = self.commands.send(Command::Stop(removed)).await;
        let _ended = self.task.await;
    }
}

struct Running {
    target: Target,
    state: Arc<TargetState>,
    stop: CancellationToken,
    removed: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

struct Pool {
    shared: Arc<Shared>,
    config: Arc<ScrapeConfig>,
    view: Arc<PoolView>,
    fetcher: Option<Arc<Fetcher>>,
    discovery: Discovery,
    running: HashMap<u64, Running>,
}

impl Pool {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        loop {
            self.sync().await;
            let command = match look_interval(&self.config) {
                None => inbox.recv().await,
                Some(interval) => tokio::select! {
                    command = inbox.recv() => command,
                    () = self.shared.clock.sleep(interval) => continue,
                },
            };
            match command {
                Some(Command::Reconfigure(config)) => self.reconfigure(config).await,
                Some(Command::Stop(removed)) => return self.stop_all(removed).await,
                None => return self.stop_all(false).await,
            }
        }
    }

    /// Loops whose way of scraping changes are started again; the others stay if their target does.
    async fn reconfigure(&mut self, config: Arc<ScrapeConfig>) {
        let keeps_loops = {
            let mut old = (*self.config).clone();
            old.static_groups.clone_from(&config.static_groups);
            old.file_sd.clone_from(&config.file_sd);
            old.relabel.clone_from(&config.relabel);
            old == *config
        };
        self.config = config;
        if !keeps_loops {
            self.stop_all(false).await;
            self.fetcher = None;
        }
    }

    async fn stop_all(&mut self, removed: bool) {
        let all: Vec<Running> = self.running.drain().map(|(_, r)| r).collect();
        stop_loops(&self.shared, all, removed).await;
        self.view.active.lock().clear();
    }

    /// The groups now; files are read off the runtime, since a network file system may be slow.
    async fn discover(&mut self) -> (Vec<StaticGroup>, Vec<SourceError>) {
        if self.config.file_sd.is_empty() {
            return self.discovery.groups(&self.config);
        }
        let (mut discovery, config) = (std::mem::take(&mut self.discovery), Arc::clone(&self.config));
        let read = tokio::task::spawn_blocking(move || {
            let found = discovery.groups(&config);
            (discovery, found)
        });
        match read.await {
            Ok((discovery, found)) => {
                self.discovery = discovery;
                found
            }
            Err(error) => {
                (Vec::new(), vec![SourceError::Malformed(format!("reading discovery files failed: {error}"))])
            }
        }
    }

    /// Brings the running loops in line with what discovery says.
    async fn sync(&mut self) {
        let (groups, errors) = self.discover().await;
        for error in errors {
            self.shared.metrics.discovery_failures.inc();
            tracing::warn!(job = %self.config.job_name, error = %error, "discovery file not read");
        }
        let mut wanted: HashMap<u64, Target> = HashMap::new();
        let mut dropped = (Vec::new(), 0u64);
        for (group, address) in groups.iter().flat_map(|g| g.targets.iter().map(move |t| (g, t))) {
            match Target::build(&self.config, address, &group.labels) {
                Outcome::Active(target) => {
                    wanted.insert(target.hash(), *target);
                }
                Outcome::Dropped(labels) => self.note_dropped(&mut dropped, labels),
                Outcome::Invalid(message) => {
                    tracing::warn!(job = %self.config.job_name, error = %message, "target cannot be scraped");
                }
            }
        }
        *self.view.dropped.lock() = dropped;
        let limit = self.config.limits.targets;
        if limit > 0 && wanted.len() as u64 > limit {
            tracing::warn!(job = %self.config.job_name, limit, found = wanted.len(), "target_limit exceeded, keeping none");
            wanted.clear();
        }
        self.replace(wanted).await;
    }

    fn note_dropped(&self, dropped: &mut (Vec<DroppedTarget>, u64), labels: BTreeMap<String, String>) {
        dropped.1 += 1;
        let limit = self.config.limits.dropped_targets_kept;
        if limit == 0 || (dropped.0.len() as u64) < limit {
            let scrape_pool = self.config.job_name.clone();
            dropped.0.push(DroppedTarget { discovered_labels: labels, scrape_pool });
        }
    }

    async fn replace(&mut self, mut wanted: HashMap<u64, Target>) {
        let same = |running: &Running, target: &Target| {
            running.target.interval == target.interval && running.target.timeout == target.timeout
        };
        let gone: Vec<u64> = self
            .running
            .iter()
            .filter(|(key, running)| !wanted.get(*key).is_some_and(|t| same(running, t)))
            .map(|(key, _)| *key)
            .collect();
        let gone: Vec<Running> = gone.iter().filter_map(|key| self.running.remove(key)).collect();
        stop_loops(&self.shared, gone, true).await;
        wanted.retain(|key, _| !self.running.contains_key(key));
        if !wanted.is_empty() {
            self.start_loops(wanted);
        }
        let mut active: Vec<_> = self.running.values().map(|r| Arc::clone(&r.state)).collect();
        active.sort_by_cached_key(|s| s.status.lock().labels.clone());
        *self.view.active.lock() = active;
    }

    fn start_loops(&mut self, wanted: HashMap<u64, Target>) {
        if self.fetcher.is_none() {
            match Fetcher::new(&self.config.http) {
                Ok(fetcher) => self.fetcher = Some(Arc::new(fetcher)),
                Err(error) => {
                    tracing::error!(job = %self.config.job_name, error = %error, "job cannot be scraped");
                    return;
                }
            }
        }
        let Some(fetcher) = &self.fetcher else { return };
        for (key, target) in wanted {
            let state = TargetState::new(&self.config.job_name, &target);
            let stop = CancellationToken::new();
            let removed = Arc::new(AtomicBool::new(false));
            let scrape_loop = ScrapeLoop {
                shared: Arc::clone(&self.shared),
                config: Arc::clone(&self.config),
                target: target.clone(),
                state: Arc::clone(&state),
                fetcher: Arc::clone(fetcher),
                stop: stop.clone(),
                removed: Arc::clone(&removed),
            };
            let task = tokio::spawn(scrape_loop.run());
            self.shared.metrics.targets.inc();
            self.running.insert(key, Running { target, state, stop, removed, task });
        }
    }
}

async fn stop_loops(shared: &Shared, loops: Vec<Running>, removed: bool) {
    for running in &loops {
        running.removed.store(removed, Ordering::Release);
        running.stop.cancel();
    }
    for running in loops {
        if let Err(error) = running.task.await {
            tracing::error!(error = %error, "a scrape loop failed");
        }
        shared.metrics.targets.dec();
    }
}
