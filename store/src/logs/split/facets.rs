//! Counts values over a set of rows from the index alone, without reading rows.

use std::collections::HashMap;

use roaring::RoaringBitmap;
use tantivy::schema::IndexRecordOption;

use super::eval::rows_of;
use super::reader::{OpenSplit, of_index};
use super::schema::{INDEX, NAME_END};
use crate::logs::error::LogError;
use crate::logs::query::{Property, property_of};

/// Most distinct values that are counted; further ones, rare by nature, are left out rather than held in memory.
pub(crate) const VALUES_COUNTED_MAX: usize = 200_000;

/// Counts by value.
pub(crate) type Counts = HashMap<String, u64>;

/// Adds to a value's count unless that would be one value too many.
pub(crate) fn count(counts: &mut Counts, value: &str, by: u64) {
    if by == 0 {
        return;
    }
    if let Some(total) = counts.get_mut(value) {
        *total += by;
    } else if counts.len() < VALUES_COUNTED_MAX {
        counts.insert(value.to_owned(), by);
    }
}

impl OpenSplit {
    /// Counts the values of a property, or of a label or field; empty values do not count.
    pub(crate) fn count_values(&self, rows: &RoaringBitmap, name: &str, counts: &mut Counts) -> Result<(), LogError> {
        let fields = &INDEX.1;
        let property = property_of(name).map(|property| match property {
            Property::Service => fields.service,
            Property::Severity => fields.severity,
            Property::PatternId => fields.pattern,
        });
        let prefix = property.map_or_else(|| format!("{name}{NAME_END}"), |_| String::new());
        let mut tally = |field, skip_labels: bool| {
            self.each_term(field, &prefix, |index, text, info| {
                let value = &text[prefix.len()..];
                if value.is_empty() {
                    return Ok(());
                }
                let mut found = rows_of(index.read_postings_from_terminfo(info, IndexRecordOption::Basic)?);
                found &= rows;
                if skip_labels && !found.is_empty() {
                    // A record whose label and field agree counts once.
                    found -= self.term(fields.label, text)?;
                }
                count(counts, value, found.len());
                Ok(())
            })
            .map_err(of_index(&self.dir))
        };
        match property {
            Some(field) => tally(field, false),
            None => {
                tally(fields.label, false)?;
                tally(fields.field, true)
            }
        }
    }

    /// Counts the names of labels and fields.
    pub(crate) fn count_names(&self, rows: &RoaringBitmap, counts: &mut Counts) -> Result<(), LogError> {
        for (place, skip_labels) in [("l", false), ("f", true)] {
            let prefix = format!("{place}{NAME_END}");
            self.each_term(INDEX.1.name, &prefix, |index, text, info| {
                let name = &text[prefix.len()..];
                let mut found = rows_of(index.read_postings_from_terminfo(info, IndexRecordOption::Basic)?);
                found &= rows;
                if skip_labels && !found.is_empty() {
                    found -= self.term(INDEX.1.name, &format!("l{NAME_END}{name}"))?;
                }
                count(counts, name, found.len());
                Ok(())
            })
            .map_err(of_index(&self.dir))?;
        }
        Ok(())
    }
}
