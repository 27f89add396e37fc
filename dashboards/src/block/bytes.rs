//! Numbers and texts in a file's bytes.

use std::path::{Path, PathBuf};

use super::BlockError;

/// A position in a file that is held in memory.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    path: &'a Path,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize, path: &'a Path) -> Self {
        Self { bytes, at, path }
    }

    pub(super) fn damaged(&self, what: impl Into<String>) -> BlockError {
        BlockError::Damaged { path: self.path.to_owned(), offset: self.at, what: what.into() }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], BlockError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let taken = self.bytes.get(self.at..end.ok_or_else(|| self.damaged(format!("{count} bytes are missing")))?);
        self.at += count;
        Ok(taken.unwrap_or_default())
    }

    pub(super) fn u8(&mut self) -> Result<u8, BlockError> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, BlockError> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(super) fn u64(&mut self) -> Result<u64, BlockError> {
        Ok(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }

    pub(super) fn uvarint(&mut self) -> Result<u64, BlockError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.damaged("a number has too many bytes"))
    }

    /// A number that counts things in memory.
    pub(super) fn count(&mut self) -> Result<usize, BlockError> {
        let value = self.uvarint()?;
        usize::try_from(value).map_err(|_| self.damaged("a count is beyond memory"))
    }

    pub(super) fn varint(&mut self) -> Result<i64, BlockError> {
        let value = self.uvarint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, BlockError> {
        let length = self.count()?;
        let at = self.at;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| {
            let place = Cursor { at, ..self.clone() };
            place.damaged("a text is not UTF-8")
        })
    }

    /// Checks the checksum that follows the bytes since `from`.
    pub(super) fn check(&mut self, from: usize) -> Result<(), BlockError> {
        let covered = self.bytes.get(from..self.at).unwrap_or_default();
        let sum = crc32c::crc32c(covered);
        if self.u32()? != sum {
            return Err(self.damaged("the checksum is wrong"));
        }
        Ok(())
    }
}

pub(super) fn push_uvarint(out: &mut Vec<u8>, value: u64) {
    prost::encoding::encode_varint(value, out);
}

pub(super) fn push_varint(out: &mut Vec<u8>, value: i64) {
    push_uvarint(out, ((value << 1) ^ (value >> 63)) as u64);
}

pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    push_uvarint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// An error of a file.
pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> BlockError {
    let path = PathBuf::from(path);
    move |source| BlockError::Io { path, source }
}
