//! How a record stands in a segment: length, checksum, bytes.

/// Bytes before each record: its length and a CRC32C over length and record, both little-endian `u32`.
pub(super) const HEADER_BYTES: usize = 8;

/// Appends a framed record. The caller has checked that the length fits.
pub(super) fn push(buffer: &mut Vec<u8>, record: &[u8]) {
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes();
    buffer.extend_from_slice(&length);
    buffer.extend_from_slice(&checksum(length, record).to_le_bytes());
    buffer.extend_from_slice(record);
}

/// What stands at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// An intact record and the bytes after it.
    Record(&'a [u8], &'a [u8]),
    /// The segment ends here.
    End,
    /// The frame reaches past the end of the segment, or only zeros follow: the last write did not complete.
    Torn,
    /// The checksum does not fit although the frame is whole.
    Damaged,
}

/// Reads the frame at the beginning of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Frame<'_> {
    if bytes.is_empty() {
        return Frame::End;
    }
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Frame::Torn };
    let [l0, l1, l2, l3, c0, c1, c2, c3] = *header;
    let length_bytes = [l0, l1, l2, l3];
    let length = u32::from_le_bytes(length_bytes) as usize;
    if length == 0 {
        // A file system may leave zeros where data did not reach the device; a record is never empty.
        return if bytes.iter().all(|&b| b == 0) { Frame::Torn } else { Frame::Damaged };
    }
    let Some((record, after)) = rest.split_at_checked(length) else {
        // A length beyond what can be written is a flipped bit, not a torn write.
        return if length <= super::RECORD_BYTES_MAX { Frame::Torn } else { Frame::Damaged };
    };
    if checksum(length_bytes, record) == u32::from_le_bytes([c0, c1, c2, c3]) {
        Frame::Record(record, after)
    } else if after.is_empty() {
        // The last frame: its length reached the device, its bytes did not.
        Frame::Torn
    } else {
        Frame::Damaged
    }
}

fn checksum(length: [u8; 4], record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), record)
}
