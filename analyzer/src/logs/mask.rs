//! Cuts a line into tokens and masks what is variable by its form alone.
//!
//! One pass over the bytes, no regular expressions, no allocation: the scanner tells a [`Sink`] what it sees, and the miner's
//! hot path only hashes.

/// The mark of a variable part.
pub const WILD: &str = "<*>";
/// Most tokens looked at; a longer line is told apart by its beginning.
pub const TOKENS_MAX: usize = 192;
/// Most bytes looked at.
pub const LINE_BYTES_MAX: usize = 8 * 1024;

/// Receives the masked line piece by piece.
pub trait Sink {
    /// A constant piece of the current token.
    fn constant(&mut self, piece: &[u8]);
    /// A variable piece of the current token; never twice in a row.
    fn wild(&mut self);
    /// The token is complete.
    fn end_token(&mut self);
}

/// Scans a line.
pub fn scan(line: &[u8], sink: &mut impl Sink) {
    let line = &line[..line.len().min(LINE_BYTES_MAX)];
    let mut position = 0;
    let mut tokens = 0;
    let mut after_size = false;
    while tokens < TOKENS_MAX {
        while line.get(position).is_some_and(u8::is_ascii_whitespace) {
            position += 1;
        }
        if position >= line.len() {
            break;
        }
        let end = position + line[position..].iter().position(u8::is_ascii_whitespace).unwrap_or(line.len() - position);
        let token = &line[position..end];
        if after_size && let Some(skip) = repeated_size(&line[position..]) {
            position += skip;
            after_size = false;
            continue;
        }
        if let Some(skip) = less_than_duration(&line[position..]) {
            sink.wild();
            sink.end_token();
            position += skip;
        } else {
            scan_token(token, sink);
            sink.end_token();
            position = end;
        }
        after_size = is_size_unit(token);
        tokens += 1;
    }
}

/// The units that a size is written in.
fn is_size_unit(word: &[u8]) -> bool {
    matches!(word, b"bytes" | b"byte" | b"B" | b"KB" | b"MB" | b"GB" | b"TB" | b"KiB" | b"MiB" | b"GiB")
}

/// `(2.15 KB)` after `2210 bytes` says the same again, and only for large sizes: the length to skip.
fn repeated_size(rest: &[u8]) -> Option<usize> {
    let inner = rest.strip_prefix(b"(")?;
    let close = inner.iter().take(24).position(|&b| b == b')')?;
    let blank = inner[..close].iter().position(|&b| b == b' ')?;
    let (number, unit) = (&inner[..blank], &inner[blank + 1..close]);
    let numeric = !number.is_empty() && number.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b','));
    (numeric && is_size_unit(unit)).then_some(close + 2)
}

/// `<1 sec`: a duration too short to print.
fn less_than_duration(rest: &[u8]) -> Option<usize> {
    let inner = rest.strip_prefix(b"<")?;
    let digits = inner.iter().take_while(|b| b.is_ascii_digit()).count();
    let unit = inner.get(digits..)?.strip_prefix(b" ")?;
    let letters = unit.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let known = matches!(&unit[..letters], b"sec" | b"s" | b"ms" | b"us" | b"min" | b"second" | b"minute");
    (digits > 0 && known).then_some(1 + digits + 1 + letters)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Bytes that, between two variable parts, belong to the variable: `10.0.0.1`, `12:30:01`, `a1~b2`.
fn is_joiner(byte: u8) -> bool {
    matches!(byte, b'.' | b'-' | b':' | b'/' | b'~' | b'@' | b'+' | b',')
}

/// Bytes that end a path or URL.
fn ends_path(byte: u8) -> bool {
    matches!(
        byte,
        b',' | b';' | b':' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b'\'' | b'<' | b'>' | b'|' | b'='
    )
}

fn ends_url(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'<' | b'>' | b')' | b']' | b'}' | b',' | b';' | b'|')
}

/// Emits pieces of one token, so that two variable parts with only joiners between them become one.
struct Pieces<'s, S> {
    sink: &'s mut S,
    last_wild: bool,
}

