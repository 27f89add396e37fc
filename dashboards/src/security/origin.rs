//! Which Hosts and Origins are ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};

use super::Refusal;
use crate::config::ServerConfig;

/// Refuses a request that names a foreign Host, comes from a foreign page, or was made by one.
pub(super) fn check(config: &ServerConfig, request: &Request) -> Result<(), Refusal> {
    let refuse = |reason, message: String| Err(Refusal::new(StatusCode::FORBIDDEN, reason, message));
    let headers = request.headers();
    // HTTP/2 states the host in the request line; browsers always state one.
    let host = request.uri().host().or_else(|| text(headers, "host").map(without_port));
    if let Some(host) = host.filter(|h| !is_ours(config, h)) {
        return refuse("host", format!("the host {host:?} is not one of this server's names (see --allowed-host)"));
    }
    if let Some(origin) = text(headers, "origin") {
        let origin_host = origin.split_once("://").map(|(_, rest)| without_port(rest));
        let is_ours = origin_host.is_some_and(|origin| {
            // A page of another program on this machine may call a loopback address, but not a name of ours elsewhere.
            host.is_none_or(|host| host.eq_ignore_ascii_case(origin) || (is_loopback(host) && is_loopback(origin)))
                || config.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
        });
        if !is_ours {
            return refuse("origin", format!("requests from pages of {origin:?} are refused"));
        }
    }
    // What newer browsers say of themselves: a foreign page may link here, not fetch or post.
    let navigates = *request.method() == Method::GET && text(headers, "sec-fetch-mode") == Some("navigate");
    if text(headers, "sec-fetch-site") == Some("cross-site") && !navigates {
        return refuse("origin", "requests made by pages of other sites are refused".to_owned());
    }
    Ok(())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // A header that is no text is as foreign as can be.
    headers.get(name).map(|v| v.to_str().unwrap_or("\u{fffd}"))
}

/// `name:80` → `name`, `[::1]:80` → `[::1]`.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => authority,
    }
}

fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match bare {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || address(host).is_some_and(|a| a.is_loopback())
}

/// Loopback under any port, the listen address, and the configured names. When listening on all addresses, any literal
/// address is one of ours: a page elsewhere can rebind a name to this machine, never an address.
fn is_ours(config: &ServerConfig, host: &str) -> bool {
    let listen = config.listen.ip();
    is_loopback(host)
        || address(host).is_some_and(|a| a == listen || listen.is_unspecified())
        || config.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
}

/// Whether the request was sent with a body or may have one.
pub(super) fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_ours() {
        let config = |listen: &str| ServerConfig {
            allowed_hosts: vec!["watch.example.org".into()],
            ..ServerConfig::new(listen.parse().expect("an address"))
        };
        let check = |listen: &str, host: &str, ours: bool| {
            assert_eq!(is_ours(&config(listen), without_port(host)), ours, "{host} on {listen}");
        };
        for host in
            ["localhost", "localhost:9090", "LOCALHOST.", "app.localhost:1", "127.0.0.1:80", "127.9.9.9", "[::1]:1"]
        {
            check("127.0.0.1:0", host, true);
        }
        check("127.0.0.1:0", "Watch.Example.Org:443", true);
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1", "[2001:db8::1]:1", ""]
        {
            check("127.0.0.1:0", host, false);
        }
        check("192.0.2.1:80", "192.0.2.1:80", true);
        check("192.0.2.1:80", "192.0.2.2:80", false);
        check("0.0.0.0:80", "192.0.2.2:80", true);
        check("0.0.0.0:80", "evil.example:80", false);
    }
}
