//! DataFusion's errors as the errors of the port.

use datafusion::error::DataFusionError;
use vocab::{ErrorKind, PortError};

/// What a caller is told. Errors that came from our own ports go back as they were.
pub(super) fn of_datafusion(error: &DataFusionError) -> PortError {
    match error.find_root() {
        DataFusionError::External(inner) => match inner.downcast_ref::<PortError>() {
            Some(own) => own.clone(),
            None => PortError::invalid(inner.to_string()),
        },
        DataFusionError::ResourcesExhausted(message) => {
            PortError::new(ErrorKind::Limit, format!("the query needs more memory than its share has: {message}"))
        }
        DataFusionError::Internal(message) => {
            // What follows the first line is advice to DataFusion's own developers.
            let first = message.lines().next().unwrap_or_default();
            PortError::new(ErrorKind::Internal, format!("the query engine failed: {first}"))
        }
        _ => PortError::invalid(error.strip_backtrace()),
    }
}

/// An error of our ports on its way through DataFusion.
pub(super) fn to_datafusion(error: PortError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
