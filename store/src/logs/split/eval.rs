//! Finds the rows of a split that satisfy a query: by the index where it can tell, else by reading the rows that are left.

use roaring::RoaringBitmap;
use tantivy::index::InvertedIndexReader;
use tantivy::postings::SegmentPostings;
use tantivy::query::{EnableScoring, PhraseQuery, Query as _};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, TERMINATED, TantivyError, Term};

use super::reader::{OpenSplit, of_index};
use super::schema::{INDEX, NAME_END};
use crate::logs::cursor::Key;
use crate::logs::error::LogError;
use crate::logs::query::{Leaf, Node, Property, Query, ValueTest};
use crate::logs::tokens::TokenBuffer;

/// Rows that may satisfy a query.
#[derive(Debug, Clone)]
pub(crate) struct Candidates {
    /// All rows that satisfy it, and perhaps others.
    pub(crate) rows: RoaringBitmap,
    /// Whether there are no others.
    pub(crate) exact: bool,
}

impl Candidates {
    fn exactly(rows: RoaringBitmap) -> Self {
        Self { rows, exact: true }
    }
}

type Found<T> = Result<T, TantivyError>;

impl OpenSplit {
    /// Narrows a query by the index.
    pub(crate) fn candidates(&self, query: &Query) -> Result<Candidates, LogError> {
        let from = self.first_row_from(Key { time_ns: query.start_ns, seq: 0 });
        let to = self.first_row_from(Key { time_ns: query.end_ns, seq: 0 });
        if from >= to {
            return Ok(Candidates::exactly(RoaringBitmap::new()));
        }
        let mut found = self.eval(&query.node).map_err(of_index(&self.dir))?;
        found.rows.remove_range(..from);
        found.rows.remove_range(to..);
        Ok(found)
    }

    /// The rows that satisfy a query. Reads rows only where the index cannot tell; `check` is called between reads and can
    /// end the work.
    pub(crate) fn matching<E: From<LogError>>(
        &self,
        query: &Query,
        mut check: impl FnMut() -> Result<(), E>,
    ) -> Result<RoaringBitmap, E> {
        /// Rows that are read and tested at a time.
        const VERIFY_ROWS: usize = 4096;
        let found = self.candidates(query)?;
        if found.exact {
            return Ok(found.rows);
        }
        let mut rows = found.rows.iter();
        let mut matching = RoaringBitmap::new();
        loop {
            check()?;
            let chunk: RoaringBitmap = rows.by_ref().take(VERIFY_ROWS).collect();
            if chunk.is_empty() {
                return Ok(matching);
            }
            matching |= self.verified(query, &chunk)?;
        }
    }

    fn verified(&self, query: &Query, rows: &RoaringBitmap) -> Result<RoaringBitmap, LogError> {
        let mut buffer = TokenBuffer::default();
        let records = self.records(rows)?;
        Ok(rows
            .iter()
            .zip(&records)
            .filter(|(_, stored)| query.conditions_hold(&stored.record, &mut buffer))
            .map(|(row, _)| row)
            .collect())
    }

