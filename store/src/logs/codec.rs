//! A batch as a record of the write-ahead log.
//!
//! Layout, all integers as LEB128 varints unless said otherwise, texts as length and bytes: format version (one byte),
//! tenant, number of the first record, source and offset (an empty source means none), count; then for each record time
//! (8 bytes, little endian), severity (one byte), pattern (8 bytes), service, body, packed labels, count of fields, names and
//! values. Described in `docs/formats/split.md`.

use vocab::ports::logs::SourcePosition;
use vocab::{Labels, LogRecord, Severity, TenantId};

/// Version of the layout.
const VERSION: u8 = 1;

/// A batch as the write-ahead log keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WalBatch {
    /// Whose.
    pub(crate) tenant: TenantId,
    /// Number of the first record; the others follow.
    pub(crate) first_seq: u64,
    /// Where the batch ends in its source.
    pub(crate) position: Option<SourcePosition>,
    /// The records.
    pub(crate) records: Vec<LogRecord>,
}

/// Encodes a batch.
pub(crate) fn encode(
    tenant: &TenantId,
    first_seq: u64,
    position: Option<&SourcePosition>,
    records: &[LogRecord],
) -> Vec<u8> {
    let size = records.iter().map(LogRecord::heap_bytes).sum::<usize>();
    let mut out = Vec::with_capacity(size + 64);
    out.push(VERSION);
    push_text(&mut out, tenant.as_str());
    push_number(&mut out, first_seq);
    push_text(&mut out, position.map_or("", |p| p.source.as_str()));
    push_number(&mut out, position.map_or(0, |p| p.offset));
    push_number(&mut out, records.len() as u64);
    for record in records {
        out.extend_from_slice(&record.time_ns.to_le_bytes());
        out.push(rank(record.severity));
        out.extend_from_slice(&record.pattern_id.to_le_bytes());
        push_text(&mut out, &record.service);
        push_text(&mut out, &record.body);
        push_text(&mut out, record.labels.packed());
        push_number(&mut out, record.fields.len() as u64);
        for (name, value) in &record.fields {
            push_text(&mut out, name);
            push_text(&mut out, value);
        }
    }
    out
}

/// Decodes a batch; `None` when the bytes are not one.
pub(crate) fn decode(bytes: &[u8]) -> Option<WalBatch> {
    let mut input = Input(bytes);
    if input.byte()? != VERSION {
        return None;
    }
    let tenant = TenantId::new(input.text()?).ok()?;
    let first_seq = input.number()?;
    let source = input.text()?.to_owned();
    let offset = input.number()?;
    let count = input.number()?;
    let mut records = Vec::new();
    for _ in 0..count {
        records.push(input.record()?);
    }
    let position = (!source.is_empty()).then_some(SourcePosition { source, offset });
    input.0.is_empty().then_some(WalBatch { tenant, first_seq, position, records })
}

/// A severity as a number, 0 for unknown up to 9 for emergency.
pub(crate) fn rank(severity: Severity) -> u8 {
    // The order of the variants is the order of `Severity::ALL`.
    severity as u8
}

/// The severity of a number.
pub(crate) fn of_rank(rank: u64) -> Option<Severity> {
    Severity::ALL.get(usize::try_from(rank).ok()?).copied()
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    out.push(number as u8);
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    fn eight(&mut self) -> Option<[u8; 8]> {
        self.take(8)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn record(&mut self) -> Option<LogRecord> {
        let time_ns = i64::from_le_bytes(self.eight()?);
        let severity = of_rank(u64::from(self.byte()?))?;
        let pattern_id = u64::from_le_bytes(self.eight()?);
        let service = self.text()?.to_owned();
        let body = self.text()?.to_owned();
        let labels = Labels::from_packed(self.text()?)?;
        let mut fields = Vec::new();
        for _ in 0..self.number()? {
            fields.push((self.text()?.to_owned(), self.text()?.to_owned()));
        }
        Some(LogRecord { time_ns, service, severity, body, labels, fields, pattern_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> (TenantId, SourcePosition, Vec<LogRecord>) {
        let record = LogRecord {
            time_ns: -5,
            service: "web".into(),
            severity: Severity::Error,
            body: "支付失败 ".repeat(40),
            labels: Labels::from_pairs([("host", "a"), ("source", "journal")]),
            fields: vec![("empty".into(), String::new()), ("status".into(), "500".into())],
            pattern_id: u64::MAX,
        };
        let position = SourcePosition { source: "file:1".into(), offset: 1 << 40 };
        (TenantId::default(), position, vec![record, LogRecord::default()])
    }

    #[test]
    fn a_batch_comes_back() {
        let (tenant, position, records) = batch();
        let bytes = encode(&tenant, 300, Some(&position), &records);
        assert_eq!(decode(&bytes), Some(WalBatch { tenant, first_seq: 300, position: Some(position), records }));
    }

    #[test]
    fn severities_keep_their_numbers() {
        for (index, severity) in Severity::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(rank(severity)), index);
            assert_eq!(of_rank(index as u64), Some(severity));
        }
        assert_eq!(of_rank(10), None);
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_survived() {
        let (tenant, position, records) = batch();
        let bytes = encode(&tenant, 1, Some(&position), &records);
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "cut to {length}");
        }
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 0xff;
            let _any = decode(&damaged);
        }
    }
}
