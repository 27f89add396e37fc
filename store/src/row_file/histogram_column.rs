//! Native histograms as a structure that any reader of Parquet can take apart.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, ListArray, StringArray, StructArray, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Field, FieldRef};
use vocab::NativeHistogram;
use vocab::histogram::{ResetHint, Span};

/// The column; a row without a histogram is null.
pub(super) fn of<'a>(rows: impl Iterator<Item = Option<&'a NativeHistogram>>) -> StructArray {
    let rows: Vec<Option<&NativeHistogram>> = rows.collect();
    let nothing = NativeHistogram::default();
    let all: Vec<&NativeHistogram> = rows.iter().map(|row| row.unwrap_or(&nothing)).collect();
    let numbers = |of: fn(&NativeHistogram) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(all.iter().map(|h| of(h))))
    };
    let lists = |of: fn(&NativeHistogram) -> &[f64]| -> ArrayRef {
        let values = Float64Array::from_iter_values(all.iter().flat_map(|h| of(h)).copied());
        list(all.iter().map(|h| of(h).len()), Arc::new(values))
    };
    let spans = |of: fn(&NativeHistogram) -> &[Span]| list(all.iter().map(|h| of(h).len()), span_items(&all, of));
    let columns: [(&str, ArrayRef); 12] = [
        ("schema", Arc::new(Int32Array::from_iter_values(all.iter().map(|h| h.schema)))),
        ("zero_threshold", numbers(|h| h.zero_threshold)),
        ("zero_count", numbers(|h| h.zero_count)),
        ("count", numbers(|h| h.count)),
        ("sum", numbers(|h| h.sum)),
        ("positive_spans", spans(|h| &h.positive_spans)),
        ("positive_buckets", lists(|h| &h.positive_buckets)),
        ("negative_spans", spans(|h| &h.negative_spans)),
        ("negative_buckets", lists(|h| &h.negative_buckets)),
        ("custom_values", lists(|h| &h.custom_values)),
        ("reset_hint", Arc::new(StringArray::from_iter_values(all.iter().map(|h| hint_word(h.reset_hint))))),
        ("integer", Arc::new(BooleanArray::from_iter(all.iter().map(|h| Some(h.integer))))),
    ];
    let (fields, arrays): (Vec<FieldRef>, Vec<ArrayRef>) =
        columns.into_iter().map(|(name, array)| (field(name, &array), array)).unzip();
    let present = NullBuffer::from_iter(rows.iter().map(Option::is_some));
    StructArray::new(fields.into(), arrays, Some(present))
}

fn field(name: &str, array: &ArrayRef) -> FieldRef {
    Arc::new(Field::new(name, array.data_type().clone(), false))
}

/// Lists of these lengths, one after the other in `items`.
fn list(lengths: impl Iterator<Item = usize>, items: ArrayRef) -> ArrayRef {
    let item = Arc::new(Field::new(Field::LIST_FIELD_DEFAULT_NAME, items.data_type().clone(), false));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), items, None))
}

fn span_items(all: &[&NativeHistogram], of: fn(&NativeHistogram) -> &[Span]) -> ArrayRef {
    let spans = || all.iter().flat_map(|h| of(h));
    let offsets: ArrayRef = Arc::new(Int32Array::from_iter_values(spans().map(|s| s.offset)));
    let lengths: ArrayRef = Arc::new(UInt32Array::from_iter_values(spans().map(|s| s.length)));
    let fields = vec![field("offset", &offsets), field("length", &lengths)];
    Arc::new(StructArray::new(fields.into(), vec![offsets, lengths], None))
}