    fn everything(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.num_rows);
        all
    }

    fn eval(&self, node: &Node) -> Found<Candidates> {
        match node {
            Node::And(nodes) => {
                let mut all = Candidates::exactly(self.everything());
                for node in nodes {
                    if all.rows.is_empty() {
                        return Ok(Candidates::exactly(all.rows));
                    }
                    let next = self.eval(node)?;
                    all.rows &= next.rows;
                    all.exact &= next.exact;
                }
                Ok(all)
            }
            Node::Or(nodes) => {
                let mut any = Candidates::exactly(RoaringBitmap::new());
                for node in nodes {
                    let next = self.eval(node)?;
                    any.rows |= next.rows;
                    any.exact &= next.exact;
                }
                Ok(any)
            }
            Node::Not(node) => {
                let inner = self.eval(node)?;
                Ok(if inner.exact {
                    Candidates::exactly(self.everything() - inner.rows)
                } else {
                    Candidates { rows: self.everything(), exact: false }
                })
            }
            Node::Leaf(leaf) => self.leaf(leaf),
        }
    }

    fn leaf(&self, leaf: &Leaf) -> Found<Candidates> {
        let fields = &INDEX.1;
        match leaf {
            Leaf::Text { tokens, prefix: false } => Ok(Candidates::exactly(self.phrase(tokens)?)),
            Leaf::Text { tokens, prefix: true } => {
                let Some((last, before)) = tokens.split_last() else {
                    return Ok(Candidates::exactly(self.everything()));
                };
                let mut rows = self.terms(fields.body, last, |_| true)?;
                if !before.is_empty() {
                    rows &= self.phrase(before)?;
                }
                Ok(Candidates { rows, exact: before.is_empty() })
            }
            Leaf::Literal(_) | Leaf::BodyEqual(_) | Leaf::BodyRegex(_) => {
                Ok(Candidates { rows: self.everything(), exact: false })
            }
            Leaf::Property(property, test) => {
                let field = match property {
                    Property::Service => fields.service,
                    Property::Severity => fields.severity,
                    Property::PatternId => fields.pattern,
                };
                let rows = match test {
                    ValueTest::Equal(value) => self.term(field, value)?,
                    ValueTest::Prefix(prefix) => self.terms(field, prefix, |_| true)?,
                    _ => self.terms(field, "", |value| test.accepts(value))?,
                };
                Ok(Candidates::exactly(rows))
            }
            Leaf::Label(name, test) => self.value(name, test, &[(fields.label, "l")]),
            Leaf::Value(name, test) => self.value(name, test, &[(fields.label, "l"), (fields.field, "f")]),
        }
    }

    fn value(&self, name: &str, test: &ValueTest, places: &[(Field, &str)]) -> Found<Candidates> {
        let mut rows = RoaringBitmap::new();
        let mut present = RoaringBitmap::new();
        for &(field, place) in places {
            let prefix = format!("{name}{NAME_END}");
            rows |= match test {
                ValueTest::Equal(value) => self.term(field, &format!("{prefix}{value}"))?,
                ValueTest::Prefix(beginning) => self.terms(field, &format!("{prefix}{beginning}"), |_| true)?,
                ValueTest::Present => self.term(INDEX.1.name, &format!("{place}{NAME_END}{name}"))?,
                _ => self.terms(field, &prefix, |term| test.accepts(&term[prefix.len()..]))?,
            };
            if test.accepts_absent() {
                present |= self.term(INDEX.1.name, &format!("{place}{NAME_END}{name}"))?;
            }
        }
        if test.accepts_absent() {
            rows |= self.everything() - present;
        }
        Ok(Candidates::exactly(rows))
    }

    /// Rows with a term.
    pub(super) fn term(&self, field: Field, text: &str) -> Found<RoaringBitmap> {
        let index = self.segment.inverted_index(field)?;
        let postings = index.read_postings(&Term::from_field_text(field, text), IndexRecordOption::Basic)?;
        Ok(postings.map(rows_of).unwrap_or_default())
    }

    /// Rows with any term that begins with `prefix` and is wanted.
    fn terms(&self, field: Field, prefix: &str, wanted: impl Fn(&str) -> bool) -> Found<RoaringBitmap> {
        let mut rows = RoaringBitmap::new();
        self.each_term(field, prefix, |index, text, info| {
            if wanted(text) {
                rows |= rows_of(index.read_postings_from_terminfo(info, IndexRecordOption::Basic)?);
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// Calls `visit` for every term that begins with `prefix`, in order.
    pub(super) fn each_term(
        &self,
        field: Field,
        prefix: &str,
        mut visit: impl FnMut(&InvertedIndexReader, &str, &tantivy::postings::TermInfo) -> Found<()>,
    ) -> Found<()> {
        let index = self.segment.inverted_index(field)?;
        let mut terms = index.terms().range().ge(prefix.as_bytes()).into_stream()?;
        while terms.advance() {
            if !terms.key().starts_with(prefix.as_bytes()) {
                break;
            }
            let text = std::str::from_utf8(terms.key())
                .map_err(|_| TantivyError::SchemaError("a term is not valid UTF-8".to_owned()))?;
            visit(&index, text, terms.value())?;
        }
        Ok(())
    }

    /// Rows with the tokens side by side.
    fn phrase(&self, tokens: &[String]) -> Found<RoaringBitmap> {
        let body = INDEX.1.body;
        if let [token] = tokens {
            return self.term(body, token);
        }
        let terms: Vec<Term> = tokens.iter().map(|t| Term::from_field_text(body, t)).collect();
        let weight = PhraseQuery::new(terms).weight(EnableScoring::disabled_from_schema(&INDEX.0))?;
        let mut rows = RoaringBitmap::new();
        weight.for_each_no_score(&self.segment, &mut |documents| rows.extend(documents.iter().copied()))?;
        Ok(rows)
    }
}

/// The documents of a posting list.
pub(super) fn rows_of(mut postings: SegmentPostings) -> RoaringBitmap {
    let mut rows = RoaringBitmap::new();
    let mut document = postings.doc();
    while document != TERMINATED {
        rows.insert(document);
        document = postings.advance();
    }
    rows
}
