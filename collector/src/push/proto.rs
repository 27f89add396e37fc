//! Walks over the fields of a protobuf message where it lies, without copying what stands in it.

/// The message breaks off, or a field is not what its number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("damaged protobuf body: {0}")]
pub(super) struct Damage(pub(super) &'static str);

/// The content of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1, `double` and 64-bit integers of fixed size.
    Fixed64(u64),
    /// Wire type 2: texts, messages, packed lists.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

const WRONG: Damage = Damage("a field has another type than it should");
const SHORT: Damage = Damage("it ends too early");

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Damage> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(WRONG) }
    }

    pub(super) fn varint(self) -> Result<u64, Damage> {
        if let Self::Varint(number) = self { Ok(number) } else { Err(WRONG) }
    }

    pub(super) fn double(self) -> Result<f64, Damage> {
        if let Self::Fixed64(bits) = self { Ok(f64::from_bits(bits)) } else { Err(WRONG) }
    }
}

/// Iterates over the fields of a message: their numbers and contents, as they stand. Ends after the first mistake.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    #[inline]
    fn read(&mut self) -> Result<(u32, Value<'a>), Damage> {
        let tag = varint(&mut self.rest)?;
        let number = u32::try_from(tag >> 3).map_err(|_| Damage("a field number is out of range"))?;
        if number == 0 {
            return Err(Damage("a field has the number 0"));
        }
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).map_err(|_| SHORT)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(SHORT)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Damage("a field has an unknown type")),
        };
        Ok((number, value))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*array)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Damage>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.rest = &[];
        }
        Some(read)
    }
}

/// Takes a variable-length integer from the front.
#[inline]
pub(super) fn varint(rest: &mut &[u8]) -> Result<u64, Damage> {
    let mut value = 0u64;
    for (index, &byte) in rest.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *rest = &rest[index + 1..];
            return Ok(value);
        }
    }
    Err(if rest.len() < 10 { SHORT } else { Damage("a number has too many bytes") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_wire_type_and_mistake() {
        let check = |message: &[u8], expect: &[Result<(u32, Value<'_>), &str>]| {
            let found: Vec<_> = Fields::new(message).map(|f| f.map_err(|e| e.0)).collect();
            assert_eq!(found, expect, "{message:?}");
        };
        check(b"", &[]);
        check(&[0x08, 0xac, 0x02, 0x12, 2, b'h', b'i'], &[Ok((1, Value::Varint(300))), Ok((2, Value::Bytes(b"hi")))]);
        check(
            &[0x09, 1, 0, 0, 0, 0, 0, 0, 0, 0x15, 2, 0, 0, 0],
            &[Ok((1, Value::Fixed64(1))), Ok((2, Value::Fixed32(2)))],
        );
        check(&[0x12, 3, b'h', b'i'], &[Err("it ends too early")]);
        check(&[0x08, 0x80], &[Err("it ends too early")]);
        check(&[0x08, 1, 0x0b], &[Ok((1, Value::Varint(1))), Err("a field has an unknown type")]);
        check(&[0x00, 1], &[Err("a field has the number 0")]);
        check(&[0xff; 12], &[Err("a number has too many bytes")]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(message in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Fields::new(&message).count() <= message.len());
        }
    }
}
