//! The access log: one JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::time;

/// Writes lines; does nothing when no file was asked for.
#[derive(Debug)]
pub(crate) struct AccessLog {
    file: Option<File>,
}

impl AccessLog {
    /// Opens the file for appending.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else { return Ok(Self { file: None }) };
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self { file: Some(file.map_err(|e| format!("cannot write the access log {}: {e}", path.display()))?) })
    }

    /// Writes one line. A line is one `write` to a file opened for appending, so that threads need no lock between them;
    /// a full disk loses lines, not requests.
    pub(crate) fn line(&self, client: SocketAddr, method: &str, path: &str, status: u16, bytes: usize, took: Duration) {
        let Some(mut file) = self.file.as_ref() else { return };
        let text = format!(
            "{{\"time\":\"{}\",\"level\":\"{}\",\"client\":\"{client}\",\"method\":{},\"path\":{},\"status\":{status},\"bytes\":{bytes},\"duration_ms\":{:.3}}}\n",
            time::rfc3339(time::since_epoch()),
            if status < 500 { "info" } else { "error" },
            quoted(method),
            quoted(path),
            took.as_secs_f64() * 1000.0,
        );
        let _full = file.write_all(text.as_bytes());
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_break_out_of_their_string() {
        assert_eq!(quoted("/a\"b\\c\u{1}d"), "\"/a\\\"b\\\\c\\u0001d\"");
    }
}
