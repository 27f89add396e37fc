//! The times of a chunk: a regular grid and what differs from it. The time of the first sample stands beside the payload.

use pco::DeltaSpec;

use super::dense::{push_pco, read_pco};
use super::{CodecError, varint};

/// Bits of a payload's first byte that say how the times are written; none of them: a grid whose exceptions are distances.
const DISTANCES: u8 = 0x08;
const DEVIATIONS: u8 = 0x10;

/// Both bits: the times stand elsewhere, under a number.
pub(super) const SHARED: u8 = DISTANCES | DEVIATIONS;

/// A grid with more exceptions than one in this many samples is written as distances instead.
const EXCEPTION_SHARE: usize = 8;

/// More deviations than this are packed together.
const DEVIATIONS_SINGLE_MAX: usize = 64;

/// Writes ascending times; gives the bits for the payload's first byte.
pub(super) fn push(times: &[i64], buffer: &mut Vec<u8>) -> Result<u8, CodecError> {
    let distances: Vec<i64> = times.windows(2).map(|w| w[1].wrapping_sub(w[0])).collect();
    let step = most_common(&distances);
    let num_jumps = distances.iter().filter(|d| **d != step).count();
    if num_jumps > 0 {
        let first = times.first().copied().unwrap_or(0);
        // What is late or early by itself differs once from the grid, but twice from the distance to its neighbours.
        let offsets: Vec<i64> = (0i64..).zip(times).map(|(i, t)| t.wrapping_sub(grid_time(first, step, i))).collect();
        let base = most_common(&offsets);
        let num_deviations = offsets.iter().filter(|o| **o != base).count();
        if num_jumps.min(num_deviations) * EXCEPTION_SHARE > times.len() {
            push_pco(&distances, DeltaSpec::NoOp, buffer)?;
            return Ok(DISTANCES);
        }
        if num_deviations < num_jumps {
            push_deviations(step, base, &offsets, buffer)?;
            return Ok(DEVIATIONS);
        }
    }
    varint::push_signed(buffer, step);
    varint::push(buffer, num_jumps as u64);
    let mut next = 0;
    for (index, distance) in distances.iter().enumerate().filter(|(_, d)| **d != step) {
        // How many regular distances lie before this one.
        varint::push(buffer, (index - next) as u64);
        varint::push_signed(buffer, distance.wrapping_sub(step));
        next = index + 1;
    }
    Ok(0)
}

fn push_deviations(step: i64, base: i64, offsets: &[i64], buffer: &mut Vec<u8>) -> Result<(), CodecError> {
    varint::push_signed(buffer, step);
    varint::push_signed(buffer, base);
    let (mut gaps, mut shifts) = (Vec::new(), Vec::new());
    let mut next = 0;
    for (index, offset) in (0i64..).zip(offsets).filter(|(_, o)| **o != base) {
        gaps.push(index - next);
        shifts.push(offset.wrapping_sub(base));
        next = index + 1;
    }
    varint::push(buffer, gaps.len() as u64);
    if gaps.len() > DEVIATIONS_SINGLE_MAX {
        push_pco(&gaps, DeltaSpec::NoOp, buffer)?;
        return push_pco(&shifts, DeltaSpec::NoOp, buffer);
    }
    for (gap, shift) in gaps.iter().zip(&shifts) {
        varint::push(buffer, gap.cast_unsigned());
        varint::push_signed(buffer, *shift);
    }
    Ok(())
}

/// Reads the times of `num_samples` samples, at least one, appending to `times`.
pub(super) fn read(
    reader: &mut varint::Reader<'_>,
    flags: u8,
    num_samples: usize,
    first_time: i64,
    times: &mut Vec<i64>,
) -> Result<(), CodecError> {
    if flags & DEVIATIONS != 0 {
        return read_deviations(reader, num_samples, first_time, times);
    }
    let mut time = first_time;
    times.push(time);
    if flags & DISTANCES != 0 {
        for distance in read_pco::<i64>(reader, num_samples - 1)? {
            time = time.wrapping_add(distance);
            times.push(time);
        }
        return Ok(());
    }
    let step = reader.signed()?;
    let num_jumps = reader.count()?;
    let mut left = num_samples - 1;
    for _ in 0..num_jumps {
        let gap = reader.size()?;
        let shift = reader.signed()?;
        if gap >= left {
            return Err(CodecError("a time lies behind the chunk"));
        }
        for _ in 0..gap {
            time = time.wrapping_add(step);
            times.push(time);
        }
        time = time.wrapping_add(step).wrapping_add(shift);
        times.push(time);
        left -= gap + 1;
    }
    for _ in 0..left {
        time = time.wrapping_add(step);
        times.push(time);
    }
    Ok(())
}

