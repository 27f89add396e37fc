//! Live updates to browsers.

use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use tokio_stream::wrappers::BroadcastStream;
use vocab::ErrorKind;

use crate::app::{App, Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::live::STREAMS_MAX;
use crate::metrics::Counted;

/// A place among the streams, given back when dropped.
pub(super) fn stream_slot(app: &App) -> ApiResult<Counted> {
    if app.metrics.streams.get() >= STREAMS_MAX {
        let message = format!("{STREAMS_MAX} clients follow live updates already, try again later");
        return Err(ApiError::new(ErrorKind::Unavailable, message));
    }
    Ok(Counted::new(&app.metrics.streams))
}

/// Decisions, alerts and changes as they happen, as server-sent events.
#[utoipa::path(get, path = "/api/v1/events", tag = "Frame",
    responses((status = 200, description = "events named decision, alert, change, services", content_type = "text/event-stream")))]
pub(crate) async fn events(State(app): State<Shared>, caller: Caller) -> ApiResult<Response> {
    let slot = stream_slot(&app)?;
    let news = BroadcastStream::new(app.live.subscribe(&caller.tenant));
    let events = news.take_until(app.stop.clone().cancelled_owned()).filter_map(move |event| {
        let _held = &slot;
        // A client that fell behind has missed some; what it gets next is true again.
        std::future::ready(event.ok().map(|event| Ok::<_, Infallible>(event.to_sse())))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}
