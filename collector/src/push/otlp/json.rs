//! What protobuf's JSON mapping leaves open: numbers that may be texts, enums that may be names, bytes in hexadecimal.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine as _;
use serde::de::{Deserialize, Deserializer, Error};

/// A number as it may be written: protobuf writes 64-bit integers as texts, people write numbers.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(serde_json::Number),
    Text(String),
}

fn parse<T: FromStr<Err: Display>, E: Error>(raw: NumberOrText) -> Result<T, E> {
    let text = match raw {
        NumberOrText::Number(number) => number.to_string(),
        NumberOrText::Text(text) => text,
    };
    // `5.0` is a whole number, too.
    let whole = text.strip_suffix(".0").unwrap_or(&text);
    whole.trim().parse().map_err(|e| E::custom(format!("{text:?} is not a fitting number: {e}")))
}

/// A number or its text; `null` is 0.
pub(super) fn number<'de, D: Deserializer<'de>, T: FromStr<Err: Display> + Default>(from: D) -> Result<T, D::Error> {
    Option::<NumberOrText>::deserialize(from)?.map_or_else(|| Ok(T::default()), parse)
}

/// As [`number`], where absence means something.
pub(super) fn optional<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(from: D) -> Result<Option<T>, D::Error> {
    Option::<NumberOrText>::deserialize(from)?.map(parse).transpose()
}

/// A list of numbers; `null` is the empty one.
pub(super) fn numbers<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(from: D) -> Result<Vec<T>, D::Error> {
    let list = Option::<Vec<NumberOrText>>::deserialize(from)?;
    list.unwrap_or_default().into_iter().map(parse).collect()
}

fn named<'de, D: Deserializer<'de>>(from: D, of: impl Fn(&str) -> Option<i32>) -> Result<i32, D::Error> {
    match Option::<NumberOrText>::deserialize(from)? {
        None => Ok(0),
        Some(NumberOrText::Text(name)) if of(&name).is_some() => Ok(of(&name).unwrap_or(0)),
        Some(raw) => parse(raw),
    }
}

/// `aggregationTemporality`, by number or by name.
pub(super) fn temporality<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    named(from, |name| match name {
        "AGGREGATION_TEMPORALITY_UNSPECIFIED" => Some(0),
        "AGGREGATION_TEMPORALITY_DELTA" => Some(1),
        "AGGREGATION_TEMPORALITY_CUMULATIVE" => Some(2),
        _ => None,
    })
}

/// `severityNumber`, by number or by name (`SEVERITY_NUMBER_INFO2`).
pub(super) fn severity<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    named(from, |name| {
        let name = name.strip_prefix("SEVERITY_NUMBER_")?;
        let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let step: i32 = if word.len() == name.len() { 1 } else { name[word.len()..].parse().ok()? };
        let first = match word {
            "UNSPECIFIED" => return Some(0),
            "TRACE" => 1,
            "DEBUG" => 5,
            "INFO" => 9,
            "WARN" => 13,
            "ERROR" => 17,
            "FATAL" => 21,
            _ => return None,
        };
        (1..=4).contains(&step).then_some(first + step - 1)
    })
}

/// A trace or span id: OTLP writes them in hexadecimal, unlike other bytes.
pub(super) fn hexadecimal<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = Option::<String>::deserialize(from)?.unwrap_or_default();
    let digits = text.as_bytes();
    let pairs = digits.chunks(2).map(|pair| {
        let digit = |c: u8| char::from(c).to_digit(16);
        Some((digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?) as u8)
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    bytes.ok_or_else(|| D::Error::custom(format!("{text:?} is not an id in hexadecimal")))
}

/// Bytes in base64.
pub(super) fn base64<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let bytes = base64::engine::general_purpose::STANDARD.decode(&text);
    bytes.map(Some).map_err(|e| D::Error::custom(format!("bytesValue is not base64: {e}")))
}
