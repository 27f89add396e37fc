use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, UInt32Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use ulid::Ulid;
use vocab::{Labels, Matcher, MemoryPool, NativeHistogram, TenantId};

use super::meta::FORMAT_VERSION;
use super::*;
use crate::disk::{Disk, OsDisk};
use crate::downsample::{self, COLUMNS, ColumnSamples, RESOLUTIONS};
use crate::query::postings::{LabelIndex, resolve};

/// A description of a block with 100 bytes and 10 samples.
pub(crate) fn meta(number: u64, min_time_ms: i64, max_time_ms: i64) -> BlockMeta {
    let ulid = Ulid::from_parts(number, 0);
    BlockMeta {
        format_version: 1,
        ulid,
        tenant: TenantId::default(),
        min_time_ms,
        max_time_ms,
        num_series: 1,
        num_chunks: 1,
        num_samples: 10,
        level: 0,
        replaces: Vec::new(),
        first_ulid: ulid,
        created_at_ms: 0,
        downsampled: false,
        samples_bytes: 60,
        index_bytes: 40,
        index_crc32c: 0,
    }
}

fn write(
    parent: &Path,
    series: &[(Labels, Vec<i64>, Vec<f64>)],
    histogram_of: Option<&Labels>,
) -> (PathBuf, BlockMeta) {
    write_with(parent, series, histogram_of, false)
}

fn write_with(
    parent: &Path,
    series: &[(Labels, Vec<i64>, Vec<f64>)],
    histogram_of: Option<&Labels>,
    downsampled: bool,
) -> (PathBuf, BlockMeta) {
    let ulid = Ulid::from_parts(1_767_268_800_000, 7);
    let identity = Identity {
        ulid,
        tenant: TenantId::default(),
        level: 0,
        replaces: Vec::new(),
        first_ulid: ulid,
        created_at_ms: 1_767_268_800_000,
        downsampled,
    };
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let mut writer = BlockWriter::new(parent, identity, &disk).unwrap();
    let mut sorted: Vec<_> = series.iter().collect();
    sorted.sort_by(|a, b| a.0.packed().cmp(b.0.packed()));
    for (labels, times, values) in sorted {
        let histograms = if histogram_of == Some(labels) { vec![(77, histogram())] } else { Vec::new() };
        let (starts, histogram_starts) = starts_of(labels, times);
        let samples = SeriesSamples {
            times,
            values,
            starts: &starts,
            histograms: &histograms,
            histogram_starts: histogram_starts.get(..histograms.len()).unwrap_or_default(),
        };
        writer.series(labels, &samples).unwrap();
    }
    writer.finish().unwrap().expect("samples were written")
}

/// Since when the floats and the histogram of a series count: only those of the metric `counted` say so.
fn starts_of(labels: &Labels, times: &[i64]) -> (Vec<i64>, Vec<i64>) {
    match (labels.metric_name(), labels.get("as")) {
        ("counted", Some("deltas")) => (times.iter().map(|t| t - 1000).collect(), Vec::new()),
        ("counted", _) => (times.iter().map(|t| if *t < times[20] { 0 } else { times[19] + 1 }).collect(), vec![76]),
        _ => (Vec::new(), Vec::new()),
    }
}

fn histogram() -> Arc<NativeHistogram> {
    Arc::new(NativeHistogram { count: 3.0, sum: 1.5, integer: true, ..NativeHistogram::default() })
}

/// Many series with one or two chunks each.
fn many(num_series: u32) -> Vec<(Labels, Vec<i64>, Vec<f64>)> {
    (0..num_series)
        .map(|n| {
            let labels = Labels::from_pairs([
                ("__name__", if n % 2 == 0 { "even" } else { "odd" }),
                ("instance", &format!("host-{n:05}")),
                ("zone", &format!("z{}", n % 3)),
            ]);
            let length = if n == 5 { 10_000 } else { 1 + i64::from(n % 40) };
            let times: Vec<i64> = (0..length).map(|i| 1_000_000 + i * 15_000).collect();
            let values = (0..length).map(|i| (i * i64::from(n + 1)) as f64 / 4.0).collect();
            (labels, times, values)
        })
        .collect()
}

