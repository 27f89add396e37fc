//! Streaming pattern miner.
//!
//! A line's masked tokens are its key; lines of the same key are one pattern. Words that no form gives away (user names, states)
//! are found by counting: when five keys of the same service and length differ in one position only, that position becomes
//! variable and the five become one pattern, under the id of the oldest. Only patterns are kept, never lines, and at most
//! [`MinerLimits::patterns_max`] of them; the least recently seen go first.

mod persist;

use hashbrown::HashMap;

use super::mask::{self, Sink, TOKENS_MAX, WILD};
pub use persist::MinerState;

/// How many keys must differ in one position only before it becomes variable.
const MERGE_AT: usize = 5;
/// Longest line, in tokens, whose positions are compared: longer ones are stack traces and dumps.
const MERGE_TOKENS_MAX: usize = 64;
/// Most sets of variable positions remembered for lines of one length.
const SHAPES_MAX: usize = 48;
/// Longest template kept, in bytes.
const TEMPLATE_BYTES_MAX: usize = 4 * 1024;
/// Most ids that a pattern remembers having absorbed, for records that still carry them.
const ABSORBED_MAX: usize = 64;

/// Bounds of a miner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinerLimits {
    /// Most patterns kept.
    pub patterns_max: usize,
}

impl Default for MinerLimits {
    /// 10,000 patterns: the most that a view lists; about 20 MiB for lines of a dozen words, several times that for long ones.
    fn default() -> Self {
        Self { patterns_max: 10_000 }
    }
}

/// One pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// Stable: a hash of the service and of the template as it was first.
    pub id: u64,
    /// The service it was seen in.
    pub service: String,
    /// Masked tokens.
    pub tokens: Vec<String>,
    /// Lines since it is known.
    pub count: u64,
    /// When it was first seen.
    pub first_seen_ms: i64,
    /// When it was last seen.
    pub last_seen_ms: i64,
    /// Ids of patterns merged into this one.
    pub absorbed: Vec<u64>,
}

impl Pattern {
    /// The template: tokens with single blanks between them, variable parts as `<*>`.
    pub fn template(&self) -> String {
        let mut text = self.tokens.join(" ");
        if text.len() > TEMPLATE_BYTES_MAX {
            let end = (0..=TEMPLATE_BYTES_MAX).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
            text.truncate(end);
        }
        text
    }
}

/// What the miner says of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The pattern's id.
    pub id: u64,
    /// Whether no earlier line had it, nor any it differs from in a variable word only.
    pub is_new: bool,
}

/// Finds patterns in a stream of lines.
#[derive(Debug, Default)]
pub struct Miner {
    limits: MinerLimits,
    patterns: Vec<Pattern>,
    /// Key → index into `patterns`.
    by_key: HashMap<u64, u32>,
    /// Key with one more position variable → patterns that have it so.
    near: HashMap<u64, Vec<u32>>,
    /// Sets of variable positions, by number of tokens.
    shapes: HashMap<usize, Vec<Vec<u16>>>,
    /// Absorbed id → surviving id.
    survivors: HashMap<u64, u64>,
    scratch: HashSink,
    evicted: u64,
}

impl Miner {
    /// A miner that knows nothing.
    pub fn new(limits: MinerLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Puts a line into a pattern.
    pub fn observe(&mut self, service: &str, line: &str, now_ms: i64) -> Seen {
        self.scratch.start(service);
        mask::scan(line.as_bytes(), &mut self.scratch);
        let key = self.scratch.key();
        if let Some(index) = self.find(key) {
            let pattern = &mut self.patterns[index as usize];
            pattern.count += 1;
            pattern.last_seen_ms = pattern.last_seen_ms.max(now_ms);
            return Seen { id: pattern.id, is_new: false };
        }
        self.add(service, line, key, now_ms)
    }

    /// The patterns, in no particular order.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The pattern that an id stands for now.
    pub fn pattern(&self, id: u64) -> Option<&Pattern> {
        let id = self.survivor(id);
        self.patterns.iter().find(|p| p.id == id)
    }

    /// The id under which lines of `id` go today.
    pub fn survivor(&self, id: u64) -> u64 {
        // Chains are cut when patterns merge (see `merge`), so one step is enough.
        self.survivors.get(&id).copied().unwrap_or(id)
    }

    /// Patterns forgotten for lack of room so far.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    fn find(&self, key: u64) -> Option<u32> {
        self.find_key(key, &self.scratch.tokens)
    }

