//! Answers that are sent while they are made.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use vocab::{Ctx, ErrorKind};

use crate::app::{App, Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::metrics::Counted;

/// Pieces between the work and the client; a slow client slows the work down.
const PIECES_WAITING_MAX: usize = 4;
/// How often a sender that waits for a slow client looks whether its time is over.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Where work puts its answer, piece by piece.
#[derive(Debug, Clone)]
pub(crate) struct Pieces {
    out: mpsc::Sender<Result<Bytes, ApiError>>,
    has_begun: Arc<AtomicBool>,
}

impl Pieces {
    /// Hands on a piece of the answer once the client has room for it.
    ///
    /// # Errors
    /// `Cancelled` when the client went away, `Timeout` when it did not read in time.
    pub(crate) async fn offer(&self, app: &App, ctx: &Ctx, piece: Bytes) -> ApiResult<()> {
        let slot = loop {
            tokio::select! {
                slot = self.out.reserve() => break slot,
                // A client that does not read must not hold the thread beyond the time limit.
                () = app.clock.sleep(LOOK_AGAIN) => ctx.cancel.check()?,
            }
        };
        match slot {
            Ok(slot) => slot.send(Ok(piece)),
            Err(_) => return Err(ApiError::new(ErrorKind::Cancelled, "the client went away")),
        }
        self.has_begun.store(true, Ordering::Release);
        ctx.cancel.check()?;
        Ok(())
    }

    /// Whether the client has been sent something already, so that the answer cannot be made anew.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }
}

/// Runs `work` on a thread of its own, until the client goes away or the time is over; what it offers is the body. Until the first
/// piece it waits for its turn among heavy queries and begins anew, as [`App::run_in_turn`] says.
///
/// # Errors
/// What the work failed with before its first piece; later failures end the body early.
pub(crate) async fn body<F, Fut>(app: &Shared, caller: &Caller, work: F) -> ApiResult<Body>
where
    F: FnOnce(Shared, Ctx, Pieces) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ApiResult<()>>,
{
    let (out, mut pieces) = mpsc::channel(PIECES_WAITING_MAX);
    let (app, caller) = (app.clone(), caller.clone());
    tokio::spawn(async move {
        let pieces = Pieces { out: out.clone(), has_begun: Arc::default() };
        let _stream = Counted::new(&app.metrics.streams);
        // A client that goes away before the first piece ends the work as well.
        let outcome = tokio::select! {
            outcome = app.run_pieces(&caller, app.config.query_timeout, pieces, work) => outcome,
            () = out.closed() => return,
        };
        if let Err(error) = outcome {
            tracing::debug!(message = %error.message, "a streamed answer ended early");
            // Nobody may be there to hear it.
            let _gone = out.send(Err(error)).await;
        }
    });
    // An error before the first piece still has a status of its own.
    let first = match pieces.recv().await {
        Some(Err(error)) => return Err(error),
        first => first,
    };
    let rest = ReceiverStream::new(pieces);
    let pieces = futures::stream::iter(first).chain(rest).map(|p| p.map_err(|e| std::io::Error::other(e.message)));
    Ok(Body::from_stream(pieces))
}
