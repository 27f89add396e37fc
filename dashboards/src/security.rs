//! The door: whom it lets in, as whom, and what every answer carries.
//!
//! A web page from elsewhere can make a browser send requests here. It cannot choose the Host and Origin that the
//! browser states, nor send a JSON or protocol content type without asking first; so foreign Hosts and Origins are
//! refused, and what changes something must come with such a content type.

mod auth;
mod content;
mod origin;

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use vocab::TenantId;

use crate::app::{Caller, Shared};

/// The header that names a tenant.
const TENANT_HEADER: &str = "x-scope-orgid";
/// What the embedded app may load: itself only, no inline script or style.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; \
    script-src 'self'; connect-src 'self'; frame-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";
/// Requests in work at once; streams and queries have bounds of their own below it.
pub(crate) const REQUESTS_MAX: usize = 1024;

/// Why a request was not let in.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// For the counter.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let kind = match self.status {
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE => "invalid",
            _ => "forbidden",
        };
        let body = json!({"error": {"kind": kind, "message": self.message, "position": null}});
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"tidewatch\", charset=\"UTF-8\", Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Lets a request in or refuses it, and counts what becomes of it.
pub(crate) async fn door(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let began = app.clock.monotonic();
    let method = request.method().clone();
    let mut response = match admit(&app, &request) {
        Err(refusal) => {
            app.metrics.refused(refusal.reason);
            tracing::debug!(reason = refusal.reason, message = %refusal.message, "request refused");
            refusal.into_response()
        }
        Ok(caller) => match app.requests.clone().try_acquire_owned() {
            Err(_) => {
                app.metrics.refused("overload");
                let message = format!("more than {REQUESTS_MAX} requests are in work, try again later");
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "overload", message).into_response()
            }
            Ok(_permit) => {
                request.extensions_mut().insert(caller);
                next.run(request).await
            }
        },
    };
    add_headers(response.headers_mut());
    let took = app.clock.monotonic().saturating_sub(began);
    app.metrics.answered(&method, response.status().as_u16(), took);
    response
}

fn admit(app: &Shared, request: &Request) -> Result<Caller, Refusal> {
    let headers = request.headers();
    origin::check(&app.config, request)?;
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0);
    let is_probe = matches!(request.uri().path(), "/live" | "/ready" | "/-/healthy" | "/-/ready");
    let actor = match &app.config.auth {
        Some(tokens) if !is_probe => auth::check(tokens, headers)?,
        _ => String::new(),
    };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_read {
        content::check(request)?;
    }
    let trusted = app.config.auth.is_some() || peer.is_some_and(|p| p.ip().is_loopback());
    Ok(Caller {
        tenant: tenant(headers, trusted)?,
        actor: if actor.is_empty() { "operator".to_owned() } else { actor },
    })
}

fn tenant(headers: &HeaderMap, trusted: bool) -> Result<TenantId, Refusal> {
    let Some(value) = headers.get(TENANT_HEADER) else { return Ok(TenantId::default()) };
    if !trusted {
        let message = "X-Scope-OrgID is believed only from authenticated or loopback callers";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "tenant", message));
    }
    let name = value.to_str().unwrap_or_default();
    TenantId::new(name).map_err(|e| Refusal::new(StatusCode::BAD_REQUEST, "tenant", e.to_string()))
}

/// Adds what every answer carries; a handler's own policy stays.
fn add_headers(headers: &mut HeaderMap) {
    let always = [
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    for (name, value) in always {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    // Answers are a caller's own and of this moment, unless their handler says otherwise.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
