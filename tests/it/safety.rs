//! No web page elsewhere can drive it, and nothing beyond loopback without authentication.

use std::process::Command;

use tests::{Tidewatch, binary, scratch};

#[tokio::test]
async fn foreign_pages_and_hosts_are_refused() {
    let dir = scratch().expect("a folder");
    let tidewatch = Tidewatch::start(dir.path(), &[]).await.expect("starts");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let stop = format!("{}/api/v1/scaling/stop", tidewatch.api.base());
    let json = "application/json";
    let check = async |headers: &[(&str, &str)], expect: &[u16]| {
        let mut request = client.post(&stop).body("{\"stopped\":true}");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let status = request.send().await.expect("answers").status().as_u16();
        assert!(expect.contains(&status), "{headers:?}: {status}, want {expect:?}");
    };
    check(&[("content-type", json), ("origin", "http://evil.example")], &[403]).await;
    check(&[("content-type", json), ("host", "evil.example")], &[403, 421]).await;
    check(&[("content-type", "text/plain")], &[415]).await;
    check(&[("content-type", "application/x-www-form-urlencoded")], &[415]).await;
    check(&[("content-type", json)], &[200]).await;
    check(&[("content-type", json), ("origin", tidewatch.api.base())], &[200]).await;
}

#[test]
fn beyond_loopback_only_with_a_token() {
    let dir = scratch().expect("a folder");
    let output = Command::new(binary("tidewatch").expect("built"))
        .arg("--data-dir")
        .arg(dir.path().join("data"))
        .args(["--listen", "0.0.0.0:0"])
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--auth-token-file"), "{text}");
}

#[tokio::test]
async fn a_token_is_asked_for_and_never_shown() {
    let dir = scratch().expect("a folder");
    let file = dir.path().join("token");
    std::fs::write(&file, "a-secret-of-some-length\n").expect("written");
    let tidewatch =
        Tidewatch::start(dir.path(), &["--auth-token-file", file.to_str().expect("UTF-8")]).await.expect("starts");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/api/v1/status", tidewatch.api.base());
    assert_eq!(client.get(&url).send().await.expect("answers").status().as_u16(), 401);
    let wrong = client.get(&url).bearer_auth("a-secret-of-some-lengtH").send().await.expect("answers");
    assert_eq!(wrong.status().as_u16(), 401);
    let right = client.get(&url).bearer_auth("a-secret-of-some-length").send().await.expect("answers");
    assert_eq!(right.status().as_u16(), 200);
    let text = right.text().await.expect("text");
    assert!(!text.contains("a-secret-of") && !tidewatch.log().contains("a-secret-of"), "the token is shown");
    let basic = client.get(&url).basic_auth("any", Some("a-secret-of-some-length")).send().await.expect("answers");
    assert_eq!(basic.status().as_u16(), 200);
}
