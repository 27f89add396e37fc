//! The columns of `records.parquet` and the fields of the full-text index.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use tantivy::schema::{FAST, Field as IndexField, IndexRecordOption, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::TokenizerManager;

use crate::logs::tokens::BodyTokenizer;

/// Name under which the index knows the tokenizer of bodies.
const BODY_TOKENIZER: &str = "tidewatch_body";

/// Stands between name and value in a term of a label or field; cannot be mistaken, for it is the smallest character, so
/// that all values of a name stand together in the dictionary.
pub(crate) const NAME_END: char = '\0';

/// Positions of the columns in `records.parquet`.
pub(crate) mod column {
    /// Nanoseconds since the Unix epoch.
    pub(crate) const TIME: usize = 0;
    /// The record's number.
    pub(crate) const SEQ: usize = 1;
    /// The service.
    pub(crate) const SERVICE: usize = 2;
    /// The severity's word.
    pub(crate) const SEVERITY: usize = 3;
    /// The message.
    pub(crate) const BODY: usize = 4;
    /// The labels.
    pub(crate) const LABELS: usize = 5;
    /// The fields.
    pub(crate) const FIELDS: usize = 6;
    /// The pattern's number.
    pub(crate) const PATTERN_ID: usize = 7;
}

/// The Arrow type of label and field columns.
pub(crate) fn map_type() -> DataType {
    let entries = Field::new(
        "entries",
        DataType::Struct(
            vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)].into(),
        ),
        false,
    );
    DataType::Map(Arc::new(entries), false)
}

/// The type of times in both SQL tables' rows of logs.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into()))
}

/// The columns of `records.parquet`.
pub(crate) static ROWS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("time", time_type(), false),
        Field::new("seq", DataType::UInt64, false),
        Field::new("service", DataType::Utf8, false),
        Field::new("severity", DataType::Utf8, false),
        Field::new("body", DataType::Utf8, false),
        Field::new("labels", map_type(), false),
        Field::new("fields", map_type(), false),
        Field::new("pattern_id", DataType::UInt64, false),
    ]))
});

/// The fields of the index; document numbers are row numbers.
#[derive(Debug, Clone)]
pub(crate) struct IndexFields {
    /// Tokens of the body with positions.
    pub(crate) body: IndexField,
    /// `name NUL value` of each label.
    pub(crate) label: IndexField,
    /// `name NUL value` of each field.
    pub(crate) field: IndexField,
    /// `l NUL name` of each label, `f NUL name` of each field.
    pub(crate) name: IndexField,
    /// The service.
    pub(crate) service: IndexField,
    /// The severity's word.
    pub(crate) severity: IndexField,
    /// The pattern's number in decimal.
    pub(crate) pattern: IndexField,
    /// Column: nanoseconds.
    pub(crate) time: IndexField,
    /// Column: the record's number.
    pub(crate) seq: IndexField,
    /// Column: the severity's rank.
    pub(crate) rank: IndexField,
    /// Column: the pattern's number.
    pub(crate) pattern_id: IndexField,
}

/// The index's schema with its fields.
pub(crate) static INDEX: LazyLock<(tantivy::schema::Schema, IndexFields)> = LazyLock::new(|| {
    let indexed = |tokenizer: &str, option| {
        TextOptions::default().set_indexing_options(
            TextFieldIndexing::default().set_tokenizer(tokenizer).set_index_option(option).set_fieldnorms(false),
        )
    };
    let exact = indexed("raw", IndexRecordOption::Basic);
    let mut schema = tantivy::schema::Schema::builder();
    let fields = IndexFields {
        body: schema.add_text_field("body", indexed(BODY_TOKENIZER, IndexRecordOption::WithFreqsAndPositions)),
        label: schema.add_text_field("label", exact.clone()),
        field: schema.add_text_field("field", exact.clone()),
        name: schema.add_text_field("name", exact.clone()),
        service: schema.add_text_field("service", exact.clone()),
        severity: schema.add_text_field("severity", exact.clone()),
        pattern: schema.add_text_field("pattern", exact),
        time: schema.add_i64_field("time", FAST),
        seq: schema.add_u64_field("seq", FAST),
        rank: schema.add_u64_field("rank", FAST),
        pattern_id: schema.add_u64_field("pattern_id", FAST),
    };
    (schema.build(), fields)
});

/// The tokenizers that the index needs.
pub(crate) fn tokenizers() -> TokenizerManager {
    let manager = TokenizerManager::default();
    manager.register(BODY_TOKENIZER, BodyTokenizer::default());
    manager
}
