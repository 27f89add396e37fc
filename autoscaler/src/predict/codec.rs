//! The stored form of a [`Predictor`]: little-endian numbers one after the other, every list of a bounded length.

use models::load::{Cell, LoadErrors, LoadHistory, METHODS, Onset, Onsets};

use super::candidate::{BLOCKS, Candidate, Hold};
use super::{CANDIDATES, Predictor, Said, Wish};

/// The form's number; another one is not read.
const FORMAT: u8 = 4;
/// Most forecasts that wait for what comes.
const SAID_MAX: usize = 64;

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.0.extend(value.to_le_bytes());
    }

    fn f32(&mut self, value: f32) {
        self.0.extend(value.to_le_bytes());
    }

    /// The length of a list that follows.
    fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn f32(&mut self) -> Option<f32> {
        self.take().map(f32::from_le_bytes)
    }

    /// A list of at most `most`.
    fn list<T>(&mut self, most: usize, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = usize::try_from(self.u32()?).ok().filter(|count| *count <= most)?;
        (0..count).map(|_| read(self)).collect()
    }
}

impl Predictor {
    /// The form that is stored.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(FORMAT);
        out.i64(self.last_tick);
        out.u32(self.seen_ticks);
        out.u16(self.chosen);
        out.u8(u8::from(self.fell_back));
        let parts = self.history.parts();
        out.i64(parts.first_minute);
        out.i64(parts.last_minute);
        out.f32(parts.unit);
        out.count(parts.codes.len());
        out.0.extend(parts.codes);
        out.count(parts.recent.len());
        parts.recent.iter().for_each(|v| out.f32(*v));
        out.count(self.onsets.seen().len());
        for onset in self.onsets.seen() {
            out.u32(u32::try_from(self.last_tick - onset.tick).unwrap_or(u32::MAX));
            out.f32(onset.peak);
        }
        for errors in &self.errors {
            errors.counts().iter().for_each(|c| out.u16(*c));
        }
        out.count(self.said.len());
        for said in &self.said {
            // What is not due yet is younger than the longest delay.
            out.u8(u8::try_from(self.last_tick - said.tick).unwrap_or(u8::MAX));
            said.loads.iter().for_each(|v| out.f32(*v));
            said.cells.iter().for_each(|c| out.u8(c.number()));
        }
        out.count(self.candidates.len());
        for candidate in &self.candidates {
            out.u16(candidate.replicas);
            out.u8(candidate.since_out);
            out.u8(candidate.since_in);
            out.f32(candidate.cost);
            out.f32(candidate.recent);
            candidate.blocks.iter().for_each(|b| out.u16(*b));
        }
        for hold in self.holds.iter().chain([&self.measured]) {
            hold.pieces.iter().for_each(|p| out.u16(*p));
        }
        out.u8(u8::from(self.wish.is_some()));
        if let Some(wish) = self.wish {
            out.u32(wish.up);
            out.u32(wish.keep);
            out.f32(wish.soon);
            out.u16(wish.chosen);
        }
        out.0
    }

    /// Reads the stored form; `None` when it is damaged or of another format.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let input = &mut input;
        if input.u8()? != FORMAT {
            return None;
        }
        let (last_tick, seen_ticks, chosen) = (input.i64()?, input.u32()?, input.u16()?);
        let fell_back = input.u8()? != 0;
        let (first_minute, last_minute, unit) = (input.i64()?, input.i64()?, input.f32()?);
        let codes = input.list(bytes.len(), Reader::u8)?;
        let recent = input.list(bytes.len(), Reader::f32)?;
        let history = LoadHistory::from_parts(first_minute, last_minute, unit, codes, recent)?;
        let onsets = input
            .list(bytes.len(), |input| Some(Onset { tick: last_tick - i64::from(input.u32()?), peak: input.f32()? }))?;
        let onsets = Onsets::from_seen(onsets)?;
        let errors = (0..METHODS.len())
            .map(|_| LoadErrors::from_counts((0..LoadErrors::COUNTS).map(|_| input.u16()).collect::<Option<_>>()?))
            .collect::<Option<_>>()?;
        let said = input.list(SAID_MAX, |input| {
            let mut said = Said {
                tick: last_tick - i64::from(input.u8()?),
                loads: [0.0; METHODS.len()],
                cells: [Cell::default(); METHODS.len()],
            };
            for load in &mut said.loads {
                *load = input.f32()?;
            }
            for cell in &mut said.cells {
                *cell = Cell::numbered(input.u8()?)?;
            }
            Some(said)
        })?;
        let candidates = input.list(CANDIDATES, |input| {
            let mut candidate = Candidate {
                replicas: input.u16()?,
                since_out: input.u8()?,
                since_in: input.u8()?,
                cost: input.f32()?,
                recent: input.f32()?,
                blocks: [0; BLOCKS],
            };
            for block in &mut candidate.blocks {
                *block = input.u16()?;
            }
            Some(candidate)
        })?;
        if !matches!(candidates.len(), 0 | CANDIDATES) || usize::from(chosen) >= CANDIDATES {
            return None;
        }
        let mut hold = || {
            let mut hold = Hold::default();
            for piece in &mut hold.pieces {
                *piece = input.u16()?;
            }
            Some(hold)
        };
        let holds = (0..CANDIDATES).map(|_| hold()).collect::<Option<_>>()?;
        let measured = hold()?;
        let wish = match input.u8()? {
            0 => None,
            _ => Some(Wish { up: input.u32()?, keep: input.u32()?, soon: input.f32()?, chosen: input.u16()? }),
        };
        let is_whole = input.0.is_empty();
        let read = Self {
            last_tick,
            seen_ticks,
            history,
            onsets,
            errors,
            said,
            candidates,
            holds,
            measured,
            chosen,
            fell_back,
            wish,
        };
        is_whole.then_some(read)
    }
}