fn read_deviations(
    reader: &mut varint::Reader<'_>,
    num_samples: usize,
    first_time: i64,
    times: &mut Vec<i64>,
) -> Result<(), CodecError> {
    let step = reader.signed()?;
    let start = first_time.wrapping_add(reader.signed()?);
    let num_deviations = reader.size()?;
    if num_deviations > num_samples {
        return Err(CodecError("there are more deviations than times"));
    }
    let from = times.len();
    times.extend((0i64..).take(num_samples).map(|i| grid_time(start, step, i)));
    let mut rest = &mut times[from..];
    let mut shift = |gap: i64, shift: i64| {
        let gap = usize::try_from(gap).ok().filter(|gap| *gap < rest.len());
        let gap = gap.ok_or(CodecError("a time lies behind the chunk"))?;
        rest[gap] = rest[gap].wrapping_add(shift);
        rest = &mut std::mem::take(&mut rest)[gap + 1..];
        Ok(())
    };
    if num_deviations > DEVIATIONS_SINGLE_MAX {
        let gaps = read_pco::<i64>(reader, num_deviations)?;
        let shifts = read_pco::<i64>(reader, num_deviations)?;
        return gaps.into_iter().zip(shifts).try_for_each(|(gap, by)| shift(gap, by));
    }
    for _ in 0..num_deviations {
        let gap = reader.unsigned()?.cast_signed();
        shift(gap, reader.signed()?)?;
    }
    Ok(())
}

fn grid_time(start: i64, step: i64, number: i64) -> i64 {
    start.wrapping_add(step.wrapping_mul(number))
}

/// The number that occurs most often.
fn most_common(numbers: &[i64]) -> i64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let longest = sorted.chunk_by(|a, b| a == b).max_by_key(|run| run.len());
    longest.and_then(|run| run.first()).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_chosen_where_it_is_short_and_read_back() {
        let check = |name: &str, times: &[i64], form: u8, bytes_max: usize| {
            let mut buffer = Vec::new();
            assert_eq!(push(times, &mut buffer).unwrap(), form, "{name}");
            assert!(buffer.len() <= bytes_max, "{name}: {} bytes", buffer.len());
            let mut read_back = vec![7];
            let mut reader = varint::Reader::new(&buffer);
            read(&mut reader, form, times.len(), times[0], &mut read_back).unwrap();
            assert_eq!((&read_back[1..], reader.rest.len()), (times, 0), "{name}");
        };
        let grid = |length: i64| (0..length).map(|i| 1_700_000_000_000 + i * 15_000).collect::<Vec<_>>();
        check("a grid", &grid(240), 0, 4);
        check("one sample", &[i64::MIN], 0, 4);
        let mut gap = grid(240);
        gap.iter_mut().skip(100).for_each(|t| *t += 60_000);
        check("a gap", &gap, 0, 8);
        let mut late = grid(240);
        late.iter_mut().step_by(20).for_each(|t| *t += 17);
        check("every twentieth late, the first one too", &late, DEVIATIONS, 32);
        let mut many = grid(5760);
        many.iter_mut().step_by(20).for_each(|t| *t += 17);
        check("so many that they are packed", &many, DEVIATIONS, 100);
        let ragged: Vec<i64> = (0..240).map(|i: i64| i * 1000 + i * i % 613).collect();
        check("no grid at all", &ragged, DISTANCES, 450);
        check("the ends of time", &[i64::MIN, 0, i64::MAX], DISTANCES, 100);
    }

    #[test]
    fn deviations_that_do_not_fit_are_refused() {
        let check = |bytes: &[u8], num_samples: usize| {
            let read = read(&mut varint::Reader::new(bytes), DEVIATIONS, num_samples, 0, &mut Vec::new());
            assert!(read.is_err(), "{bytes:?}");
        };
        check(&[2, 0, 1, 5, 2], 5);
        check(&[2, 0, 9], 5);
        check(&[2, 0, 2, 4, 2, 0, 2], 5);
        check(&[2, 0], 5);
    }
}
