//! Answers that are sent while they are made.

use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::mpsc;
use vocab::{Ctx, ErrorKind};

use crate::app::App;
use crate::error::{ApiError, ApiResult};

/// How often a sender that waits for a slow client looks whether its time is over.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Hands on a piece of an answer once the client has room for it.
///
/// # Errors
/// `Cancelled` when the client went away, `Timeout` when it did not read in time.
pub(crate) async fn offer(
    app: &App,
    ctx: &Ctx,
    out: &mpsc::Sender<Result<Bytes, ApiError>>,
    piece: Bytes,
) -> ApiResult<()> {
    let slot = loop {
        tokio::select! {
            slot = out.reserve() => break slot,
            // A client that does not read must not hold the thread beyond the time limit.
            () = app.clock.sleep(LOOK_AGAIN) => ctx.cancel.check()?,
        }
    };
    match slot {
        Ok(slot) => slot.send(Ok(piece)),
        Err(_) => return Err(ApiError::new(ErrorKind::Cancelled, "the client went away")),
    }
    ctx.cancel.check()?;
    Ok(())
}