    fn find_key(&self, key: u64, hashes: &[u64]) -> Option<u32> {
        if let Some(&index) = self.by_key.get(&key) {
            return Some(index);
        }
        let shapes = self.shapes.get(&hashes.len())?;
        shapes.iter().find_map(|shape| {
            let key = shape.iter().fold(key, |k, &p| with_wild(k, hashes[usize::from(p)], usize::from(p)));
            self.by_key.get(&key).copied()
        })
    }

    fn add(&mut self, service: &str, line: &str, key: u64, now_ms: i64) -> Seen {
        if self.patterns.len() >= self.limits.patterns_max.max(1) {
            self.evict();
        }
        let tokens = mask::tokens(line.as_bytes());
        let mut id = key;
        // 0 stands for "no pattern" in records, and an id is never given twice.
        while id == 0 || self.survivors.contains_key(&id) || self.patterns.iter().any(|p| p.id == id) {
            id = mix(id ^ 0x5bd1_e995);
        }
        let index = u32::try_from(self.patterns.len()).unwrap_or(u32::MAX);
        self.patterns.push(Pattern {
            id,
            service: service.to_owned(),
            tokens,
            count: 1,
            first_seen_ms: now_ms,
            last_seen_ms: now_ms,
            absorbed: Vec::new(),
        });
        self.by_key.insert(key, index);
        let hashes = self.scratch.tokens.clone();
        let survivor = self.connect(index, key, &hashes);
        let pattern = &self.patterns[survivor as usize];
        Seen { id: pattern.id, is_new: pattern.id == id }
    }

    /// Notes the keys that a pattern is one word away from, and merges where enough others are. Gives the pattern that the
    /// new one ended up in.
    fn connect(&mut self, index: u32, key: u64, hashes: &[u64]) -> u32 {
        if hashes.len() > MERGE_TOKENS_MAX {
            return index;
        }
        let mut full: Option<(usize, u64)> = None;
        for (position, &hash) in hashes.iter().enumerate() {
            if hash == wild_hash() || !self.may_vary(index, position) {
                continue;
            }
            let near_key = with_wild(key, hash, position);
            let near = self.near.entry(near_key).or_default();
            if !near.contains(&index) {
                near.push(index);
            }
            if near.len() >= MERGE_AT && full.is_none() {
                full = Some((position, near_key));
            }
        }
        match full {
            Some((position, near_key)) => self.merge(position, near_key, hashes),
            None => index,
        }
    }

    /// A position may become variable when at least one other word, and a third of the line, stays constant.
    fn may_vary(&self, index: u32, position: usize) -> bool {
        let tokens = &self.patterns[index as usize].tokens;
        let constant = tokens
            .iter()
            .enumerate()
            .filter(|(i, t)| *i != position && t.bytes().any(|b| b.is_ascii_alphabetic() || b >= 0x80))
            .count();
        constant >= 1 && constant * 3 >= tokens.len()
    }

