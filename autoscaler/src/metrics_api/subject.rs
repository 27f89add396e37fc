//! The common names of a certificate that is verified already.

/// Tag of a sequence in DER.
const SEQUENCE: u8 = 0x30;
/// Tag of a set.
const SET: u8 = 0x31;
/// Tag of the version that stands first in newer certificates.
const VERSION: u8 = 0xa0;
/// Tag of an object identifier.
const OBJECT_ID: u8 = 0x06;
/// The identifier 2.5.4.3, a common name.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The common names in a certificate's subject; none when it is not DER.
pub(super) fn common_names(certificate: &[u8]) -> Vec<String> {
    find(certificate).unwrap_or_default()
}

fn find(certificate: &[u8]) -> Option<Vec<String>> {
    let (tag, certificate, _) = take(certificate)?;
    let (inner_tag, mut rest, _) = take(certificate)?;
    if (tag, inner_tag) != (SEQUENCE, SEQUENCE) {
        return None;
    }
    if rest.first() == Some(&VERSION) {
        rest = take(rest)?.2;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        rest = take(rest)?.2;
    }
    let (tag, mut subject, _) = take(rest)?;
    if tag != SEQUENCE {
        return None;
    }
    let mut names = Vec::new();
    while !subject.is_empty() {
        let (tag, mut set, after) = take(subject)?;
        subject = after;
        while tag == SET && !set.is_empty() {
            let (_, pair, after) = take(set)?;
            set = after;
            let (tag, id, value) = take(pair)?;
            if tag == OBJECT_ID && id == COMMON_NAME {
                names.push(String::from_utf8_lossy(take(value)?.1).into_owned());
            }
        }
    }
    Some(names)
}

/// The first element: its tag, its content, and what follows it.
fn take(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if length >= 0x80 {
        let digits = length - 0x80;
        if digits == 0 || digits > 4 || rest.len() < digits {
            return None;
        }
        length = rest[..digits].iter().fold(0, |sum, b| sum * 256 + usize::from(*b));
        rest = &rest[digits..];
    }
    (length <= rest.len()).then(|| (*tag, &rest[..length], &rest[length..]))
}
