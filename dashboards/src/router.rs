//! All routes, and the OpenAPI document, which is made from the same registrations.

use std::any::Any;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocab::ErrorKind;

use crate::api::{
    alerts, batch, cardinality, events, hosts, ingest, ledger, logs, overview, policies, replay, reports, scaling,
    search, services, sql, system,
};
use crate::app::Shared;
use crate::error::ApiError;
use crate::prometheus::{admin, federate, labels, query, read, rules, status, targets};
use crate::security::door;
use crate::ui;

/// Where the document is, for those who took a wrong turn.
const DOCUMENT_PATH: &str = "/api/openapi.json";

/// The documented routes.
fn documented() -> (Router<Shared>, OpenApi) {
    let info = InfoBuilder::new()
        .title("Tidewatch")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Watches container platforms, understands what it sees, and acts."))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let (routes, mut document) = OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info).build())
        .merge(prometheus())
        .merge(tidewatch())
        .routes(routes!(openapi_json))
        .routes(routes!(openapi_yaml))
        .split_for_parts();
    name_operations(&mut document);
    (routes, document)
}

/// Names every operation by its method and path, which no other has.
fn name_operations(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let path = path.replace("/-/", "/prometheus/");
        let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
        let words = words.collect::<Vec<_>>().join("_");
        let operations = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("put", &mut item.put),
            ("head", &mut item.head),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}_{words}"));
            }
        }
    }
}

/// The document, ready to be sent.
#[derive(Debug, Clone)]
struct Document {
    json: Bytes,
    yaml: Bytes,
}

impl Document {
    fn new(document: &OpenApi) -> Self {
        // The document is made of this program's own literals; it always serialises.
        let value = serde_json::to_value(document).unwrap_or_default();
        // JSON is YAML, too; on the top level as a block, because that is what people look at, and with its version first,
        // because that is what programs look for.
        let mut parts: Vec<_> = value.as_object().into_iter().flatten().collect();
        parts.sort_by_key(|(key, _)| key.as_str() != "openapi");
        let lines = parts.into_iter().map(|(key, part)| format!("{key}: {part}\n"));
        Self { yaml: lines.collect::<String>().into(), json: value.to_string().into() }
    }
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "Frame", responses((status = 200, description = "OpenAPI 3.1")))]
async fn openapi_json(Extension(document): Extension<Document>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.json).into_response()
}

/// This document, where Prometheus has its own.
#[utoipa::path(get, path = "/api/v1/openapi.yaml", tag = "Prometheus", responses((status = 200, description = "OpenAPI 3.1", content_type = "application/yaml")))]
async fn openapi_yaml(Extension(document): Extension<Document>) -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], document.yaml).into_response()
}

fn prometheus() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(query::instant))
        .routes(routes!(query::range))
        .routes(routes!(query::exemplars))
        .routes(routes!(query::format))
        .routes(routes!(query::tree))
        .routes(routes!(labels::series))
        .routes(routes!(labels::names))
        .routes(routes!(labels::values))
        .routes(routes!(labels::metadata))
        .routes(routes!(rules::rules))
        .routes(routes!(rules::alerts))
        .routes(routes!(rules::alertmanagers))
        .routes(routes!(targets::targets))
        .routes(routes!(targets::metadata))
        .routes(routes!(targets::pools))
        .routes(routes!(status::buildinfo))
        .routes(routes!(status::runtimeinfo))
        .routes(routes!(status::flags))
        .routes(routes!(status::config))
        .routes(routes!(status::walreplay))
        .routes(routes!(status::tsdb))
        .routes(routes!(federate::federate))
        .routes(routes!(read::read))
        .routes(routes!(admin::delete_series))
        .routes(routes!(admin::clean_tombstones))
        .routes(routes!(admin::snapshot))
        .routes(routes!(status::live))
        .routes(routes!(status::ready))
        .routes(routes!(status::healthy))
        .routes(routes!(status::ready_prometheus))
        .routes(routes!(status::reload))
        .routes(routes!(status::metrics))
}

