//! How a metric store is kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use vocab::limits::Limits;

use crate::head::{EXEMPLARS_DEFAULT, HeadLimits};
use crate::wal::FsyncPolicy;

/// Default size of all metric blocks together.
const RETENTION_BYTES: u64 = 15 << 30;

/// Settings of a metric store.
#[derive(Debug, Clone)]
pub struct MetricStoreConfig {
    /// The data folder; the store uses the folder `metrics` in it.
    pub dir: PathBuf,
    /// When the log is forced onto the device.
    pub fsync: FsyncPolicy,
    /// Limits and windows of writes.
    pub limits: HeadLimits,
    /// What single tenants may do instead, and how long their data is kept.
    pub tenants: Arc<Limits>,
    /// Most exemplars of a tenant, the newest; 0 keeps none.
    pub exemplars_max: usize,
    /// Oldest blocks go when all together are larger than this many bytes.
    pub retention_bytes: u64,
    /// Samples older than this go, and are refused; `None` keeps them whatever their age.
    pub retention_time: Option<Duration>,
    /// Whether days that are over get a coarser picture beside their samples, and queries use it.
    pub downsampling: bool,
    /// The head is moved into blocks at every multiple of this time.
    pub flush_interval: Duration,
    /// The head is moved into blocks when the log is larger than this many bytes, which bounds the time of a restart.
    pub wal_bytes_max: u64,
}

impl MetricStoreConfig {
    /// A store in a data folder with the usual settings.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            fsync: FsyncPolicy::default(),
            limits: HeadLimits::default(),
            tenants: Arc::default(),
            exemplars_max: EXEMPLARS_DEFAULT,
            retention_bytes: RETENTION_BYTES,
            retention_time: None,
            downsampling: true,
            flush_interval: Duration::from_secs(2 * 60 * 60),
            wal_bytes_max: 1 << 30,
        }
    }
}
