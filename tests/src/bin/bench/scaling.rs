//! From a count above a threshold to a hundred more processes that are ready. The peers scale nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::figures::Figures;
use crate::target::Program;

/// Longest wait; the goal is a quarter of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes the step once.
///
/// # Errors
/// When it does not come, or not in one decision.
pub(crate) async fn run(dir: &Path, figures: &mut Figures) -> Result<()> {
    let stepped = tests::volume::step(dir, PATIENCE).await?;
    ensure!(stepped.decisions.len() == 1, "want one decision: {:?}", stepped.decisions);
    figures.note("scaling", "s from the count to 100 more ready", Program::Tidewatch, stepped.took.as_secs_f64());
    Ok(())
}
