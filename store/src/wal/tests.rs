use std::sync::Arc;

use vocab::telemetry::Telemetry;

use super::*;
use crate::disk::OsDisk;
use crate::disk::faults::FaultyDisk;

fn open(dir: &std::path::Path, disk: Arc<dyn Disk>) -> (Arc<Wal>, WalReader) {
    let config = WalConfig { segment_bytes: 256, ..WalConfig::new("test", dir.to_owned()) };
    Wal::open(config, disk, Arc::new(Metrics::new(&Telemetry::new()))).expect("opens")
}

fn replay(dir: &std::path::Path) -> (Vec<Vec<u8>>, WalReport) {
    let (_wal, reader) = open(dir, Arc::new(OsDisk));
    let mut records = Vec::new();
    let report = reader.replay(|_, record| records.push(record.to_vec()));
    (records, report)
}

async fn append_numbers(wal: &Wal, numbers: std::ops::Range<u32>) {
    for n in numbers {
        wal.append(&[format!("record {n}").as_bytes()]).await.expect("appends");
    }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    range.map(|n| format!("record {n}").into_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_acknowledged_is_read_back_after_a_drop() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (wal, _) = open(dir.path(), Arc::new(OsDisk));
        let tasks: Vec<_> = (0..8u32)
            .map(|t| {
                let wal = Arc::clone(&wal);
                tokio::spawn(async move {
                    for n in 0..50u32 {
                        let record = format!("{t} {n}");
                        wal.append(&[record.as_bytes(), b"second"]).await.expect("appends");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
    let (records, report) = replay(dir.path());
    assert_eq!(records.len(), 800);
    assert!(report.torn.is_empty() && report.damaged.is_empty(), "{report:?}");
    assert!(report.num_segments > 1, "small segments must have rotated");
    for t in 0..8u32 {
        let mine: Vec<u32> = records
            .iter()
            .filter_map(|r| std::str::from_utf8(r).unwrap().strip_prefix(&format!("{t} ")).map(|n| n.parse().unwrap()))
            .collect();
        assert_eq!(mine, (0..50).collect::<Vec<_>>(), "one appender's records keep their order");
    }
}

#[tokio::test]
async fn a_rotation_separates_before_from_after_and_a_cut_removes_the_former() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path(), Arc::new(OsDisk));
    append_numbers(&wal, 0..5).await;
    let segment = wal.rotate().await.unwrap();
    append_numbers(&wal, 5..8).await;
    wal.cut(segment).unwrap();
    wal.close().await;
    assert!(matches!(wal.append(&[b"late"]).await, Err(WalError::Closed)));
    drop(wal);
    assert_eq!(replay(dir.path()).0, numbers(5..8));
}

#[tokio::test]
async fn a_torn_end_is_cut_once_and_middle_damage_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path(), Arc::new(OsDisk));
    append_numbers(&wal, 0..3).await;
    wal.rotate().await.unwrap();
    append_numbers(&wal, 3..6).await;
    drop(wal);
    let last = segment::path(dir.path(), 2);
    let whole = std::fs::read(&last).unwrap();
    for keep in [whole.len() - 1, whole.len() - 12] {
        std::fs::write(&last, &whole[..keep]).unwrap();
        let (records, report) = replay(dir.path());
        assert_eq!(records, numbers(0..5), "cut to {keep}");
        assert_eq!((report.torn.len(), report.damaged.len()), (1, 0), "{report:?}");
        assert_eq!(replay(dir.path()).1.torn.len(), 0, "the second start finds it clean");
    }
    std::fs::write(&last, &whole).unwrap();
    let first = segment::path(dir.path(), 1);
    let mut flipped = std::fs::read(&first).unwrap();
    // The second record's text: magic, one frame of 8 + 8 bytes, the next header.
    flipped[8 + 16 + 8 + 2] ^= 0x10;
    std::fs::write(&first, &flipped).unwrap();
    let (records, report) = replay(dir.path());
    assert_eq!(records, [numbers(0..1), numbers(3..6)].concat());
    assert_eq!(report.damaged.len(), 1, "{report:?}");
    assert!(report.damaged[0].contains("00000001.wal") && report.damaged[0].contains("offset 24"), "{report:?}");
    assert_eq!(std::fs::read(dir.path().join("00000001.wal.damaged")).unwrap(), flipped[24..]);
    let again = replay(dir.path());
    assert_eq!((again.0.len(), again.1.damaged.len()), (4, 0));
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (wal, _) = open(dir.path(), Arc::new(disk.clone()));
    append_numbers(&wal, 0..2).await;
    disk.0.lock().free_bytes = Some(10);
    for _ in 0..3 {
        let error = wal.append(&[b"does not fit any more"]).await.expect_err("full");
        assert!(error.is_disk_full(), "{error}");
        assert!(vocab::PortError::from(error).message().contains("disk is full"));
    }
    assert!(wal.refusing().is_some());
    disk.0.lock().free_bytes = None;
    append_numbers(&wal, 2..4).await;
    assert_eq!(wal.refusing(), None);
    drop(wal);
    let (records, report) = replay(dir.path());
    assert_eq!(records, numbers(0..4));
    assert!(report.torn.is_empty() && report.damaged.is_empty(), "{report:?}");
}

#[tokio::test]
async fn a_failed_sync_refuses_and_later_records_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let config = WalConfig { fsync: FsyncPolicy::EveryCommit, ..WalConfig::new("test", dir.path().to_owned()) };
    let metrics = Arc::new(Metrics::new(&Telemetry::new()));
    let (wal, _) = Wal::open(config, Arc::new(disk.clone()), metrics).unwrap();
    append_numbers(&wal, 0..1).await;
    disk.0.lock().sync_fails = true;
    assert!(wal.append(&[b"never safe"]).await.is_err());
    disk.0.lock().sync_fails = false;
    append_numbers(&wal, 1..2).await;
    drop(wal);
    let (records, report) = replay(dir.path());
    assert_eq!(records, numbers(0..2));
    assert!(report.damaged.is_empty(), "{report:?}");
}
