//! Export to OpenMetrics text: a metric at a time, each series' samples in the order of time.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use dashboards::chunk::{ENCODING_XOR, decode_xor};
use dashboards::transfer::SeriesPart;
use vocab::{Labels, MatchOp, Matcher, is_stale_nan};

use super::{Wanted, Window, halves, read};
use crate::client::Client;

/// What was written, and what the format cannot hold.
#[derive(Debug, Default)]
struct Counts {
    samples: u64,
    native: u64,
}

pub(super) async fn export(client: &Client, out: &Path, wanted: &Wanted) -> Result<String> {
    // The selector's own words: the store knows which names it can match.
    let condition = |m: &Matcher| {
        let name = if is_plain(&m.name, false) { m.name.clone() } else { quoted(&m.name) };
        format!("{name}{}{}", m.op.as_str(), quoted(&m.value))
    };
    let selector: Vec<String> = wanted.matchers.iter().map(condition).collect();
    let seconds = |ms: i64| (ms as f64 / 1000.0).to_string();
    let query = [
        ("match[]", format!("{{{}}}", selector.join(","))),
        ("start", seconds(wanted.start)),
        ("end", seconds(wanted.end)),
    ];
    let query: Vec<(&str, &str)> = query.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let answer = client.ask("/api/v1/label/__name__/values", &query).await?;
    let names: Vec<&str> = answer["data"].as_array().into_iter().flatten().filter_map(|n| n.as_str()).collect();

    let file = File::create(out).with_context(|| format!("cannot write {}", out.display()))?;
    let mut file = BufWriter::new(file);
    let bar = crate::import::bar(names.len() as u64, "exporting");
    let mut counts = Counts::default();
    for name in &names {
        let mut matchers = wanted.matchers.clone();
        matchers.push(Matcher::new(MatchOp::Equal, "__name__", *name)?);
        // One metric is little: it is asked for as a whole first.
        let mut waiting = vec![(wanted.start, wanted.end)];
        while let Some(window) = waiting.pop() {
            let answered = read(client, &matchers, window, |part| {
                let text = lines(&part, &mut counts)?;
                Ok(file.write_all(text.as_bytes())?)
            });
            match (answered.await?, halves(window)) {
                (Window::Whole, _) => {}
                (Window::TooMuch, Some([first, second])) => waiting.extend([second, first]),
                (Window::TooMuch, None) => bail!("a minute of {name} is over the server's memory share of a query"),
            }
        }
        bar.inc(1);
    }
    file.write_all(b"# EOF\n")
        .and_then(|()| file.flush())
        .with_context(|| format!("cannot write {}", out.display()))?;
    bar.finish_and_clear();
    let mut said = format!("{} samples are in {}", counts.samples, out.display());
    if counts.native > 0 {
        let _never_fails =
            write!(said, "; {} native histograms are left out: OpenMetrics cannot hold them", counts.native);
    }
    Ok(said)
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn is_plain(name: &str, colons: bool) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || (colons && b == b':');
    name.bytes().all(fits) && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

/// A series' name and labels; a name beyond the plain alphabet stands in quotes inside the braces.
fn series_text(labels: &Labels) -> String {
    let name = labels.metric_name();
    let mut parts: Vec<String> = if is_plain(name, true) { Vec::new() } else { vec![quoted(name)] };
    for (label, value) in labels.iter().filter(|(n, _)| *n != "__name__") {
        let label = if is_plain(label, false) { label.to_owned() } else { quoted(label) };
        parts.push(format!("{label}={}", quoted(value)));
    }
    let outside = if is_plain(name, true) { name } else { "" };
    if parts.is_empty() { outside.to_owned() } else { format!("{outside}{{{}}}", parts.join(",")) }
}

fn lines(part: &SeriesPart, counts: &mut Counts) -> Result<String> {
    let series = series_text(&part.labels);
    let mut text = String::new();
    for chunk in &part.chunks {
        if chunk.encoding != ENCODING_XOR {
            counts.native += chunk.data.first_chunk::<2>().map_or(0, |head| u64::from(u16::from_be_bytes(*head)));
            continue;
        }
        // A marker of staleness is no value that the format could hold.
        for (time, value) in decode_xor(&chunk.data)?.into_iter().filter(|s| !is_stale_nan(s.1)) {
            let (sign, size) = (if time < 0 { "-" } else { "" }, time.unsigned_abs());
            let value = promql::format_value(value);
            writeln!(text, "{series} {value} {sign}{}.{:03}", size / 1000, size % 1000)?;
            counts.samples += 1;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dashboards::chunk::encode_xor;
    use dashboards::transfer::PartChunk;

    #[test]
    fn series_and_samples_are_written_so_that_they_can_be_read() {
        let labels = Labels::from_pairs([("__name__", "a"), ("b", "x\"\\\ny"), ("c.d", "1")]);
        assert_eq!(series_text(&labels), "a{b=\"x\\\"\\\\\\ny\",\"c.d\"=\"1\"}");
        assert_eq!(series_text(&Labels::from_pairs([("__name__", "a.b")])), "{\"a.b\"}");
        let samples = [(-1500, 1.5), (0, f64::INFINITY), (1, vocab::STALE_NAN), (1_234_567, 1e-7)];
        let data = encode_xor(samples);
        let chunk = PartChunk { min_time: -1500, max_time: 1_234_567, encoding: ENCODING_XOR, data };
        let part = SeriesPart { labels: Labels::from_pairs([("__name__", "m")]), chunks: vec![chunk] };
        let mut counts = Counts::default();
        let text = lines(&part, &mut counts).expect("valid");
        assert_eq!(text, "m 1.5 -1.500\nm +Inf 0.000\nm 1e-07 1234.567\n");
        assert_eq!(counts.samples, 3);
    }
}