fn open(dir: &Path) -> Arc<Block> {
    let cache = Arc::new(super::index_cache::IndexCache::new(&MemoryPool::new("test", 1 << 20)));
    Arc::new(Block::open(dir, &cache).expect("a good block"))
}

fn read_all(block: &Arc<Block>) -> Vec<(Labels, Vec<i64>, Vec<f64>)> {
    let index = block.index().unwrap();
    let mut reader = ChunkReader::new(block).unwrap();
    let mut read = Vec::new();
    let all = index.all().unwrap();
    index
        .series(&all, |series| {
            let (mut times, mut values) = (Vec::new(), Vec::new());
            for entry in series.chunks.iter().filter(|c| !ChunkReader::is_histogram(c)) {
                reader.floats(entry, &mut times, &mut values, &mut Vec::new())?;
            }
            read.push((series.labels.clone(), times, values));
            Ok(())
        })
        .unwrap();
    read
}

fn by_labels(mut series: Vec<(Labels, Vec<i64>, Vec<f64>)>) -> Vec<(Labels, Vec<i64>, Vec<f64>)> {
    series.sort_by(|a, b| a.0.cmp(&b.0));
    series
}

#[test]
fn a_block_is_read_back_whole_through_its_index() {
    let dir = tempfile::tempdir().unwrap();
    let series = many(300);
    let (path, meta) = write(dir.path(), &series, Some(&series[4].0));
    assert_eq!((meta.num_series, meta.num_chunks), (300, 302));
    let block = open(&path);
    assert_eq!(by_labels(read_all(&block)), by_labels(series.clone()));
    let index = block.index().unwrap();
    assert_eq!(index.names().collect::<Vec<_>>(), ["__name__", "instance", "zone"]);
    let check = |matchers: &[Matcher], expect: usize| {
        let found = resolve(&*index, matchers).unwrap();
        let mut count = 0;
        index
            .series(&found.series, |s| {
                count += usize::from(found.unchecked.iter().all(|m| m.matches_labels(&s.labels)));
                Ok(())
            })
            .unwrap();
        assert_eq!(count, expect, "{matchers:?}");
    };
    let new = |op, name: &str, value: &str| Matcher::new(op, name, value).unwrap();
    use vocab::MatchOp::{Equal, NotEqual, NotRegex, Regex};
    check(&[], 300);
    check(&[Matcher::equal("__name__", "even")], 150);
    check(&[Matcher::equal("instance", "host-00299")], 1);
    check(&[Matcher::equal("instance", "host-00300")], 0);
    check(&[Matcher::equal("instance", "a")], 0);
    check(&[Matcher::equal("nope", "x")], 0);
    check(&[new(Equal, "nope", ""), Matcher::equal("zone", "z1")], 100);
    check(&[new(Regex, "instance", "host-000.*")], 100);
    check(&[new(Regex, "zone", "z0|z2")], 200);
    check(&[new(NotRegex, "instance", "host-000.*"), Matcher::equal("zone", "z0")], 66);
    check(&[new(NotEqual, "zone", "z0"), new(NotEqual, "zone", "z1")], 100);
    let with_histogram = index.with_value("instance", "host-00004").unwrap();
    index
        .series(&with_histogram, |s| {
            let entry = s.chunks.iter().find(|c| ChunkReader::is_histogram(c)).expect("a chunk of histograms");
            assert_eq!(ChunkReader::new(&block)?.histograms(entry)?, (vec![(77, histogram())], Vec::new()));
            Ok(())
        })
        .unwrap();
}

