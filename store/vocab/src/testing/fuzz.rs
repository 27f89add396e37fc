//! Feeds decoders with a stored corpus and with what mutation makes of it.
//!
//! What breaks a decoder is kept beside the corpus, so that it is tried again from then on.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

/// The environment variable that says for how many seconds each target is fed.
pub const SECONDS_VARIABLE: &str = "TIDEWATCH_FUZZ_SECONDS";
/// Seconds when it does not say so.
const SECONDS: u64 = 10;
/// Longest that one input may take: far more than any needs, also on a busy machine.
const INPUT_TIME_MAX: Duration = Duration::from_secs(30);
/// Longest input that mutation makes: longer ones are slower and rarely better.
const INPUT_BYTES_MAX: usize = 16 << 10;
/// Most changes that lie between an input and what becomes of it.
const CHANGES_MAX: usize = 6;

/// Bytes at which decoders change their mind.
const BYTES: [u8; 16] = [0, 1, 2, 7, 8, 0x0a, 0x0f, 0x10, 0x12, 0x20, 0x7f, 0x80, 0x81, 0xc0, 0xfe, 0xff];
/// Numbers and texts at which they do.
const PIECES: [&[u8]; 20] = [
    &[0xff; 9],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    &[0, 0, 0, 0, 0, 0, 0xf0, 0x7f],
    &[2, 0, 0, 0, 0, 0, 0xf0, 0x7f],
    &[0, 0, 0, 0, 0, 0, 0xf0, 0xff],
    b"NaN",
    b"-Inf",
    b"1e999",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"# EOF\n",
    b"\n",
    "ü".as_bytes(),
];

/// Gives every input of the corpus folder and every seed to `target`, then mutations of them for as many seconds as
/// [`SECONDS_VARIABLE`] says (10). `target` must neither panic nor take long.
///
/// # Panics
/// When it does; the input is kept in the folder as `found-<hash>`.
pub fn fuzz(corpus: &Path, seeds: &[Vec<u8>], target: impl Fn(&[u8])) {
    let mut inputs = seeds.to_vec();
    for entry in std::fs::read_dir(corpus).into_iter().flatten().flatten() {
        inputs.extend(std::fs::read(entry.path()).ok());
    }
    assert!(inputs.len() > seeds.len(), "there is no corpus in {}", corpus.display());
    for input in &inputs {
        feed(corpus, input, &target);
    }
    let seconds = std::env::var(SECONDS_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let mut random = Random(RandomState::new().build_hasher().finish() | 1);
    let watch = Watch::start();
    while watch.elapsed() < Duration::from_secs(seconds) {
        feed(corpus, &mutate(&inputs, &mut random), &target);
    }
}

/// Real time: what is fed computes in it.
struct Watch(Instant);

impl Watch {
    #[allow(clippy::disallowed_methods, reason = "how long a computation takes is a matter of the real time")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

fn feed(corpus: &Path, input: &[u8], target: &impl Fn(&[u8])) {
    let watch = Watch::start();
    let ended_well = catch_unwind(AssertUnwindSafe(|| target(input))).is_ok();
    let took = watch.elapsed();
    if ended_well && took < INPUT_TIME_MAX {
        return;
    }
    let path = corpus.join(format!("found-{:016x}", xxh3_64(input)));
    let kept = std::fs::write(&path, input);
    assert!(
        ended_well,
        "an input of {} bytes is not decoded; it is kept in {} ({kept:?})",
        input.len(),
        path.display()
    );
    assert!(took < INPUT_TIME_MAX, "an input takes {took:?}; it is kept in {} ({kept:?})", path.display());
}

/// Numbers that look random (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below a limit that is not 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % limit.max(1)
    }

    /// A short range within a length.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 16 };
        start..(start + self.below(most + 1)).min(length)
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

fn mutate(inputs: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.of(inputs).clone();
    for _ in 0..=random.below(CHANGES_MAX) {
        let at = random.below(bytes.len() + 1);
        let range = random.range(bytes.len());
        match (random.below(9), bytes.get_mut(at)) {
            (0, Some(byte)) => *byte ^= 1 << random.below(8),
            (1, Some(byte)) => *byte = *random.of(&BYTES),
            (2, Some(byte)) => *byte = byte.wrapping_add(u8::try_from(random.below(7)).unwrap_or(0)).wrapping_sub(3),
            (3, _) => drop(bytes.splice(at..at, random.of(&PIECES).iter().copied())),
            (4, _) => drop(bytes.splice(range, random.of(&PIECES).iter().copied())),
            (5, _) => drop(bytes.drain(range)),
            (6, _) => {
                let piece = bytes[range].to_vec();
                let times = 1 + random.below(3);
                drop(bytes.splice(at..at, std::iter::repeat_n(piece, times).flatten()));
            }
            (7, _) => {
                let other = random.of(inputs);
                let piece = other[random.range(other.len())].to_vec();
                drop(bytes.splice(range, piece));
            }
            _ => bytes.truncate(at.max(bytes.len() / 2)),
        }
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutation_reaches_far_and_what_breaks_is_kept() {
        let mut random = Random(7);
        let inputs = [b"one".to_vec(), b"another one".to_vec()];
        let made: std::collections::BTreeSet<_> = (0..1000).map(|_| mutate(&inputs, &mut random)).collect();
        assert!(made.len() > 800 && made.iter().any(Vec::is_empty), "{}", made.len());
        assert!(made.iter().all(|m| m.len() <= INPUT_BYTES_MAX));
        let folder = std::env::temp_dir().join(format!("tidewatch-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a"), b"good").unwrap();
        let broken = catch_unwind(|| fuzz(&folder, &[b"bad".to_vec()], |input| assert_ne!(input, b"bad"))).is_err();
        let kept = std::fs::read(folder.join(format!("found-{:016x}", xxh3_64(b"bad"))));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(broken && kept.unwrap() == b"bad");
    }
}
