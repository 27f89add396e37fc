//! How serious a free text is.

use vocab::Severity;

/// Bytes from the start of a text in which a level is looked for: levels stand in front.
const LOOK_BYTES_MAX: usize = 200;

/// Finds a level that stands as a word of its own: first one written as a level (`ERROR`, `[error]`, `warn:`), then a plain
/// word that means trouble.
pub(crate) fn severity_of_text(text: &str) -> Severity {
    let mut end = text.len().min(LOOK_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = &text[..end];
    let mut weak = Severity::Unknown;
    let bytes = head.as_bytes();
    let mut at = 0;
    for word in head.split(|c: char| !c.is_ascii_alphabetic()) {
        let (start, stop) = (at, at + word.len());
        at = stop + 1;
        // One-letter levels (`E`) are no words of a sentence to be trusted.
        if word.len() < 3 {
            continue;
        }
        let Ok(found) = word.parse::<Severity>() else {
            if word.eq_ignore_ascii_case("failed") || word.eq_ignore_ascii_case("failure") {
                weak = weak.max(Severity::Error);
            }
            continue;
        };
        let before = start.checked_sub(1).and_then(|i| bytes.get(i));
        let after = bytes.get(stop);
        let as_level = word.bytes().all(|c| c.is_ascii_uppercase())
            || after == Some(&b':')
            || matches!(before, Some(b'[' | b'<' | b'='));
        if as_level && found != Severity::Unknown {
            return found;
        }
        if found >= Severity::Warning && found != Severity::Alert {
            weak = weak.max(found);
        }
    }
    weak
}
