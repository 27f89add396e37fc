//! Rows as bytes: JSON, lines of JSON, CSV, Arrow.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use bytes::Bytes;
use vocab::ports::sql::SqlFormat;
use vocab::{ErrorKind, PortError};

/// Encodes batch after batch.
pub(super) struct Encoder {
    schema: SchemaRef,
    writer: Writer,
    any_rows: bool,
}

enum Writer {
    Json,
    NdJson,
    Csv,
    Arrow(Box<StreamWriter<Vec<u8>>>),
}

impl Encoder {
    /// An encoder of batches of this schema.
    pub(super) fn new(format: SqlFormat, schema: SchemaRef) -> Result<Self, PortError> {
        let writer = match format {
            SqlFormat::Json => Writer::Json,
            SqlFormat::NdJson => Writer::NdJson,
            SqlFormat::Csv => Writer::Csv,
            SqlFormat::Arrow => {
                Writer::Arrow(Box::new(StreamWriter::try_new(Vec::new(), &schema).map_err(cannot_encode)?))
            }
        };
        Ok(Self { schema, writer, any_rows: false })
    }

    /// The bytes of one more batch; may be empty.
    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<Bytes, PortError> {
        let first = !self.any_rows;
        self.any_rows |= batch.num_rows() > 0;
        self.encode(batch, first).map_err(cannot_encode).map(Bytes::from)
    }

    fn encode(&mut self, batch: &RecordBatch, first: bool) -> Result<Vec<u8>, ArrowError> {
        match &mut self.writer {
            Writer::Json => {
                let mut lines = json_lines(batch)?;
                if lines.is_empty() {
                    return Ok(lines);
                }
                // Inside of JSON texts line ends are escaped, so every one of these ends a row.
                lines.pop();
                let mut out = Vec::with_capacity(lines.len() + lines.len() / 64 + 2);
                out.extend_from_slice(if first { b"[" } else { b",\n" });
                for byte in lines {
                    if byte == b'\n' {
                        out.push(b',');
                    }
                    out.push(byte);
                }
                Ok(out)
            }
            Writer::NdJson => json_lines(batch),
            Writer::Csv => csv(&flat(batch)?, first),
            Writer::Arrow(writer) => {
                writer.write(batch)?;
                Ok(std::mem::take(writer.get_mut()))
            }
        }
    }

    /// The bytes that end the answer.
    pub(super) fn finish(mut self) -> Result<Bytes, PortError> {
        self.end().map(Bytes::from).map_err(cannot_encode)
    }

    fn end(&mut self) -> Result<Vec<u8>, ArrowError> {
        match &mut self.writer {
            Writer::Json => Ok(if self.any_rows { b"]".to_vec() } else { b"[]".to_vec() }),
            Writer::NdJson => Ok(Vec::new()),
            Writer::Csv if self.any_rows => Ok(Vec::new()),
            Writer::Csv => csv(&flat(&RecordBatch::new_empty(Arc::clone(&self.schema)))?, true),
            Writer::Arrow(writer) => {
                writer.finish()?;
                Ok(std::mem::take(writer.get_mut()))
            }
        }
    }
}

fn cannot_encode(error: ArrowError) -> PortError {
    PortError::with_source(ErrorKind::Invalid, format!("the rows cannot be encoded in this format: {error}"), error)
}

/// One JSON object and a line end for each row; a value that is not there is `null`, and so is one that is not a finite number.
fn json_lines(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

fn csv(batch: &RecordBatch, header: bool) -> Result<Vec<u8>, ArrowError> {
    let mut writer = arrow::csv::WriterBuilder::new().with_header(header).build(Vec::new());
    writer.write(batch)?;
    Ok(writer.into_inner())
}

/// Columns of maps, lists and structures as JSON texts, for formats that have only plain values.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, values) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if !field.data_type().is_nested() {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(values));
            continue;
        }
        let alone = Schema::new(vec![Field::new("v", values.data_type().clone(), true)]);
        let lines = json_lines(&RecordBatch::try_new(Arc::new(alone), vec![Arc::clone(values)])?)?;
        let lines = String::from_utf8(lines).map_err(|e| ArrowError::JsonError(e.to_string()))?;
        let inner = lines.lines().map(|line| line.strip_prefix("{\"v\":").and_then(|l| l.strip_suffix('}')));
        fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
        columns.push(Arc::new(StringArray::from_iter(inner)));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
