//! Log records and patterns.

use std::collections::HashMap;

use vocab::Severity;
use vocab::ports::logs::LogQuery;
use vocab::ports::views::PatternInfo;

use super::Gather;
use crate::logs::stage::PatternStore;
use crate::report::input::PatternRow;

/// Most frequent patterns listed.
const TOP: usize = 12;
/// New patterns listed besides.
const NEW: usize = 8;
/// Longest template shown, in characters: a report is read, not searched.
const TEMPLATE_CHARS_MAX: usize = 200;
/// Patterns asked for: the new ones are often rare.
const ASKED: usize = 500;

impl Gather<'_> {
    /// Records (all, errors) and the patterns worth showing: the most frequent, and new ones.
    pub(in crate::report) async fn logs(&mut self, patterns: &PatternStore) -> (Option<(u64, u64)>, Vec<PatternRow>) {
        let query = LogQuery {
            start_ns: self.from_ms.saturating_mul(1_000_000),
            end_ns: self.to_ms.saturating_mul(1_000_000),
            ..LogQuery::default()
        };
        let searcher = &self.shared.logs;
        let buckets = searcher.histogram(&self.ctx, &query, 1).await;
        let records = match buckets {
            Ok(buckets) => {
                let counts = || buckets.iter().flat_map(|b| b.counts.iter());
                let all = counts().map(|c| c.1).sum();
                Some((all, counts().filter(|c| c.0 >= Severity::Error).map(|c| c.1).sum()))
            }
            Err(error) => {
                self.gaps.push(("logs".to_owned(), vocab::error::chain(&error)));
                None
            }
        };
        let counts = searcher.patterns(&self.ctx, &query, 1, ASKED).await;
        let counts = self.noted("log patterns", counts);
        let ids: Vec<u64> = counts.iter().map(|c| c.pattern_id).filter(|&id| id != 0).collect();
        let infos: HashMap<u64, PatternInfo> = if ids.is_empty() {
            HashMap::new()
        } else {
            patterns.list(&self.ctx.tenant, &ids).await.into_iter().map(|i| (i.id, i)).collect()
        };
        let mut rows: Vec<PatternRow> = Vec::new();
        for count in counts {
            let info = infos.get(&count.pattern_id);
            let is_new = info.is_some_and(|i| i.first_seen_ms >= self.from_ms);
            let row = PatternRow {
                template: info.map_or(count.example, |i| i.template.clone()),
                service: info.map(|i| i.service.clone()).unwrap_or_default(),
                count: count.count,
                is_new,
            };
            // Patterns that were merged since are one line again.
            match rows.iter_mut().find(|r| r.template == row.template && r.service == row.service) {
                Some(same) => {
                    same.count += row.count;
                    same.is_new &= row.is_new;
                }
                None => rows.push(row),
            }
        }
        rows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.template.cmp(&b.template)));
        let (top, rest) = rows.split_at(TOP.min(rows.len()));
        let new = rest.iter().filter(|r| r.is_new).take(NEW);
        (records, top.iter().chain(new).map(shortened).collect())
    }
}

/// The row with a template that fits on a page.
fn shortened(row: &PatternRow) -> PatternRow {
    let mut row = row.clone();
    if let Some((cut, _)) = row.template.char_indices().nth(TEMPLATE_CHARS_MAX) {
        row.template.truncate(cut);
        row.template.push('…');
    }
    row
}
