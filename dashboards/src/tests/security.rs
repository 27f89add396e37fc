//! Who is let in, and as whom.

use axum::http::Method;
use serde_json::json;
use vocab::TenantId;

use super::Bench;
use crate::config::AuthTokens;

const JSON: (&str, &str) = ("content-type", "application/json");
const STOP: &str = "/api/v1/scaling/stop";
const BODY: &str = "{\"stopped\":true}";

#[tokio::test]
async fn foreign_hosts_origins_and_content_types_are_refused() {
    let bench = Bench::with(|config| config.allowed_hosts = vec!["watch.example.org".into()]);
    let check = async |method: Method, path: &str, headers: &[(&str, &str)], body: &str, status: u16| {
        let answer = bench.send(method, path, headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {headers:?}: {}", answer.text);
        if status >= 400 {
            assert!(answer.json()["error"]["message"].as_str().expect("a text").len() > 20, "{}", answer.text);
        }
    };
    let post = async |headers: &[(&str, &str)], status| check(Method::POST, STOP, headers, BODY, status).await;
    post(&[JSON], 200).await;
    post(&[("content-type", "application/json; charset=utf-8"), ("host", "localhost:1")], 200).await;
    post(&[JSON, ("host", "watch.example.org"), ("origin", "https://watch.example.org")], 200).await;
    post(&[JSON, ("origin", "http://127.0.0.1:9090")], 200).await;
    post(&[JSON, ("origin", "http://localhost:5173")], 200).await;
    post(&[JSON, ("host", "evil.example")], 403).await;
    post(&[JSON, ("host", "evil.example:9090")], 403).await;
    post(&[JSON, ("host", "127.0.0.1.evil.example")], 403).await;
    post(&[JSON, ("origin", "http://evil.example")], 403).await;
    post(&[JSON, ("origin", "null")], 403).await;
    post(&[JSON, ("origin", "https://127.0.0.1.evil.example")], 403).await;
    post(&[JSON, ("host", "watch.example.org"), ("origin", "http://localhost:5173")], 403).await;
    post(&[JSON, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")], 403).await;
    for wrong in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "TEXT/PLAIN;a=b"]
    {
        post(&[("content-type", wrong)], 415).await;
    }
    post(&[], 415).await;
    assert!(bench.rooms.stopped.lock().is_some());

    let get = async |path: &str, headers: &[(&str, &str)], status| check(Method::GET, path, headers, "", status).await;
    get("/api/v1/status", &[("host", "evil.example")], 403).await;
    get("/api/v1/status", &[("origin", "http://evil.example")], 403).await;
    get("/api/v1/status", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], 403).await;
    get("/", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], 200).await;
    get("/live", &[("host", "evil.example")], 403).await;

    let form = ("content-type", "application/x-www-form-urlencoded");
    check(Method::POST, "/api/v1/query", &[form], "query=1", 200).await;
    check(Method::POST, "/api/v1/query", &[form, ("origin", "http://evil.example")], "query=1", 403).await;
    check(Method::POST, "/api/v1/sql", &[form], "query=1", 415).await;
    let delete = "/api/v1/admin/tsdb/delete_series";
    for mark in [("origin", "http://127.0.0.1"), ("referer", "http://127.0.0.1/"), ("sec-fetch-site", "none")] {
        check(Method::POST, delete, &[form, mark], "match[]=up", 415).await;
    }
    check(Method::POST, delete, &[form, ("origin", "http://evil.example")], "match[]=up", 403).await;
    check(Method::POST, delete, &[JSON], "{}", 415).await;
    check(Method::POST, "/api/v1/import/prometheus", &[("content-type", "text/plain")], "a 1\n", 415).await;
    check(Method::POST, "/api/v1/logs", &[("content-type", "text/plain")], "{}\n", 415).await;
    check(Method::POST, "/api/v1/write", &[JSON], "x", 415).await;
    check(Method::POST, "/api/v1/admin/flush", &[], "", 200).await;
    check(Method::POST, "/api/v1/admin/flush", &[form, ("content-length", "0")], "", 200).await;
    check(Method::POST, "/api/v1/admin/flush", &[form, ("content-length", "3")], "a=b", 415).await;
    check(Method::POST, "/api/v1/admin/reload", &[form, ("content-length", "0")], "", 415).await;
    check(Method::POST, "/api/v1/admin/flush", &[("origin", "http://evil.example")], "", 403).await;
    check(Method::POST, "/api/v1/admin/flush", &[("transfer-encoding", "chunked")], "", 415).await;
}

