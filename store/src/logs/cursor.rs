//! A record's place in the order of time: what pages of a search continue from.

use vocab::PortError;
use vocab::ports::logs::Direction;

/// Time, and the number the record got when it was taken; unique within a tenant and kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Nanoseconds since the Unix epoch.
    pub(crate) time_ns: i64,
    /// Number of the record.
    pub(crate) seq: u64,
}

/// Flips a time so that its unsigned order is the order of time.
fn ordered(time_ns: i64) -> u64 {
    (time_ns as u64) ^ (1 << 63)
}

impl Key {
    /// Writes the cursor: sorts as a result in this direction does.
    pub(crate) fn cursor(self, direction: Direction) -> String {
        let (time, seq) = (ordered(self.time_ns), self.seq);
        match direction {
            Direction::Forward => format!("f{time:016x}{seq:016x}"),
            Direction::Backward => format!("b{:016x}{:016x}", !time, !seq),
        }
    }

    /// Reads a cursor of either direction.
    pub(crate) fn parse(cursor: &str) -> Result<Self, PortError> {
        let wrong = || PortError::invalid(format!("invalid cursor {cursor:?}: want the one of a found record"));
        let half = |range: std::ops::Range<usize>| {
            let digits = cursor.get(range).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
            digits.and_then(|d| u64::from_str_radix(d, 16).ok()).ok_or_else(wrong)
        };
        if cursor.len() != 33 {
            return Err(wrong());
        }
        let (time, seq) = (half(1..17)?, half(17..33)?);
        let (time, seq) = match cursor.as_bytes().first() {
            Some(b'f') => (time, seq),
            Some(b'b') => (!time, !seq),
            _ => return Err(wrong()),
        };
        Ok(Self { time_ns: (time ^ (1 << 63)) as i64, seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn cursors_come_back_and_sort_as_results_do(a: (i64, u64), b: (i64, u64)) {
            let (a, b) = (Key { time_ns: a.0, seq: a.1 }, Key { time_ns: b.0, seq: b.1 });
            let (forward, backward) = (Direction::Forward, Direction::Backward);
            proptest::prop_assert_eq!(Key::parse(&a.cursor(forward)).ok(), Some(a));
            proptest::prop_assert_eq!(Key::parse(&a.cursor(backward)).ok(), Some(a));
            proptest::prop_assert_eq!(a.cmp(&b), a.cursor(forward).cmp(&b.cursor(forward)));
            proptest::prop_assert_eq!(a.cmp(&b), b.cursor(backward).cmp(&a.cursor(backward)));
        }

        #[test]
        fn foreign_text_is_refused(text in ".{0,40}") {
            if let Ok(key) = Key::parse(&text) {
                proptest::prop_assert_eq!(text.len(), 33);
                proptest::prop_assert!(key.cursor(Direction::Forward).eq_ignore_ascii_case(&text)
                    || key.cursor(Direction::Backward).eq_ignore_ascii_case(&text));
            }
        }
    }
}