fn tidewatch() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(status::features))
        .routes(routes!(query::functions))
        .routes(routes!(batch::batch))
        .routes(routes!(sql::sql))
        .routes(routes!(read::export))
        .routes(routes!(system::session))
        .routes(routes!(events::events))
        .routes(routes!(search::search))
        .routes(routes!(overview::overview))
        .routes(routes!(services::list))
        .routes(routes!(services::get))
        .routes(routes!(hosts::list))
        .routes(routes!(hosts::get))
        .routes(routes!(logs::search))
        .routes(routes!(logs::histogram))
        .routes(routes!(logs::facets))
        .routes(routes!(logs::fields))
        .routes(routes!(logs::patterns))
        .routes(routes!(logs::tail))
        .routes(routes!(ingest::push_logs))
        .routes(routes!(ingest::remote_write))
        .routes(routes!(ingest::import_text))
        .routes(routes!(ingest::otlp_metrics))
        .routes(routes!(ingest::otlp_metrics_prometheus))
        .routes(routes!(ingest::otlp_logs))
        .routes(routes!(alerts::history))
        .routes(routes!(alerts::rules))
        .routes(routes!(alerts::tickets))
        .routes(routes!(alerts::ticket))
        .routes(routes!(alerts::update_ticket))
        .routes(routes!(scaling::services))
        .routes(routes!(scaling::decisions))
        .routes(routes!(scaling::stop))
        .routes(routes!(scaling::mode))
        .routes(routes!(scaling::approve))
        .routes(routes!(scaling::pause))
        .routes(routes!(scaling::unfreeze))
        .routes(routes!(scaling::audit))
        .routes(routes!(ledger::ledger))
        .routes(routes!(replay::replay))
        .routes(routes!(policies::list))
        .routes(routes!(policies::get, policies::put, policies::delete))
        .routes(routes!(policies::check))
        .routes(routes!(reports::list, reports::write))
        .routes(routes!(reports::get))
        .routes(routes!(reports::html))
        .routes(routes!(reports::markdown))
        .routes(routes!(system::sources))
        .routes(routes!(system::tasks))
        .routes(routes!(system::status))
        .routes(routes!(cardinality::spread))
        .routes(routes!(system::flush))
        .routes(routes!(system::compact))
        .routes(routes!(system::reload))
        .routes(routes!(system::log_level))
}

/// The document as it is served.
#[cfg(test)]
pub(crate) fn document() -> OpenApi {
    documented().1
}

/// The whole service: routes, document, web app, behind the door.
pub(crate) fn router(app: Shared) -> Router {
    let (routes, document) = documented();
    let panics = app.metrics.panics.clone();
    let on_panic = move |payload: Box<dyn Any + Send + 'static>| {
        panics.inc();
        let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| payload.downcast_ref().cloned());
        tracing::error!(panic = text.unwrap_or_default(), "a handler panicked");
        let response = ApiError::new(ErrorKind::Internal, "the request hit an internal error").into_response();
        response.map(|body: Body| body)
    };
    routes
        .fallback(fallback)
        .method_not_allowed_fallback(wrong_method)
        .layer(Extension(Document::new(&document)))
        .layer(DefaultBodyLimit::max(ingest::BODY_BYTES_MAX))
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(from_fn_with_state(app.clone(), door))
        .with_state(app)
}

/// Paths of programs, never of pages.
const PROGRAM_PATHS: [&str; 8] = ["/api", "/v1", "/-", "/metrics", "/federate", "/live", "/ready", "/debug"];

/// Anything else is a page of the app.
async fn fallback(State(_app): State<Shared>, request: Request) -> Response {
    let path = request.uri().path();
    let under = |root: &&str| path == *root || path.strip_prefix(*root).is_some_and(|rest| rest.starts_with('/'));
    if PROGRAM_PATHS.iter().any(under) {
        return ApiError::new(ErrorKind::NotFound, format!("there is no {path}; see {DOCUMENT_PATH}")).into_response();
    }
    match *request.method() {
        Method::GET | Method::HEAD => ui::serve(path, request.headers()),
        _ => wrong_method(request.uri().clone()).await,
    }
}

async fn wrong_method(uri: Uri) -> Response {
    let error = ApiError::invalid(format!("{} does not take this method; see {DOCUMENT_PATH}", uri.path()));
    let mut response = error.into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}
