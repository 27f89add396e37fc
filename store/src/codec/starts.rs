//! Since when the samples of a chunk count. A source says the same for long, or the same time before each sample.

use pco::DeltaSpec;

use super::dense::{push_pco, read_pco};
use super::{CodecError, varint};

/// The first byte: runs of equal start times, or how long before its sample each lies.
const RUNS: u8 = 0;
const AGES: u8 = 1;

/// So many runs are written one by one in any case.
const RUNS_MAX: usize = 8;

/// With more runs than one in this many samples the ages are packed instead.
const RUN_SHARE: usize = 4;

/// Writes the start times of the samples of a chunk, one for each of `times`.
pub(super) fn push(starts: &[i64], times: &[i64], buffer: &mut Vec<u8>) -> Result<(), CodecError> {
    let num_runs = starts.chunk_by(|a, b| a == b).count();
    if num_runs > RUNS_MAX && num_runs * RUN_SHARE > starts.len() {
        let ages: Vec<i64> = times.iter().zip(starts).map(|(time, start)| time.wrapping_sub(*start)).collect();
        buffer.push(AGES);
        return push_pco(&ages, DeltaSpec::NoOp, buffer);
    }
    buffer.push(RUNS);
    varint::push(buffer, num_runs as u64);
    let mut previous = times.first().copied().unwrap_or(0);
    for run in starts.chunk_by(|a, b| a == b) {
        let start = run.first().copied().unwrap_or(0);
        varint::push(buffer, run.len() as u64);
        varint::push_signed(buffer, start.wrapping_sub(previous));
        previous = start;
    }
    Ok(())
}

/// Reads the start times of the samples at `times`, appending to `starts`.
pub(super) fn read(bytes: &[u8], times: &[i64], starts: &mut Vec<i64>) -> Result<(), CodecError> {
    let mut reader = varint::Reader::new(bytes);
    match reader.byte()? {
        AGES => {
            let ages = read_pco::<i64>(&mut reader, times.len())?;
            starts.extend(times.iter().zip(ages).map(|(time, age)| time.wrapping_sub(age)));
            Ok(())
        }
        RUNS => {
            let mut left = times.len();
            let mut start = times.first().copied().unwrap_or(0);
            for _ in 0..reader.count()? {
                let length = reader.size()?;
                left = left.checked_sub(length).ok_or(CodecError("there are more start times than samples"))?;
                start = start.wrapping_add(reader.signed()?);
                starts.resize(starts.len() + length, start);
            }
            if left == 0 { Ok(()) } else { Err(CodecError("start times are missing")) }
        }
        _ => Err(CodecError("an unknown form of start times")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_are_small_and_come_back() {
        let times: Vec<i64> = (0..240).map(|i| 1_700_000_000_000 + i * 15_000).collect();
        let check = |name: &str, starts: &[i64], bytes_max: usize| {
            let mut buffer = Vec::new();
            push(starts, &times[..starts.len()], &mut buffer).unwrap();
            assert!(buffer.len() <= bytes_max, "{name}: {} bytes", buffer.len());
            let mut back = vec![7];
            read(&buffer, &times[..starts.len()], &mut back).unwrap();
            assert_eq!(&back[1..], starts, "{name}");
        };
        check("since one moment", &[1_699_990_000_000; 240], 8);
        check("the epoch itself is told from nothing", &[1; 240], 10);
        let restart: Vec<i64> = times.iter().map(|t| if *t < times[100] { 0 } else { times[99] + 3 }).collect();
        check("known from a restart on", &restart, 24);
        let deltas: Vec<i64> = times.iter().map(|t| t - 15_000).collect();
        check("deltas", &deltas, 60);
        check("few deltas", &deltas[..5], 30);
        check("the ends of time", &[i64::MIN, i64::MAX, 0], 40);
    }

    #[test]
    fn start_times_that_do_not_fit_are_refused() {
        let check = |bytes: &[u8]| assert!(read(bytes, &[10, 20, 30], &mut Vec::new()).is_err(), "{bytes:?}");
        check(&[]);
        check(&[2]);
        check(&[RUNS, 1, 2, 0]);
        check(&[RUNS, 1, 4, 0]);
        check(&[RUNS, 9, 3, 0]);
        check(&[AGES, 1, 2, 3]);
    }
}