#[test]
fn any_parquet_reader_reads_the_chunks_and_the_index_points_at_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = write(dir.path(), &many(300), None);
    let block = open(&path);
    let index = block.index().unwrap();
    let mut entries = Vec::new();
    index
        .series(&index.all().unwrap(), |s| {
            entries.extend(s.chunks.iter().copied());
            Ok(())
        })
        .unwrap();
    let bytes = std::fs::read(path.join(SAMPLES_FILE)).unwrap();
    let file = File::open(path.join(SAMPLES_FILE)).unwrap();
    let mut row = 0;
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let payloads = batch.column_by_name("payload").unwrap().as_binary::<i32>().clone();
        let min_times = batch.column_by_name("min_time").unwrap().as_primitive::<Int64Type>().clone();
        let counts = batch.column_by_name("num_samples").unwrap().as_primitive::<UInt32Type>().clone();
        for i in 0..batch.num_rows() {
            let entry: &ChunkEntry = &entries[row];
            let at = usize::try_from(entry.offset).unwrap();
            assert_eq!(&bytes[at..at + entry.length as usize], payloads.value(i));
            assert_eq!((entry.min_time, entry.num_samples), (min_times.value(i), counts.value(i)));
            row += 1;
        }
        assert_eq!(payloads.null_count(), 0);
    }
    assert_eq!(row, entries.len());
}

/// The folder of the sample of a format version, kept for ever.
fn stored_sample(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/samples/block-v{version}"))
}

/// What stands in the sample of a format version.
fn sample_series(version: u32) -> Vec<(Labels, Vec<i64>, Vec<f64>)> {
    let mut series = many(20);
    series.truncate(4);
    let irregular: Vec<i64> = (0..100).map(|i| i * 1000 + i % 7).collect();
    let floats = (0..100).map(|i| (f64::from(i) * 0.37).sin()).collect();
    series.push((Labels::from_pairs([("__name__", "wave"), ("ünicode", "ja")]), irregular, floats));
    series.push((Labels::from_pairs([("__name__", "gone")]), vec![1, 2, 3], vec![1.0, vocab::STALE_NAN, -0.0]));
    series.push((Labels::from_pairs([("__name__", "constant")]), (0..50).collect(), vec![2.5; 50]));
    if version >= 3 {
        for form in ["resets", "deltas"] {
            let values = (0..60).map(f64::from).collect();
            let labels = Labels::from_pairs([("__name__", "counted"), ("as", form)]);
            series.push((labels, (0..60).map(|i| 5 + i * 15_000).collect(), values));
        }
    }
    if version >= 4 {
        // The same times three times over: the second series' stand in the index, and the third names them.
        let times: Vec<i64> = (0..300).map(|i| 9 + i * 15_000 + if i % 11 == 0 { i % 17 + 1 } else { 0 }).collect();
        for host in ["a", "b", "c"] {
            let values = (0..300).map(|i| (i * i % 211) as f64).collect();
            series.push((Labels::from_pairs([("__name__", "alike"), ("host", host)]), times.clone(), values));
        }
    }
    if version >= 2 {
        for (name, length) in [("late", 240), ("often_late", 4000)] {
            let times = (0..length).map(|i| 5 + i * 15_000 + if i % 20 == 0 { i % 19 + 1 } else { 0 }).collect();
            let values = (0..length).map(|i| (i * i % 1009) as f64 / 10.0).collect();
            series.push((Labels::from_pairs([("__name__", name)]), times, values));
        }
    }
    series
}

#[test]
fn the_stored_blocks_of_all_formats_stay_readable() {
    for version in 1..=FORMAT_VERSION {
        let dir = stored_sample(version);
        if version == FORMAT_VERSION && std::env::var_os("TIDEWATCH_WRITE_SAMPLES").is_some() {
            let made = tempfile::tempdir().unwrap();
            let series = sample_series(version);
            let with_histogram = series.iter().find(|s| s.0.get("as") == Some("resets")).map(|s| &s.0);
            let (path, _) = write_with(made.path(), &series, with_histogram, true);
            std::fs::create_dir_all(&dir).unwrap();
            for name in [SAMPLES_FILE, INDEX_FILE, META_FILE] {
                std::fs::copy(path.join(name), dir.join(name)).unwrap();
            }
        }
        let block = open(&dir);
        let bits = |series: Vec<(Labels, Vec<i64>, Vec<f64>)>| -> Vec<(Labels, Vec<i64>, Vec<u64>)> {
            by_labels(series).into_iter().map(|(l, t, v)| (l, t, v.iter().map(|v| v.to_bits()).collect())).collect()
        };
        assert_eq!(bits(read_all(&block)), bits(sample_series(version)));
        assert_eq!(block.meta().format_version, version);
        if version >= 3 {
            check_starts(&block);
            check_columns(&block);
        }
    }
}

