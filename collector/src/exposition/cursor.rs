//! A position in a body and the small lexical steps both formats share.

/// A position in a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) body: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    /// The byte here, or `None` at the end.
    pub(super) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    /// Takes the byte if it is `wanted`.
    pub(super) fn take(&mut self, wanted: u8) -> bool {
        let hit = self.peek() == Some(wanted);
        self.at += usize::from(hit);
        hit
    }

    /// Takes the text if it comes next.
    pub(super) fn take_text(&mut self, wanted: &[u8]) -> bool {
        let hit = self.body[self.at..].starts_with(wanted);
        if hit {
            self.at += wanted.len();
        }
        hit
    }

    /// Skips blanks and tabs; says whether there were any.
    pub(super) fn skip_blanks(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        self.at > start
    }

    /// Takes bytes while `wanted` holds.
    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        &self.body[start..self.at]
    }

    /// Takes a bare name; `colons` are allowed in metric names only.
    pub(super) fn take_name(&mut self, colons: bool) -> Option<(usize, usize)> {
        let start = self.at;
        let first = |c: u8| c.is_ascii_alphabetic() || c == b'_' || (colons && c == b':');
        if !self.peek().is_some_and(first) {
            return None;
        }
        self.take_while(|c| first(c) || c.is_ascii_digit());
        Some((start, self.at))
    }

    /// Takes a quoted text with backslash escapes and gives the range inside the quotes.
    pub(super) fn take_quoted(&mut self, newlines: bool) -> Option<(usize, usize)> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let start = self.at + 1;
        let mut from = start;
        loop {
            let rest = self.body.get(from..)?;
            let stop = from + memchr::memchr2(b'"', b'\\', rest)?;
            if !newlines && memchr::memchr(b'\n', &self.body[from..stop]).is_some() {
                return None;
            }
            if self.body[stop] == b'"' {
                self.at = stop + 1;
                return Some((start, stop));
            }
            if matches!(self.body.get(stop + 1), None | Some(b'\n')) {
                return None;
            }
            from = stop + 2;
        }
    }

    /// Takes everything up to the end of the line, which is left standing.
    pub(super) fn take_line(&mut self) -> &'a [u8] {
        let rest = &self.body[self.at..];
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        self.at += line.len();
        line
    }

    /// The number of the line the position is on, from 1.
    pub(super) fn line_number(&self) -> usize {
        1 + memchr::memchr_iter(b'\n', &self.body[..self.at.min(self.body.len())]).count()
    }
}
