//! Bearer and basic authentication against the configured tokens.

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Refusal;
use crate::config::AuthTokens;

/// Longest user name that is taken over into the audit log, in characters.
const USER_CHARS_MAX: usize = 64;

/// The caller's name: the user of basic authentication, empty for a bearer token.
pub(super) fn check(tokens: &AuthTokens, headers: &HeaderMap) -> Result<String, Refusal> {
    let refuse = |message: &str| Err(Refusal::new(StatusCode::UNAUTHORIZED, "authentication", message));
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return refuse("authentication is needed: a bearer token, or basic with the token as password");
    };
    let (user, token) = match read(value.as_bytes()) {
        Some(found) => found,
        None => return refuse("the Authorization header is neither a bearer token nor basic authentication"),
    };
    if tokens.accept(&token) { Ok(user) } else { refuse("the token is not accepted") }
}

fn read(value: &[u8]) -> Option<(String, String)> {
    let (scheme, rest) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((String::new(), rest.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    let user = user.chars().filter(|c| !c.is_control()).take(USER_CHARS_MAX).collect();
    Some((user, password.to_owned()))
}
