//! Content encodings, with a limit on what comes out.

use std::borrow::Cow;
use std::io::Read;

use vocab::PortError;
use vocab::ports::ingest::IngestProtocol;

use super::BODY_BYTES_MAX;

/// Decodes a body. Remote write is snappy's block format whatever its header says.
///
/// # Errors
/// `Invalid` when the body is damaged, too large, or its encoding unknown.
pub(super) fn decode<'a>(body: &'a [u8], encoding: &str, protocol: IngestProtocol) -> Result<Cow<'a, [u8]>, PortError> {
    let encoding = encoding.trim().to_ascii_lowercase();
    match encoding.as_str() {
        "snappy" => snappy(body).map(Cow::Owned),
        "" if protocol == IngestProtocol::RemoteWrite => snappy(body).map(Cow::Owned),
        "" | "identity" => limited(body.len()).map(|()| Cow::Borrowed(body)),
        "gzip" => read(flate2::read::MultiGzDecoder::new(body), "gzip").map(Cow::Owned),
        "zstd" => {
            let decoder = zstd::stream::read::Decoder::new(body).map_err(|e| damaged("zstd", &e))?;
            read(decoder, "zstd").map(Cow::Owned)
        }
        other => {
            Err(PortError::invalid(format!("unknown content encoding {other:?}: want snappy, gzip, zstd or none")))
        }
    }
}

fn damaged(name: &str, error: &dyn std::fmt::Display) -> PortError {
    PortError::invalid(format!("damaged {name} body: {error}"))
}

fn limited(length: usize) -> Result<(), PortError> {
    if length > BODY_BYTES_MAX {
        return Err(PortError::invalid(format!("body is larger than {BODY_BYTES_MAX} bytes: send less at once")));
    }
    Ok(())
}

fn snappy(body: &[u8]) -> Result<Vec<u8>, PortError> {
    // The length stands in front, so a bomb is refused before anything is allocated.
    limited(snap::raw::decompress_len(body).map_err(|e| damaged("snappy", &e))?)?;
    snap::raw::Decoder::new().decompress_vec(body).map_err(|e| damaged("snappy", &e))
}

fn read(decoder: impl Read, name: &str) -> Result<Vec<u8>, PortError> {
    let mut out = Vec::new();
    decoder.take(BODY_BYTES_MAX as u64 + 1).read_to_end(&mut out).map_err(|e| damaged(name, &e))?;
    limited(out.len())?;
    Ok(out)
}
