//! Damaged and hostile indexes of blocks.

use std::path::Path;

use roaring::RoaringBitmap;
use vocab::Labels;

use super::index::{BlockIndex, ChunkEntry, ChunkKind, KIND_BITS, MAGIC};
use super::index_build::IndexBuilder;
use crate::codec::{dense, varint};
use crate::query::postings::LabelIndex;

/// An even first byte: the rest is an index without its checksum; an odd one: the rest is the only group of series of an index.
fn fuzz_block_index(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    let mut bytes = if mode % 2 == 0 { rest.to_vec() } else { index_of_group(rest) };
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    // An error is an answer everywhere; what counts is that there is one.
    let Ok(index) = BlockIndex::parse(Path::new("index"), bytes) else { return };
    let names: Vec<String> = index.names().map(str::to_owned).collect();
    for name in names.iter().take(20) {
        let _found = index.with_value(name, "h1");
        let _all = index.with_values(name, &mut |_| true);
        let _sizes = index.value_sizes(name, |_, _| {});
    }
    let times_of = (20, 0);
    for number in 0..4 {
        // A payload of constant values whose times stand in the table.
        let payload = [&[0x1b, number][..], &[0; 8]].concat();
        let (times, values) = (&mut Vec::new(), &mut Vec::new());
        let _read = dense::decode(&payload, times_of, || index.shared_times(), times, values, &mut Vec::new());
    }
    for group in 0..index.num_groups().min(20) {
        let _series = index.series_of_group(group);
    }
    let wanted: RoaringBitmap = index.all().into_iter().flatten().take(200).collect();
    let _series = index.series(&wanted, |_| Ok(()));
}

/// An index that has one group of series and no names.
fn index_of_group(group: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let start = bytes.len();
    varint::push(&mut bytes, group.len() as u64);
    bytes.extend(zstd::bulk::compress(group, 1).expect("compresses"));
    let directory_at = bytes.len() as u64;
    for number in [3, 1, start as u64, directory_at - start as u64, 0] {
        varint::push(&mut bytes, number);
    }
    bytes.extend_from_slice(&directory_at.to_le_bytes());
    bytes
}

/// A hundred series, and the first of them as a group.
fn sample() -> (IndexBuilder, Vec<u8>) {
    let mut builder = IndexBuilder::default();
    let mut group = Vec::new();
    let (mut previous_time, mut previous_end) = (0, 0);
    let mut labels: Vec<Labels> = (0..100)
        .map(|host| {
            Labels::from_pairs([("__name__", "m".to_owned()), ("host", format!("h{host}")), ("é", "ü".to_owned())])
        })
        .collect();
    labels.sort_by(|a, b| a.packed().cmp(b.packed()));
    for (number, labels) in (0u32..).zip(&labels) {
        let entry = ChunkEntry {
            kind: if number % 7 == 0 { ChunkKind::Histogram } else { ChunkKind::Float },
            min_time: 1000,
            max_time: 2000,
            num_samples: 10,
            offset: 4 + u64::from(number) * 50,
            length: 50,
            crc32c: number,
        };
        builder.series(labels);
        builder.chunk(entry);
        if number < 3 {
            varint::push(&mut group, 0);
            varint::push_bytes(&mut group, labels.packed().as_bytes());
            varint::push(&mut group, 1);
            entry.push(&mut group, KIND_BITS, &mut previous_time, &mut previous_end);
        }
    }
    (builder, group)
}

fn seeds() -> Vec<Vec<u8>> {
    let whole = |builder: IndexBuilder| {
        let index = builder.finish().expect("fits");
        [&[0], index.split_last_chunk::<4>().expect("it has a checksum").0].concat()
    };
    let (without_times, group) = sample();
    let mut with_times = sample().0;
    let times: Vec<i64> = (0..20).map(|i| i * 1000 + i * i % 13).collect();
    for _ in 0..2 {
        dense::encode(&times, &[2.5; 20], &[], &mut with_times.times, &mut Vec::new()).expect("fits");
    }
    vec![whole(without_times), [&[1], &group[..]].concat(), whole(with_times)]
}

#[test]
fn the_seeds_are_whole() {
    let seeds = seeds();
    let (mut bytes, group) = (seeds[0][1..].to_vec(), &seeds[1][1..]);
    let mut of_group = index_of_group(group);
    for bytes in [&mut bytes, &mut of_group] {
        let checksum = crc32c::crc32c(bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
    }
    let whole = BlockIndex::parse(Path::new("index"), bytes).expect("whole");
    assert_eq!(whole.with_value("host", "h42").expect("found").len(), 1);
    let of_group = BlockIndex::parse(Path::new("index"), of_group).expect("whole");
    assert_eq!(of_group.series_of_group(0).expect("three").len(), 3);
}

#[test]
fn indexes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/block_index");
    vocab::testing::fuzz::fuzz(&corpus, &seeds(), fuzz_block_index);
}
