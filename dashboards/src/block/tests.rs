use std::path::Path;
use std::sync::Arc;

use vocab::histogram::{NativeHistogram, Span};
use vocab::sample::SeriesData;
use vocab::{Labels, TimestampMs};

use super::*;
use crate::chunk::{CHUNK_SAMPLES, ENCODING_HISTOGRAM, ENCODING_XOR, encode_histograms, encode_xor};

const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

fn labels(n: usize) -> Labels {
    Labels::from_pairs([("__name__", "m".to_owned()), ("job", "a \"b\" é".to_owned()), ("n", format!("{n:03}"))])
}

fn value(n: usize, step: i64) -> f64 {
    n as f64 + 0.1 * step as f64
}

/// A block of 300 series of floats, 250 samples each, and one of histograms.
fn write(folder: &Path) -> BlockMeta {
    let mut writer = BlockWriter::create(folder, ULID).expect("begins");
    for n in 0..300 {
        let samples: Vec<(TimestampMs, f64)> =
            (0..250).map(|step| (1_000_000 + step * 15_000, value(n, step))).collect();
        for chunk in samples.chunks(CHUNK_SAMPLES) {
            let times = (chunk[0].0, chunk[chunk.len() - 1].0);
            let data = encode_xor(chunk.iter().copied());
            writer.chunk(&labels(n), times, ENCODING_XOR, &data, chunk.len() as u64).expect("taken");
        }
    }
    let histogram = NativeHistogram {
        schema: 2,
        count: 2.0,
        sum: 1.0,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![1.0, 1.0],
        integer: true,
        ..NativeHistogram::default()
    };
    let (_, data) = encode_histograms(&[(1_000_000, Arc::new(histogram))]);
    let native = Labels::from_pairs([("__name__", "native")]);
    writer.chunk(&native, (1_000_000, 1_000_000), ENCODING_HISTOGRAM, &data, 1).expect("taken");
    let refused = writer.chunk(&labels(0), (0, 0), ENCODING_XOR, &[], 0);
    assert!(refused.is_err_and(|e| e.to_string().contains("want the order of labels")));
    writer.finish().expect("ends").expect("not empty")
}

fn read(folder: &Path) -> Result<Vec<SeriesData>, BlockError> {
    let mut reader = BlockReader::open(folder)?;
    let mut all = Vec::new();
    while let Some(series) = reader.next_series()? {
        all.push(reader.samples(&series)?);
    }
    Ok(all)
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let meta = write(folder.path());
    assert_eq!((meta.min_time, meta.max_time), (1_000_000, 1_000_000 + 249 * 15_000 + 1));
    assert_eq!((meta.stats.num_series, meta.stats.num_chunks, meta.stats.num_samples), (301, 901, 75_001));
    let block = folder.path().join(ULID);
    assert_eq!(BlockReader::open(&block).expect("opens").meta(), &meta);
    let all = read(&block).expect("whole");
    assert_eq!(all.len(), 301);
    for (n, series) in all[..300].iter().enumerate() {
        assert_eq!(series.labels, labels(n));
        assert_eq!(series.values, (0..250).map(|step| value(n, step)).collect::<Vec<_>>());
        assert_eq!(series.timestamps[249], 1_000_000 + 249 * 15_000);
    }
    assert_eq!(all[300].histograms[0].1.positive_buckets, [1.0, 1.0]);

    let empty = BlockWriter::create(folder.path(), "empty").expect("begins");
    assert_eq!(empty.finish().expect("ends"), None);
    assert!(!folder.path().join("empty").exists());
}

#[test]
fn tombstones_delete() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    let block = folder.path().join(ULID);
    let second = {
        let mut reader = BlockReader::open(&block).expect("opens");
        reader.next_series().expect("whole");
        reader.next_series().expect("whole").expect("one")
    };
    let mut body = Vec::new();
    bytes::push_uvarint(&mut body, second.number);
    bytes::push_varint(&mut body, 1_000_000);
    bytes::push_varint(&mut body, 1_000_000 + 200 * 15_000);
    let mut file = TOMBSTONES_MAGIC.to_be_bytes().to_vec();
    file.push(1);
    file.extend_from_slice(&body);
    file.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    std::fs::write(block.join("tombstones"), file).expect("written");
    let all = read(&block).expect("whole");
    assert_eq!((all[0].values.len(), all[1].values.len()), (250, 49));
    assert_eq!(all[1].timestamps[0], 1_000_000 + 201 * 15_000);
}

#[test]
fn damage_is_found_wherever_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    let block = folder.path().join(ULID);
    for name in ["index", "chunks/000001", "tombstones", "meta.json"] {
        let path = block.join(name);
        let whole = std::fs::read(&path).expect("there");
        for at in [0, 4, whole.len() / 3, whole.len() / 2, whole.len() - 5, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x24;
            std::fs::write(&path, &damaged).expect("written");
            match read(&block) {
                Err(error) => assert!(error.to_string().contains(name), "{error}"),
                // The old table of labels and the postings are not read, nor is every word of meta.json.
                Ok(all) => assert!(all.len() == 301 && matches!(name, "index" | "meta.json"), "{name} at {at}"),
            }
            std::fs::write(&path, &whole[..at]).expect("written");
            assert!(read(&block).is_err(), "{name} cut at {at}");
        }
        std::fs::write(&path, &whole).expect("written");
    }
    assert_eq!(read(&block).expect("whole").len(), 301);
}

/// Prometheus's own tool reads the block, where it is installed.
#[test]
fn promtool_reads_it() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    let tool = |args: &[&str]| std::process::Command::new("promtool").args(args).arg(folder.path()).output();
    let Ok(list) = tool(&["tsdb", "list"]) else { return };
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.status.success() && text.contains(ULID) && text.contains("75001"), "{text} {list:?}");
    // It opens the folder as a database's, which has a log, too.
    std::fs::create_dir(folder.path().join("wal")).expect("made");
    let dump = tool(&["tsdb", "dump", "--match={n=\"007\"}"]).expect("runs");
    let text = String::from_utf8_lossy(&dump.stdout);
    assert_eq!(text.lines().count(), 250, "{dump:?}");
    assert!(text.lines().next().is_some_and(|l| l.contains("n=\"007\"") && l.ends_with(" 7 1000000")), "{text}");
}
