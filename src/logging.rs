//! Log output: to stderr, filtered, and adjustable while running.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};
use vocab::PortError;

use crate::cli::LogFormat;

/// Changes the filter of a running process.
#[derive(Debug, Clone)]
pub struct LogControl(Option<reload::Handle<EnvFilter, Registry>>);

impl LogControl {
    /// A control that has nothing to control: in tests, where the harness owns the log.
    pub fn none() -> Self {
        Self(None)
    }

    /// Sets the filter.
    ///
    /// # Errors
    /// When the filter cannot be read.
    pub fn set(&self, filter: &str) -> Result<(), PortError> {
        let parsed = parse(filter)?;
        match &self.0 {
            Some(handle) => {
                handle.reload(parsed).map_err(|e| PortError::invalid(format!("cannot set the log filter: {e}")))
            }
            None => Ok(()),
        }
    }
}

fn parse(filter: &str) -> Result<EnvFilter, PortError> {
    EnvFilter::try_new(filter)
        .map_err(|e| PortError::invalid(format!("invalid log filter {filter:?}: {e}; want info or info,store=debug")))
}

/// Starts logging to stderr.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(filter: &str, format: LogFormat) -> Result<LogControl, PortError> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let layer = match format {
        LogFormat::Text => fmt::layer().with_writer(std::io::stderr).with_target(true).boxed_layer(),
        LogFormat::Json => fmt::layer().with_writer(std::io::stderr).json().boxed_layer(),
    };
    // A second start in one process (tests) leaves the first logger in place.
    let _already_started = tracing_subscriber::registry().with(filter).with(layer).try_init();
    Ok(LogControl(Some(handle)))
}

/// Gives both formats one type.
trait BoxedLayer<S> {
    fn boxed_layer(self) -> Box<dyn tracing_subscriber::Layer<S> + Send + Sync>;
}

impl<S, L> BoxedLayer<S> for L
where
    S: tracing::Subscriber,
    L: tracing_subscriber::Layer<S> + Send + Sync + 'static,
{
    fn boxed_layer(self) -> Box<dyn tracing_subscriber::Layer<S> + Send + Sync> {
        Box::new(self)
    }
}
