//! Export to OpenMetrics text: family by family, with what is known of each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use dashboards::openmetrics::{Counts, FamilyText, families, is_plain, quoted};
use vocab::sample::MetricMetadata;
use vocab::{MatchOp, Matcher};

use super::{Wanted, Window, halves, read};
use crate::client::Client;

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
    let names = answer["data"].as_array().into_iter().flatten().filter_map(|n| n.as_str());
    let names: Vec<String> = names.map(str::to_owned).collect();
    let families = families(&names, &metadata(client).await?);

    let file = File::create(out).with_context(|| format!("cannot write {}", out.display()))?;
    let mut file = BufWriter::new(file);
    let bar = crate::import::bar(names.len() as u64, "exporting");
    let mut counts = Counts::default();
    for family in &families {
        let mut text = FamilyText::new(family);
        for name in &family.members {
            let mut matchers = wanted.matchers.clone();
            matchers.push(Matcher::new(MatchOp::Equal, "__name__", name)?);
            // One metric is little: it is asked for as a whole first.
            let mut waiting = vec![(wanted.start, wanted.end)];
            while let Some(window) = waiting.pop() {
                let answered = read(client, &matchers, window, |part| {
                    text.add(part);
                    Ok(())
                });
                match (answered.await?, halves(window)) {
                    (Window::Whole, _) => {}
                    (Window::TooMuch, Some([first, second])) => waiting.extend([second, first]),
                    (Window::TooMuch, None) => bail!("a minute of {name} is over the server's memory share of a query"),
                }
            }
            bar.inc(1);
        }
        counts.add(text.write(&mut file).with_context(|| format!("{} in {}", family.name, out.display()))?);
    }
    file.write_all(b"# EOF\n")
        .and_then(|()| file.flush())
        .with_context(|| format!("cannot write {}", out.display()))?;
    bar.finish_and_clear();
    Ok(summary(&counts, out))
}

/// What was written, and what not, in a sentence.
pub(super) fn summary(counts: &Counts, out: &Path) -> String {
    let mut said = format!("{} samples are in {}", counts.samples, out.display());
    for (count, what) in [
        (counts.converted, "native histograms became classic ones, which keep less of them"),
        (counts.native, "native histograms are left out: classic ones stand beside them or in their way"),
        (counts.unfit, "numbers with a histogram's name are left out: OpenMetrics cannot hold them"),
        (counts.starts, "start times are left out: OpenMetrics has them for counters, histograms and summaries only"),
    ] {
        if count > 0 {
            let _never_fails = write!(said, "; {count} {what}");
        }
    }
    said
}

/// What the server knows of the metrics.
async fn metadata(client: &Client) -> Result<BTreeMap<String, MetricMetadata>> {
    let answer = client.ask("/api/v1/metadata", &[("limit_per_metric", "1")]).await?;
    let rows = answer["data"].as_object().into_iter().flatten();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let row = |(metric, known): (&String, &serde_json::Value)| MetricMetadata {
        metric: metric.clone(),
        metric_type: serde_json::from_value(known[0]["type"].clone()).unwrap_or_default(),
        help: text(&known[0]["help"]),
        unit: text(&known[0]["unit"]),
    };
    Ok(rows.map(|(metric, known)| (metric.clone(), row((metric, known)))).collect())
}
