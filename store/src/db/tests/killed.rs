//! kill -9 while blocks are merged, removed and brought to the present format: a process of its own works, is killed at random
//! moments, and what it had said before holds for whoever opens the folder next.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use vocab::ports::admin::Deletion;
use vocab::sample::StartTimes;

use super::*;
use crate::block::BlockMeta;

/// How often each kind of work is killed.
const ROUNDS: u64 = 12;
/// After a round's moment has come, it is waited for up to so long, so that any step of the work is hit.
const PAUSE_MAX: Duration = Duration::from_millis(25);
/// So many upgrades have to be killed when some blocks are in the present format and others not yet, and so many rounds that may
/// take: how long the work takes depends on the machine.
const PARTLY_DONE_MIN: u32 = 5;
const UPGRADES_MAX: u64 = 60;
/// A child that says nothing for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(60);

const HOSTS: u32 = 20;
const DAY_MS: i64 = 24 * 3_600_000;
const RETENTION_DAYS: i64 = 3;

const WORK: &str = "TIDEWATCH_KILLED_WORK";
const DIR: &str = "TIDEWATCH_KILLED_DIR";
const FIRST: &str = "TIDEWATCH_KILLED_FIRST";

/// Numbers that differ from run to run; the seed is printed.
struct Random(u64);

impl Random {
    fn new() -> Self {
        use std::hash::{BuildHasher, Hasher};
        let seed = std::hash::RandomState::new().build_hasher().finish();
        println!("seed {seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// When a process is killed: when it has said `until` so many times, and a random part of `pause` later.
struct Moment {
    until: &'static str,
    times: u64,
    pause: Duration,
}

/// Has a process work in a folder, kills it at the moment, and gives all it said.
fn run_and_kill(work: &str, dir: &Path, first: i64, moment: &Moment, random: &mut Random) -> Vec<String> {
    let Moment { until, times, pause } = *moment;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["db::tests::killed::work_until_killed", "--exact", "--ignored", "--nocapture"])
        // With one thread the name of the test would stand before its first line.
        .arg("--test-threads=2")
        .env(WORK, work)
        .env(DIR, dir)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let _gone = sender.send(line);
        }
    });
    let (mut said, mut left) = (Vec::new(), times);
    while left > 0 {
        let line = lines.recv_timeout(SILENCE_MAX).unwrap_or_else(|e| panic!("{work} hangs: {e}, after {said:?}"));
        left -= u64::from(line.starts_with(until));
        said.push(line);
    }
    let pause = u64::try_from(pause.as_micros()).unwrap().max(1);
    let (_nobody, nothing) = mpsc::channel::<()>();
    let _elapsed = nothing.recv_timeout(Duration::from_micros(random.below(pause)));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    said.extend(lines.try_iter());
    said
}

/// The numbers behind a word, in all the lines that begin with it.
fn numbers<'a>(said: &'a [String], word: &'a str) -> impl Iterator<Item = Vec<i64>> + 'a {
    said.iter().filter_map(move |line| {
        let mut words = line.split(' ');
        (words.next() == Some(word)).then(|| words.filter_map(|w| w.parse().ok()).collect())
    })
}