impl<S: Sink> Pieces<'_, S> {
    fn constant(&mut self, joiners: &[u8], piece: &[u8]) {
        if !joiners.is_empty() {
            self.sink.constant(joiners);
        }
        if !piece.is_empty() {
            self.sink.constant(piece);
        }
        if !joiners.is_empty() || !piece.is_empty() {
            self.last_wild = false;
        }
    }

    fn wild(&mut self, joiners: &[u8]) {
        if !self.last_wild {
            self.constant(joiners, &[]);
            self.sink.wild();
            self.last_wild = true;
        }
    }
}

fn scan_token(token: &[u8], sink: &mut impl Sink) {
    let mut pieces = Pieces { sink, last_wild: false };
    let mut position = 0;
    let mut joiners = 0..0;
    while position < token.len() {
        let rest = &token[position..];
        let starts_word = position == 0 || !is_word(token[position - 1]);
        if let Some(length) = starts_word.then(|| variable_form(token, position)).flatten() {
            pieces.wild(&token[joiners.clone()]);
            position += length;
            joiners = position..position;
            continue;
        }
        let length = rest.iter().take_while(|&&b| is_word(b)).count();
        if length > 0 {
            let word = &rest[..length];
            if is_variable_word(word) || (is_calendar_word(word) && beside_number(token, position, length)) {
                pieces.wild(&token[joiners.clone()]);
            } else {
                pieces.constant(&token[joiners.clone()], word);
            }
            position += length;
            joiners = position..position;
        } else if is_joiner(rest[0]) {
            joiners.end += 1;
            position += 1;
        } else {
            pieces.constant(&token[joiners.clone()], &rest[..1]);
            position += 1;
            joiners = position..position;
        }
    }
    pieces.constant(&token[joiners], &[]);
}

/// Length of a URL, path, host with port, signed number, or address-like run that starts here.
fn variable_form(token: &[u8], at: usize) -> Option<usize> {
    let rest = &token[at..];
    match rest[0] {
        b'/' if at == 0 || !is_word(token[at - 1]) && !matches!(token[at - 1], b'.' | b'>' | b'/') => path(rest),
        b'-' | b'+' if rest.get(1).is_some_and(u8::is_ascii_digit) && (at == 0 || !is_joiner(token[at - 1])) => Some(1),
        first if is_word(first) => {
            url(rest).or_else(|| drive_path(rest)).or_else(|| host_port(rest)).or_else(|| address(rest))
        }
        _ => None,
    }
}

fn path(rest: &[u8]) -> Option<usize> {
    if !rest.get(1).is_some_and(|&b| is_word(b) || b == b'.') {
        return None;
    }
    Some(match rest.iter().position(|&b| b == b'?' || ends_path(b)) {
        Some(query) if rest[query] == b'?' => {
            query + rest[query..].iter().position(|&b| ends_url(b)).unwrap_or(rest.len() - query)
        }
        Some(end) => end,
        None => rest.len(),
    })
}

fn drive_path(rest: &[u8]) -> Option<usize> {
    let is_drive = rest[0].is_ascii_alphabetic() && rest.get(1) == Some(&b':') && rest.get(2) == Some(&b'\\');
    is_drive.then(|| rest.iter().position(|&b| ends_url(b)).unwrap_or(rest.len()))
}

fn url(rest: &[u8]) -> Option<usize> {
    let scheme = rest.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    rest[scheme..].starts_with(b"://").then(|| rest.iter().position(|&b| ends_url(b)).unwrap_or(rest.len()))
}

/// `www.example.org:443`
fn host_port(rest: &[u8]) -> Option<usize> {
    let host = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')).count();
    let digits = rest.get(host + 1..)?.iter().take_while(|b| b.is_ascii_digit()).count();
    let end = host + 1 + digits;
    let ends = rest.get(end).is_none_or(|&b| !is_word(b));
    (rest[host] == b':' && rest[..host].contains(&b'.') && (2..=5).contains(&digits) && ends).then_some(end)
}

/// Hexadecimal groups with separators: IP and MAC addresses, UUIDs, dates, times.
fn address(rest: &[u8]) -> Option<usize> {
    let is_part = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'-');
    let mut length = rest.iter().take_while(|b| is_part(b)).count();
    while length > 0 && !rest[length - 1].is_ascii_hexdigit() {
        length -= 1;
    }
    let run = &rest[..length];
    let separators = run.iter().filter(|b| !b.is_ascii_hexdigit()).count();
    let digits = run.iter().filter(|b| b.is_ascii_digit()).count();
    let ends = rest.get(length).is_none_or(|&b| !is_word(b));
    (separators >= 2 && digits >= 2 && ends).then_some(length)
}