/// Every series that is worth it has its columns, as they are computed from its samples.
fn check_columns(block: &Arc<Block>) {
    let (index, mut reader) = (block.index().unwrap(), ChunkReader::new(block).unwrap());
    let mut num_with = 0;
    index
        .series(&index.all().unwrap(), |series| {
            let mut floats = ColumnSamples::default();
            let mut raw_bytes = 0;
            for entry in series.chunks.iter().filter(|c| !ChunkReader::is_histogram(c)) {
                raw_bytes += entry.length as usize;
                reader.floats(entry, &mut floats.times, &mut floats.values, &mut floats.starts)?;
            }
            let mut expected = Vec::new();
            for resolution in RESOLUTIONS {
                let columns = downsample::columns(&floats.times, &floats.values, &floats.starts, raw_bytes, resolution);
                for (column, of) in columns.into_iter().flatten().zip(COLUMNS) {
                    expected.push((ChunkKind::Column(resolution, of), column));
                }
            }
            let mut found = Vec::new();
            for entry in &series.columns {
                let mut column = ColumnSamples::default();
                reader.floats(entry, &mut column.times, &mut column.values, &mut column.starts)?;
                found.push((entry.kind, column));
            }
            assert_eq!(found, expected, "{}", series.labels);
            num_with += usize::from(!found.is_empty());
            Ok(())
        })
        .unwrap();
    assert!(num_with > 1, "{num_with}");
}

fn check_starts(block: &Arc<Block>) {
    let (index, mut reader) = (block.index().unwrap(), ChunkReader::new(block).unwrap());
    let mut num_with = 0;
    index
        .series(&index.all().unwrap(), |series| {
            let (mut times, mut values, mut starts) = (Vec::new(), Vec::new(), Vec::new());
            for entry in &series.chunks {
                if ChunkReader::is_histogram(entry) {
                    assert_eq!(
                        reader.histograms(entry)?,
                        (vec![(77, histogram())], starts_of(&series.labels, &times).1)
                    );
                } else {
                    reader.floats(entry, &mut times, &mut values, &mut starts)?;
                }
            }
            num_with += usize::from(!starts.is_empty());
            assert_eq!(starts, starts_of(&series.labels, &times).0, "{}", series.labels);
            Ok(())
        })
        .unwrap();
    assert_eq!(num_with, 2);
}

#[test]
fn a_block_from_the_future_is_refused_by_its_version() {
    let dir = tempfile::tempdir().unwrap();
    let (path, meta) = write(dir.path(), &many(3), None);
    let meta = BlockMeta { format_version: FORMAT_VERSION + 1, ..meta };
    std::fs::write(path.join(META_FILE), serde_json::to_vec(&meta).unwrap()).unwrap();
    let cache = Arc::new(super::index_cache::IndexCache::new(&MemoryPool::new("test", 1 << 20)));
    let error = Block::open(&path, &cache).expect_err("too new").to_string();
    assert!(error.contains(&format!("format version {}", FORMAT_VERSION + 1)), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn an_index_with_any_byte_changed_is_refused_or_read_but_never_a_panic(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = write(dir.path(), &many(70), None);
        let index = path.join(INDEX_FILE);
        let mut bytes = std::fs::read(&index).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        std::fs::write(&index, &bytes).unwrap();
        prop_assert!(BlockIndex::load(&index).is_err(), "the checksum covers every byte");
        // The same with a checksum that fits, as a mistake in writing would have it.
        let content = bytes.len() - 4;
        let checksum = crc32c::crc32c(&bytes[..content]).to_le_bytes();
        bytes[content..].copy_from_slice(&checksum);
        std::fs::write(&index, &bytes).unwrap();
        if let Ok(read) = BlockIndex::load(&index) {
            let _refused_or_read = read.all().and_then(|all| read.series(&all, |_| Ok(())));
            let _refused_or_read = read.with_value("instance", "host-00012");
            let _refused_or_read = read.with_values("zone", &mut |_| true);
        }
    }
}