    fn merge(&mut self, position: usize, key: u64, hashes: &[u64]) -> u32 {
        let members = self.near.remove(&key).unwrap_or_default();
        let mut hashes = hashes.to_vec();
        hashes[position] = wild_hash();
        if let Some(wider) = self.find_key(key, &hashes) {
            let others: Vec<u32> = members.into_iter().filter(|&m| m != wider).collect();
            return self.absorb(wider, &others);
        }
        let Some(&oldest) = members.iter().min_by_key(|&&m| (self.patterns[m as usize].first_seen_ms, m)) else {
            return 0;
        };
        for near in self.near.values_mut() {
            near.retain(|&m| m != oldest);
        }
        WILD.clone_into(&mut self.patterns[oldest as usize].tokens[position]);
        self.remember_shape(oldest);
        self.by_key.insert(key, oldest);
        let others = self.covered_by(oldest);
        let survivor = self.absorb(oldest, &others);
        self.connect(survivor, key, &hashes)
    }

    fn remember_shape(&mut self, index: u32) {
        let tokens = &self.patterns[index as usize].tokens;
        let shape = wild_positions(tokens);
        let shapes = self.shapes.entry(tokens.len()).or_default();
        if !shape.is_empty() && !shapes.contains(&shape) && shapes.len() < SHAPES_MAX {
            shapes.push(shape);
        }
    }

    /// The other patterns whose lines would now go to this one.
    fn covered_by(&self, index: u32) -> Vec<u32> {
        let wide = &self.patterns[index as usize];
        let covers = |p: &Pattern| {
            p.tokens.len() == wide.tokens.len()
                && p.service == wide.service
                && wide.tokens.iter().zip(&p.tokens).all(|(w, t)| w == WILD || w == t)
        };
        (0u32..).zip(&self.patterns).filter(|(i, p)| *i != index && covers(p)).map(|(i, _)| i).collect()
    }

    /// Moves what `others` counted to `into`, takes them out, and gives where `into` is afterwards.
    fn absorb(&mut self, into: u32, others: &[u32]) -> u32 {
        let into_id = self.patterns[into as usize].id;
        for &other in others {
            let gone = std::mem::take(&mut self.patterns[other as usize].absorbed);
            let (id, count, first, last) = {
                let p = &self.patterns[other as usize];
                (p.id, p.count, p.first_seen_ms, p.last_seen_ms)
            };
            let target = &mut self.patterns[into as usize];
            target.count += count;
            target.first_seen_ms = target.first_seen_ms.min(first);
            target.last_seen_ms = target.last_seen_ms.max(last);
            for absorbed in gone.into_iter().chain([id]) {
                self.survivors.insert(absorbed, into_id);
                if target.absorbed.len() < ABSORBED_MAX {
                    target.absorbed.push(absorbed);
                }
            }
        }
        // Indexes move when patterns are taken out; every table is written in their terms.
        let mut moved: Vec<Option<u32>> = Vec::with_capacity(self.patterns.len());
        let mut next = 0;
        for index in 0..self.patterns.len() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            if others.contains(&index) {
                moved.push(None);
            } else {
                moved.push(Some(next));
                next += 1;
            }
        }
        let mut index = 0;
        self.patterns.retain(|_| {
            index += 1;
            moved[index - 1].is_some()
        });
        let new_into = moved[into as usize].unwrap_or(0);
        for slot in self.by_key.values_mut() {
            *slot = moved[*slot as usize].unwrap_or(new_into);
        }
        self.near.retain(|_, members| {
            // What was absorbed is no longer one word away from anything: its wider successor has entries of its own.
            members.retain_mut(|member| match moved[*member as usize] {
                Some(index) => {
                    *member = index;
                    true
                }
                None => false,
            });
            !members.is_empty()
        });
        new_into
    }

    /// Forgets the tenth of the patterns that were not seen for longest, and everything that only they needed.
    fn evict(&mut self) {
        let mut order: Vec<(i64, u64, u64)> = self.patterns.iter().map(|p| (p.last_seen_ms, p.count, p.id)).collect();
        order.sort_unstable();
        let drop = (order.len() / 10).max(1);
        let gone: hashbrown::HashSet<u64> = order[..drop].iter().map(|o| o.2).collect();
        self.evicted += drop as u64;
        let kept: Vec<Pattern> =
            std::mem::take(&mut self.patterns).into_iter().filter(|p| !gone.contains(&p.id)).collect();
        let scratch = std::mem::take(&mut self.scratch);
        self.rebuild(kept);
        self.scratch = scratch;
    }

    /// Takes patterns and makes the tables anew.
    fn rebuild(&mut self, patterns: Vec<Pattern>) {
        self.patterns = patterns;
        self.by_key.clear();
        self.near.clear();
        self.shapes.clear();
        self.survivors.clear();
        let mut hashes = Vec::new();
        for index in 0..self.patterns.len() {
            let pattern = &self.patterns[index];
            let key = key_of(&pattern.service, &pattern.tokens, &mut hashes);
            for absorbed in &pattern.absorbed {
                self.survivors.insert(*absorbed, pattern.id);
            }
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            self.remember_shape(index);
            self.by_key.insert(key, index);
            if hashes.len() <= MERGE_TOKENS_MAX {
                for (position, &hash) in hashes.iter().enumerate() {
                    if hash != wild_hash() && self.may_vary(index, position) {
                        self.near.entry(with_wild(key, hash, position)).or_default().push(index);
                    }
                }
            }
        }
    }
}

