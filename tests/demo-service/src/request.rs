//! Requests as HTTP/1.1 writes them: the head is parsed, a body is skipped.

use std::io::{self, BufRead, Read};

/// Most bytes of a request's head.
const HEAD_BYTES_MAX: u64 = 16 * 1024;
/// Most bytes of a body; it is read and thrown away.
const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// What matters of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path without its query.
    pub(crate) path: String,
    /// Whether the connection stays open afterwards, as far as the client is concerned.
    pub(crate) keep_alive: bool,
}

/// How reading a request ended without one.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The client closed the connection (or was silent for too long) between requests.
    Gone,
    /// The request is wrong: answer with this status and close.
    Bad(u16),
}

/// Reads one request.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Request, Refused> {
    let mut head = from.by_ref().take(HEAD_BYTES_MAX);
    let first = match line(&mut head)? {
        Some(first) if !first.is_empty() => first,
        // An empty line between requests is allowed; one is enough.
        Some(_) => line(&mut head)?.ok_or(Refused::Gone)?,
        None => return Err(Refused::Gone),
    };
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refused::Bad(400));
    };
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return Err(Refused::Bad(400));
    }
    let path = target.split('?').next().unwrap_or(target).to_owned();
    let mut request = Request { method: method.to_owned(), path, keep_alive: version != "HTTP/1.0" };
    let mut body_bytes = 0;
    loop {
        let header = line(&mut head)?.ok_or(Refused::Bad(431))?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').ok_or(Refused::Bad(400))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("connection") {
            request.keep_alive = !value.eq_ignore_ascii_case("close")
                && (request.keep_alive || value.eq_ignore_ascii_case("keep-alive"));
        } else if name.eq_ignore_ascii_case("content-length") {
            body_bytes = value.parse().map_err(|_| Refused::Bad(400))?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Refused::Bad(411));
        }
    }
    if body_bytes > BODY_BYTES_MAX {
        return Err(Refused::Bad(413));
    }
    let skipped = io::copy(&mut from.by_ref().take(body_bytes), &mut io::sink()).map_err(|_| Refused::Gone)?;
    if skipped < body_bytes { Err(Refused::Gone) } else { Ok(request) }
}

/// One line without its end; `None` at the end of the input (or of the limit).
fn line(from: &mut impl BufRead) -> Result<Option<String>, Refused> {
    let mut bytes = Vec::new();
    from.read_until(b'\n', &mut bytes).map_err(|_| Refused::Gone)?;
    if bytes.pop() != Some(b'\n') {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map(Some).map_err(|_| Refused::Bad(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_parsed_and_bodies_skipped() {
        let check = |text: &str, expect: Result<(&str, &str, bool), u16>| {
            let got = read(&mut text.as_bytes());
            match (got, expect) {
                (Ok(request), Ok((method, path, keep_alive))) => {
                    assert_eq!(request, Request { method: method.into(), path: path.into(), keep_alive }, "{text:?}");
                }
                (Err(Refused::Bad(status)), Err(expect)) => assert_eq!(status, expect, "{text:?}"),
                (Err(Refused::Gone), Err(0)) => {}
                (got, expect) => panic!("{text:?}: {got:?}, not {expect:?}"),
            }
        };
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(("GET", "/", true)));
        check("GET /x?y=/z HTTP/1.0\r\n\r\n", Ok(("GET", "/x", false)));
        check("GET / HTTP/1.0\nConnection: Keep-Alive\n\n", Ok(("GET", "/", true)));
        check("GET / HTTP/1.1\r\nconnection: CLOSE\r\n\r\n", Ok(("GET", "/", false)));
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", Ok(("POST", "/", true)));
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", Err(0));
        check("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", Err(413));
        check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Err(411));
        check("GET /\r\n\r\n", Err(400));
        check("", Err(0));
        check(&format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(20_000)), Err(431));
    }

    #[test]
    fn pipelined_requests_are_read_one_by_one() {
        let mut input = "POST /a HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET /b HTTP/1.1\r\n\r\n".as_bytes();
        assert_eq!(read(&mut input).expect("first").path, "/a");
        assert_eq!(read(&mut input).expect("second").path, "/b");
        assert!(matches!(read(&mut input), Err(Refused::Gone)));
    }
}