/// Neither what an interrupted write or removal left nor a damaged or unlisted block is there.
fn check_tidy(store: &MetricStore, dir: &Path) {
    let mut folders = vec![dir.join("metrics")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(!name.ends_with(".tmp") && !name.ends_with(".damaged"), "{}", path.display());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    assert_eq!(store.status().damaged, Vec::<String>::new());
    let set = &store.sources.blocks;
    for tenant in set.all().iter().map(|b| b.meta().tenant.clone()).collect::<BTreeSet<_>>() {
        assert_eq!(set.folders_of(&tenant).unwrap().len(), set.of(&tenant).len(), "{tenant}");
    }
}

/// The process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other tests of this file start it"]
async fn work_until_killed() {
    let var = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is missing"));
    let dir = std::path::PathBuf::from(var(DIR));
    let first: i64 = var(FIRST).parse().unwrap();
    match var(WORK).as_str() {
        "merge" => merge(&dir, first).await,
        "retain" => retain(&dir, first).await,
        "upgrade" => upgrade(&dir).await,
        other => panic!("what is {other}?"),
    }
}

/// The time of a slot of samples.
fn time_of(slot: i64) -> i64 {
    NOON_MS + slot * 15_000
}

fn value_of(slot: i64, host: u32) -> f64 {
    (slot * 31 + i64::from(host)) as f64 / 8.0
}

/// Since when the samples of a slot count: every second slot says so, so that the log has records of both kinds.
fn start_of(slot: i64) -> i64 {
    if slot % 2 == 0 { time_of(slot / 10 * 10) - 1 } else { 0 }
}

fn batch_of(slot: i64) -> WriteBatch {
    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    for host in 0..HOSTS {
        let index = batch.push_series(series("killed", host), SeriesRef::NONE);
        batch.samples.push(BatchSample { series: index, timestamp: time_of(slot), value: value_of(slot, host) });
        batch.start_of_last_sample(start_of(slot));
    }
    batch
}

/// Appends, flushes, merges and deletes for ever.
async fn merge(dir: &Path, first: i64) {
    let store = open(dir).await;
    for slot in first.. {
        println!("TRY {slot}");
        append(&store, &batch_of(slot)).await;
        println!("ACK {slot}");
        if slot % 3 == 2 {
            store.flush().await.unwrap();
        }
        if slot % 20 == 10 {
            let host = slot / 20 % i64::from(HOSTS);
            let from = (slot - 9).max(first);
            println!("CUT {host} {from} {slot}");
            let matchers = vec![Matcher::equal("__name__", "killed"), Matcher::equal("host", format!("h{host}"))];
            let deletion = Deletion { any_of: vec![matchers], start_ms: time_of(from), end_ms: time_of(slot) };
            store.delete_series(&Ctx::unlimited(), deletion).await.unwrap();
            println!("GONE {host} {from} {slot}");
        }
        if slot % 9 == 8 {
            println!("MERGE");
            store.compact().await.unwrap();
            println!("MERGED");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_merges_it_keeps_what_it_acknowledged_once_and_what_was_deleted_stays_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new();
    let (mut tried, mut acknowledged) = (BTreeSet::<i64>::new(), BTreeSet::<i64>::new());
    // By host: slots that are gone, and slots of which nobody knows because the deletion was not acknowledged.
    let (mut gone, mut open_cuts) = (BTreeSet::<(i64, i64)>::new(), BTreeSet::<(i64, i64)>::new());
    let mut amid_merges = 0;
    for round in 0..ROUNDS {
        let first = tried.last().map_or(0, |slot| slot + 1);
        let (until, times) =
            if round % 3 == 2 { ("CUT", 1 + random.below(2)) } else { ("MERGE", 1 + 2 * random.below(4)) };
        let moment = Moment { until, times, pause: PAUSE_MAX };
        let said = run_and_kill("merge", dir.path(), first, &moment, &mut random);
        tried.extend(numbers(&said, "TRY").map(|n| n[0]));
        acknowledged.extend(numbers(&said, "ACK").map(|n| n[0]));
        for cut in numbers(&said, "CUT") {
            open_cuts.extend((cut[1]..=cut[2]).map(|slot| (cut[0], slot)));
        }
        for cut in numbers(&said, "GONE") {
            gone.extend((cut[1]..=cut[2]).map(|slot| (cut[0], slot)));
        }
        amid_merges += u32::from(said.iter().any(|l| l == "MERGE") && said.last().is_some_and(|l| l == "MERGE"));
        let store = open(dir.path()).await;
        check_tidy(&store, dir.path());
        check_slots(&store, &tried, &acknowledged, &gone, &open_cuts).await;
        store.close().await;
    }
    println!("{} slots acknowledged, {amid_merges} of {ROUNDS} rounds ended amid a merge", acknowledged.len());
    assert!(acknowledged.len() > 50, "hardly anything was written");
    let store = open(dir.path()).await;
    store.flush().await.unwrap();
    store.compact().await.unwrap();
    let num_samples = check_slots(&store, &tried, &acknowledged, &gone, &open_cuts).await;
    let in_blocks: u64 = store.sources.blocks.all().iter().map(|b| b.meta().num_samples).sum();
    assert_eq!((in_blocks, store.status().head_samples), (num_samples, 0), "each sample is in one block");
}

/// Compares what is there with what was said; gives the number of samples.
async fn check_slots(
    store: &MetricStore,
    tried: &BTreeSet<i64>,
    acknowledged: &BTreeSet<i64>,
    gone: &BTreeSet<(i64, i64)>,
    open_cuts: &BTreeSet<(i64, i64)>,
) -> u64 {
    let all = everything(store).await;
    assert_eq!(all.len(), HOSTS as usize);
    let mut num_samples = 0;
    for found in all {
        let host: u32 = found.labels.get("host").unwrap()[1..].parse().unwrap();
        assert!(found.timestamps.is_sorted_by(|a, b| a < b), "host {host} has a time twice");
        let slots: Vec<i64> = found.timestamps.iter().map(|t| (t - NOON_MS) / 15_000).collect();
        num_samples += slots.len() as u64;
        let starts = found.starts.as_deref().map_or_else(Vec::new, |s: &StartTimes| s.floats.clone());
        for (at, slot) in slots.iter().enumerate() {
            let key = (i64::from(host), *slot);
            assert!(tried.contains(slot), "host {host} has slot {slot}, which nobody wrote");
            assert!(!gone.contains(&key), "host {host} has slot {slot}, which was deleted");
            assert_eq!(found.values[at], value_of(*slot, host), "host {host}, slot {slot}");
            assert_eq!(starts.get(at).copied().unwrap_or(0), start_of(*slot), "host {host}, slot {slot}");
        }
        let slots: BTreeSet<i64> = slots.into_iter().collect();
        let lost = |slot: &&i64| !slots.contains(slot) && !open_cuts.contains(&(i64::from(host), **slot));
        let lost: Vec<_> = acknowledged.iter().filter(lost).collect();
        assert!(lost.is_empty(), "host {host} has lost {lost:?}");
    }
    num_samples
}

fn noon_of(day: i64) -> i64 {
    NOON_MS + day * DAY_MS
}

async fn open_retaining(dir: &Path, clock: &SimClock) -> Arc<MetricStore> {
    let keeps = Duration::from_millis(u64::try_from(RETENTION_DAYS * DAY_MS).unwrap());
    let config = MetricStoreConfig { retention_time: Some(keeps), ..MetricStoreConfig::new(dir.to_owned()) };
    open_with(config, &budget(), clock).await
}

/// Writes a day in several blocks, then goes on to the next day and has what is too old removed, for ever.
async fn retain(dir: &Path, first: i64) {
    let clock = SimClock::at(noon_of(first));
    let store = open_retaining(dir, &clock).await;
    for day in first.. {
        clock.jump_to(noon_of(day));
        println!("TRY {day}");
        for part in 0..3 {
            append(&store, &counters("kept", 10, 10, noon_of(day) - part * 1_000_000)).await;
            store.flush().await.unwrap();
        }
        println!("ACK {day}");
        println!("RETAIN {day}");
        store.compact().await.unwrap();
        println!("RETAINED {day}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_removes_what_is_too_old_it_keeps_the_rest_and_what_went_stays_away() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new();
    let (mut tried, mut acknowledged) = (BTreeSet::<i64>::new(), BTreeSet::<i64>::new());
    let (mut begun, mut done) = (i64::MIN, i64::MIN);
    for _ in 0..ROUNDS {
        let first = tried.last().map_or(0, |day| day + 1);
        let moment = Moment { until: "RETAIN", times: 2 * random.below(4) + 1, pause: PAUSE_MAX };
        let said = run_and_kill("retain", dir.path(), first, &moment, &mut random);
        tried.extend(numbers(&said, "TRY").map(|n| n[0]));
        acknowledged.extend(numbers(&said, "ACK").map(|n| n[0]));
        begun = numbers(&said, "RETAIN").map(|n| n[0]).fold(begun, i64::max);
        done = numbers(&said, "RETAINED").map(|n| n[0]).fold(done, i64::max);
        let store = open_retaining(dir.path(), &SimClock::at(noon_of(*tried.last().unwrap()))).await;
        check_tidy(&store, dir.path());
        let mut days: BTreeMap<i64, u64> = BTreeMap::new();
        for found in everything(&store).await {
            assert!(found.timestamps.is_sorted_by(|a, b| a < b));
            for time in found.timestamps {
                *days.entry((time - NOON_MS + DAY_MS / 2).div_euclid(DAY_MS)).or_default() += 1;
            }
        }
        let oldest = days.first_key_value().map_or(0, |(day, _)| *day);
        assert!(done == i64::MIN || oldest >= done - RETENTION_DAYS, "day {oldest} is back after day {done}");
        // Of the oldest day that may be there some blocks are too old already.
        for day in acknowledged.range((begun - RETENTION_DAYS + 1).max(0)..) {
            assert_eq!(days.get(day), Some(&300), "day {day} of {days:?}");
        }
        store.close().await;
    }
    assert!(done > RETENTION_DAYS * 2, "hardly anything was removed: {done}");
}

/// Tenants whose blocks are brought to the present format.
const TENANTS: u64 = 30;

fn tenant(number: u64) -> TenantId {
    TenantId::new(&format!("t{number}")).unwrap()
}

/// Fills a folder with blocks of all formats there ever were: of every tenant one each.
fn lay_out_old_blocks(dir: &Path) {
    for number in 0..TENANTS {
        for version in 1..=crate::block::FORMAT_VERSION {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/samples/block-v{version}"));
            let ulid = ulid::Ulid::from_parts(1_767_000_000_000 + u64::from(version), u128::from(number));
            let to = dir.join("metrics/blocks").join(tenant(number).as_str()).join(ulid.to_string());
            std::fs::create_dir_all(&to).unwrap();
            for name in ["samples.parquet", "index"] {
                std::fs::copy(from.join(name), to.join(name)).unwrap();
            }
            let text = std::fs::read_to_string(from.join("meta.json")).unwrap();
            let mut meta: serde_json::Value = serde_json::from_str(&text).unwrap();
            for key in ["ulid", "first_ulid"] {
                meta[key] = ulid.to_string().into();
            }
            meta["tenant"] = tenant(number).as_str().into();
            std::fs::write(to.join("meta.json"), meta.to_string()).unwrap();
        }
    }
}

/// Merges everything, which writes it in the present format.
async fn upgrade(dir: &Path) {
    let store = open(dir).await;
    println!("UPGRADE");
    store.compact().await.unwrap();
    println!("UPGRADED");
    // Until it is killed.
    std::future::pending::<()>().await;
}

async fn everything_of(store: &MetricStore, tenant: &TenantId) -> Vec<String> {
    let ctx = Ctx::new(tenant.clone(), vocab::MemoryReservation::unlimited());
    let (start_ms, end_ms) = (i64::MIN, i64::MAX);
    let request = SelectRequest { matchers: Vec::new(), start_ms, end_ms, hints: SelectHints::default() };
    let mut stream = store.select(&ctx, request).await.unwrap();
    let mut all = Vec::new();
    while let Some(batch) = stream.next().await {
        for found in batch.unwrap() {
            assert!(found.timestamps.is_sorted_by(|a, b| a < b));
            let bits: Vec<u64> = found.values.iter().map(|v| v.to_bits()).collect();
            all.push(format!(
                "{} {:?} {bits:?} {:?} {:?}",
                found.labels, found.timestamps, found.histograms, found.starts
            ));
        }
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_old_formats_are_brought_up_to_date_it_has_the_same_samples() {
    let mut random = Random::new();
    let mut dir = tempfile::tempdir().unwrap();
    lay_out_old_blocks(dir.path());
    let store = open(dir.path()).await;
    let expected = everything_of(&store, &tenant(0)).await;
    assert!(expected.len() > 10);
    store.close().await;
    drop(store);
    let (mut partly_done, mut rounds, mut pause) = (0, 0, PAUSE_MAX);
    while rounds < ROUNDS || (partly_done < PARTLY_DONE_MIN && rounds < UPGRADES_MAX) {
        rounds += 1;
        run_and_kill("upgrade", dir.path(), 0, &Moment { until: "UPGRADE", times: 1, pause }, &mut random);
        let store = open(dir.path()).await;
        check_tidy(&store, dir.path());
        for number in 0..TENANTS {
            assert_eq!(everything_of(&store, &tenant(number)).await, expected, "tenant {number}");
        }
        let metas: Vec<BlockMeta> = store.sources.blocks.all().iter().map(|b| b.meta().clone()).collect();
        store.close().await;
        if metas.len() as u64 == TENANTS {
            assert!(metas.iter().all(|m| m.format_version == crate::block::FORMAT_VERSION && m.level > 0));
            dir = tempfile::tempdir().unwrap();
            lay_out_old_blocks(dir.path());
            pause /= 2;
        } else if metas.iter().any(|m| m.level > 0) {
            partly_done += 1;
        } else {
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }
    println!("{partly_done} of {rounds} rounds ended with some blocks brought up to date and others not");
    assert!(partly_done >= PARTLY_DONE_MIN, "it was hardly ever killed amid the work");
}