/// Positions whose whole token is variable.
fn wild_positions(tokens: &[String]) -> Vec<u16> {
    tokens.iter().enumerate().filter(|(_, t)| *t == WILD).filter_map(|(i, _)| u16::try_from(i).ok()).collect()
}

/// Hashes the masked tokens as they are scanned.
#[derive(Debug)]
struct HashSink {
    seed: u64,
    tokens: Vec<u64>,
    current: u64,
}

impl Default for HashSink {
    fn default() -> Self {
        Self { seed: 0, tokens: Vec::with_capacity(TOKENS_MAX), current: TOKEN_SEED }
    }
}

const TOKEN_SEED: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl HashSink {
    fn start(&mut self, service: &str) {
        self.seed = mix(fold(TOKEN_SEED, service.as_bytes()));
        self.tokens.clear();
        self.current = TOKEN_SEED;
    }

    /// Sum over the positions, so that one position can be exchanged without looking at the others.
    fn key(&self) -> u64 {
        key_of_hashes(self.seed, &self.tokens)
    }
}

impl Sink for HashSink {
    fn constant(&mut self, piece: &[u8]) {
        self.current = fold(self.current, piece);
    }

    fn wild(&mut self) {
        self.current = fold(self.current, WILD.as_bytes());
    }

    fn end_token(&mut self) {
        self.tokens.push(self.current);
        self.current = TOKEN_SEED;
    }
}

/// FNV-1a: a token's hash does not depend on how it was cut into pieces, and is the same on every machine.
fn fold(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |h, &b| (h ^ u64::from(b)).wrapping_mul(PRIME))
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn wild_hash() -> u64 {
    fold(TOKEN_SEED, WILD.as_bytes())
}

fn placed(hash: u64, position: usize) -> u64 {
    mix(hash.wrapping_add((position as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn with_wild(key: u64, hash: u64, position: usize) -> u64 {
    key.wrapping_sub(placed(hash, position)).wrapping_add(placed(wild_hash(), position))
}

fn key_of_hashes(seed: u64, hashes: &[u64]) -> u64 {
    let length = placed(seed, hashes.len());
    hashes.iter().enumerate().fold(length, |key, (position, &hash)| key.wrapping_add(placed(hash, position)))
}

fn key_of(service: &str, tokens: &[String], hashes: &mut Vec<u64>) -> u64 {
    hashes.clear();
    hashes.extend(tokens.iter().map(|t| fold(TOKEN_SEED, t.as_bytes())));
    key_of_hashes(mix(fold(TOKEN_SEED, service.as_bytes())), hashes)
}

#[cfg(test)]
mod tests;