fn hint_word(hint: ResetHint) -> &'static str {
    match hint {
        ResetHint::Unknown => "unknown",
        ResetHint::Reset => "reset",
        ResetHint::NoReset => "no_reset",
        ResetHint::Gauge => "gauge",
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float64Type, Int32Type, TimestampMillisecondType, UInt32Type};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use proptest::prelude::*;
    use vocab::{Labels, STALE_NAN};

    use super::super::RowFileWriter;
    use super::*;

    /// A row as a reader finds it: time, value, start time, histogram.
    type Row = (i64, Option<u64>, Option<i64>, Option<NativeHistogram>);

    fn read(path: &std::path::Path) -> Vec<Row> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
        let mut rows = Vec::new();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let column = |name: &str| Arc::clone(batch.column_by_name(name).unwrap());
            let (times, starts) = (column("time"), column("start_time"));
            let (times, starts) =
                (times.as_primitive::<TimestampMillisecondType>(), starts.as_primitive::<TimestampMillisecondType>());
            let (values, histograms) = (column("value"), column("histogram"));
            let (values, histograms) = (values.as_primitive::<Float64Type>(), histograms.as_struct());
            for at in 0..batch.num_rows() {
                rows.push((
                    times.value(at),
                    values.is_valid(at).then(|| values.value(at).to_bits()),
                    starts.is_valid(at).then(|| starts.value(at)),
                    histograms.is_valid(at).then(|| histogram(histograms, at)),
                ));
            }
        }
        rows
    }

    fn histogram(column: &StructArray, at: usize) -> NativeHistogram {
        let part = |name: &str| Arc::clone(column.column_by_name(name).unwrap());
        let number = |name: &str| part(name).as_primitive::<Float64Type>().value(at);
        let numbers =
            |name: &str| part(name).as_list::<i32>().value(at).as_primitive::<Float64Type>().values().to_vec();
        let spans = |name: &str| -> Vec<Span> {
            let list = part(name).as_list::<i32>().value(at);
            let offsets = list.as_struct().column(0).as_primitive::<Int32Type>().values().to_vec();
            let lengths = list.as_struct().column(1).as_primitive::<UInt32Type>().values().to_vec();
            offsets.into_iter().zip(lengths).map(|(offset, length)| Span { offset, length }).collect()
        };
        NativeHistogram {
            schema: part("schema").as_primitive::<Int32Type>().value(at),
            zero_threshold: number("zero_threshold"),
            zero_count: number("zero_count"),
            count: number("count"),
            sum: number("sum"),
            positive_spans: spans("positive_spans"),
            positive_buckets: numbers("positive_buckets"),
            negative_spans: spans("negative_spans"),
            negative_buckets: numbers("negative_buckets"),
            custom_values: numbers("custom_values"),
            reset_hint: match part("reset_hint").as_string::<i32>().value(at) {
                "reset" => ResetHint::Reset,
                "no_reset" => ResetHint::NoReset,
                "gauge" => ResetHint::Gauge,
                _ => ResetHint::Unknown,
            },
            integer: part("integer").as_boolean().value(at),
        }
    }

    fn any_histogram() -> impl Strategy<Value = NativeHistogram> {
        let spans = proptest::collection::vec((any::<i32>(), any::<u32>()), 0..3)
            .prop_map(|spans| spans.into_iter().map(|(offset, length)| Span { offset, length }).collect::<Vec<_>>());
        let numbers = || proptest::collection::vec(-1e9..1e9f64, 0..5);
        let hint = prop_oneof![
            Just(ResetHint::Unknown),
            Just(ResetHint::Reset),
            Just(ResetHint::NoReset),
            Just(ResetHint::Gauge)
        ];
        (
            (-53i32..9, 0.0..1.0f64, 0.0..9.0f64, hint, any::<bool>()),
            (spans.clone(), spans),
            (numbers(), numbers(), numbers()),
        )
            .prop_map(|((schema, zero_threshold, zero_count, reset_hint, integer), spans, numbers)| {
                NativeHistogram {
                    schema,
                    zero_threshold,
                    zero_count,
                    count: zero_count * 2.0,
                    sum: zero_threshold - 3.0,
                    positive_spans: spans.0,
                    positive_buckets: numbers.0,
                    negative_spans: spans.1,
                    negative_buckets: numbers.1,
                    custom_values: numbers.2,
                    reset_hint,
                    integer,
                }
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn everything_that_is_written_is_read_again(
            rows in proptest::collection::vec((prop_oneof![any::<f64>().prop_map(Ok), any_histogram().prop_map(Err)], 0i64..3), 0..60),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x.parquet");
            let mut writer = RowFileWriter::create(&path).unwrap();
            let labels = Labels::from_pairs([("__name__", "m"), ("x", "1")]);
            let mut wanted: Vec<Row> = Vec::new();
            for (time, (value, start)) in (0..).zip(rows) {
                let known = (start != 0).then_some(start);
                match value {
                    Ok(value) => {
                        writer.series(&labels, [(time, value, start)]).unwrap();
                        wanted.push((time, Some(value.to_bits()), known, None));
                    }
                    Err(histogram) => {
                        writer.histograms(&labels, [(time, Arc::new(histogram.clone()), start)]).unwrap();
                        wanted.push((time, None, known, Some(histogram)));
                    }
                }
            }
            let ended = NativeHistogram { sum: STALE_NAN, ..NativeHistogram::default() };
            writer.histograms(&labels, [(-1, Arc::new(ended), 0)]).unwrap();
            prop_assert_eq!(writer.finish().unwrap(), wanted.len() as u64);
            prop_assert_eq!(read(&path), wanted);
        }
    }
}