#[tokio::test]
async fn tokens_are_asked_for() {
    let bench =
        Bench::with(|config| config.auth = Some(AuthTokens::parse("a-secret-of-some-length").expect("a token")));
    let status = async |value: Option<&str>| {
        let headers: Vec<_> = value.iter().map(|v| ("authorization", *v)).collect();
        let answer = bench.send(Method::GET, "/api/v1/status", &headers, "").await;
        assert!(!answer.text.contains("a-secret-of"), "the token is shown");
        if answer.status == 401 {
            assert!(answer.header("www-authenticate").contains("Basic realm="), "{:?}", answer.headers);
        }
        answer.status.as_u16()
    };
    assert_eq!(status(None).await, 401);
    assert_eq!(status(Some("Bearer a-secret-of-some-length")).await, 200);
    assert_eq!(status(Some("bearer a-secret-of-some-length")).await, 200);
    // ann:a-secret-of-some-length
    assert_eq!(status(Some("Basic YW5uOmEtc2VjcmV0LW9mLXNvbWUtbGVuZ3Ro")).await, 200);
    for wrong in
        ["Bearer a-secret-of-some-lengtH", "Bearer ", "Basic !!!", "Basic YW5u", "Digest x", "a-secret-of-some-length"]
    {
        assert_eq!(status(Some(wrong)).await, 401, "{wrong}");
    }
    for probe in ["/live", "/ready", "/-/healthy", "/-/ready"] {
        bench.get(probe).await.expect(200);
    }
    bench.get("/").await.expect(401);
    bench.get("/metrics").await.expect(401);
    let basic = ("authorization", "Basic YW5uOmEtc2VjcmV0LW9mLXNvbWUtbGVuZ3Ro");
    bench.send(Method::POST, STOP, &[JSON, basic], BODY).await.expect(200);
    assert_eq!(bench.rooms.stopped.lock().as_ref().expect("stopped").1, "ann", "the user is named");
}

#[tokio::test]
async fn tenants_are_believed_from_loopback_or_with_a_token_only() {
    let mut bench = Bench::new();
    let tenant = ("x-scope-orgid", "team-a");
    let session = bench.send(Method::GET, "/api/v1/session", &[tenant], "").await.expect(200).json();
    assert_eq!(session["tenant"], "team-a");
    bench.send(Method::GET, "/api/v1/session", &[("x-scope-orgid", "../x")], "").await.expect(400);
    let text = ("content-type", "text/plain; version=0.0.4");
    bench.send(Method::POST, "/api/v1/import/prometheus", &[tenant, text], "a 1\n").await.expect(429);
    assert_eq!(bench.rooms.pushed.lock()[0].0, TenantId::new("team-a").expect("a name"));
    bench.peer = "192.0.2.7:5000".parse().expect("an address");
    bench.send(Method::GET, "/api/v1/session", &[tenant], "").await.expect(403);
    assert_eq!(bench.get("/api/v1/session").await.expect(200).json()["tenant"], "default");
    let mut guarded =
        Bench::with(|config| config.auth = Some(AuthTokens::parse("a-secret-of-some-length").expect("ok")));
    guarded.peer = bench.peer;
    let bearer = ("authorization", "Bearer a-secret-of-some-length");
    guarded.send(Method::GET, "/api/v1/session", &[tenant, bearer], "").await.expect(200);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let bench = Bench::new();
    for path in ["/", "/services/web", "/api/v1/status", "/api/v1/nothing", "/metrics"] {
        let answer = bench.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("script-src 'self'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe-inline"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let bench = Bench::new();
    let answer = bench.post("/api/v1/admin/log_level", &json!({"filter": "panic"})).await.expect(500);
    assert_eq!(answer.json()["error"]["kind"], "internal");
    bench.post("/api/v1/admin/log_level", &json!({"filter": "info"})).await.expect(200);
}

#[tokio::test]
async fn pages_are_the_apps_and_unknown_paths_are_named() {
    let bench = Bench::new();
    let index = bench.get("/").await.expect(200);
    assert!(index.header("content-type").starts_with("text/html"), "{:?}", index.headers);
    assert_eq!(index.header("cache-control"), "no-cache");
    assert_eq!(bench.get("/services/a.b").await.expect(200).text, index.text, "the app finds its way");
    let etag = index.header("etag").to_owned();
    bench.send(Method::GET, "/", &[("if-none-match", &etag)], "").await.expect(304);
    bench.get("/assets/gone-12345678.js").await.expect(404);
    for path in ["/api/v1/nothing", "/api", "/-/nothing", "/metrics/x", "/debug/pprof"] {
        assert_eq!(bench.get(path).await.expect(404).json()["error"]["kind"], "not_found", "{path}");
    }
    bench.send(Method::POST, "/services", &[JSON], "{}").await.expect(405);
    bench.send(Method::DELETE, "/api/v1/status", &[], "").await.expect(405);
}