/// Numbers, identifiers with numbers in them, hexadecimal words, booleans.
fn is_variable_word(word: &[u8]) -> bool {
    let digits = word.iter().filter(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return word.len() <= 5 && [b"true".as_slice(), b"false", b"null"].iter().any(|w| word.eq_ignore_ascii_case(w));
    }
    let starts = word[0].is_ascii_digit();
    let ends = word[word.len() - 1].is_ascii_digit();
    let hex = word.len() >= 6 && word.iter().all(u8::is_ascii_hexdigit);
    starts || hex || digits >= 3 || (digits == 2 && ends)
}

/// Names of months and days: variable only beside a number.
fn is_calendar_word(word: &[u8]) -> bool {
    word.len() == 3
        && matches!(
            word,
            b"Jan" | b"Feb" | b"Mar" | b"Apr" | b"May" | b"Jun" | b"Jul" | b"Aug" | b"Sep" | b"Oct" | b"Nov" | b"Dec"
        )
}

fn beside_number(token: &[u8], at: usize, length: usize) -> bool {
    let near = |index: Option<usize>| index.and_then(|i| token.get(i)).is_some_and(u8::is_ascii_digit);
    near(at.checked_sub(2)) && near(Some(at + length + 1))
}

/// Writes the masked tokens as text.
#[derive(Debug, Default)]
pub struct TextSink {
    /// Finished tokens.
    pub tokens: Vec<String>,
    current: Vec<u8>,
}

impl Sink for TextSink {
    fn constant(&mut self, piece: &[u8]) {
        self.current.extend_from_slice(piece);
    }

    fn wild(&mut self) {
        self.current.extend_from_slice(WILD.as_bytes());
    }

    fn end_token(&mut self) {
        self.tokens.push(String::from_utf8_lossy(&self.current).into_owned());
        self.current.clear();
    }
}

/// The masked tokens of a line.
pub fn tokens(line: &[u8]) -> Vec<String> {
    let mut sink = TextSink::default();
    scan(line, &mut sink);
    sink.tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_variable_by_its_form_is_masked() {
        let check = |line: &str, expect: &str| assert_eq!(tokens(line.as_bytes()).join(" "), expect, "{line}");
        check("unit_2() took worker 4411 from slot 8", "unit_2() took worker <*> from slot <*>");
        check("reading /opt/shop/conf/pool3.toml: ok", "reading <*>: ok");
        check("wrote dump.73120", "wrote dump.<*>");
        check("10.0.0.1:8080 -> fe80::1c2d:3e4f%en0", "<*> -> <*>%en0");
        check("at 2026-11-21T10:00:00.123Z done in 15ms", "at <*> done in <*>");
        check(
            "api.example.org:443 closed, 2210 bytes (2.15 KB) out, after <1 sec",
            "<*> closed, <*> bytes out, after <*>",
        );
        check("a.b.c:80 closed, 13 bytes out, after 00:05", "<*> closed, <*> bytes out, after <*>");
        check("share of job_1445_0020_m_01 is : 0.295", "share of <*> is : <*>");
        check("code=-16020 (x) en0: IPV6 channel", "code=<*> (x) en0: IPV6 channel");
        check("[21/Nov/2026:11:00:00.123] fe web/web1 0/0/1/5/6 200", "[<*>] fe web/web1 <*> <*>");
        check("\"GET /burn?ms=5&x=y HTTP/1.1\"", "\"GET <*> HTTP/<*>\"");
        check("get http://h/x?y=1, then", "get <*>, then");
        check("May the 4th", "May the <*>");
        check("path=/a/b,/c id=0x90F12C ok=true", "path=<*> id=<*> ok=<*>");
        check("", "");
        check("  \t ", "");
        check("任务 42 完成", "任务 <*> 完成");
    }

    proptest! {
        #[test]
        fn any_bytes_are_scanned(line in prop::collection::vec(any::<u8>(), 0..300)) {
            let got = tokens(&line);
            prop_assert!(got.len() <= TOKENS_MAX);
            prop_assert!(!got.iter().any(|t| t.contains("<*><*>") && !line.contains(&b'<')));
        }
    }
}
