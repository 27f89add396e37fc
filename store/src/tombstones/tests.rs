use super::*;
use crate::block::tests::meta;
use crate::disk::OsDisk;

fn tombstone(number: u64, host: &str, start_ms: i64, end_ms: i64) -> Tombstone {
    let matchers = vec![Matcher::equal("host", host)];
    Tombstone { ulid: Ulid::from_parts(number, 0), matchers, start_ms, end_ms, created_at_ms: 0 }
}

#[test]
fn a_tombstone_concerns_only_blocks_that_were_there() {
    let stone = tombstone(5, "a", 100, 200);
    let check = |number, from, to, expect| assert_eq!(stone.concerns(&meta(number, from, to)), expect);
    check(4, 0, 100, true);
    check(4, 200, 300, true);
    check(4, 201, 300, false);
    check(5, 100, 200, false);
    check(6, 100, 200, false);
}

#[test]
fn what_is_deleted_of_a_series_is_joined() {
    let stones =
        [tombstone(1, "a", 0, 9), tombstone(2, "a", 10, 20), tombstone(3, "b", 0, 99), tombstone(4, "a", 30, 40)];
    let stones: Vec<_> = stones.iter().collect();
    let deleted = Deleted::of(&stones, &Labels::from_pairs([("host", "a")]));
    assert_eq!(deleted, Deleted(vec![(0, 20), (30, 40)]));
    assert!(deleted.has_all(5, 15) && !deleted.has_all(15, 35) && deleted.has_any(15, 35));
    assert!(!deleted.has_any(21, 29) && deleted.has(40) && !deleted.has(41));
    assert!(Deleted::of(&stones, &Labels::from_pairs([("host", "c")])).is_empty());
}

#[test]
fn they_are_read_back_and_a_damaged_file_is_not_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("tombstones");
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let tenant = TenantId::default();
    let stones = Tombstones::load(&folder).unwrap();
    let all = vec![tombstone(7, "a", i64::MIN, i64::MAX), tombstone(8, "b", 1, 2)];
    stones.replace(&tenant, all.clone(), &disk).unwrap();
    let again = Tombstones::load(&folder).unwrap();
    assert_eq!((&*again.of(&tenant), again.newest()), (&*all, Ulid::from_parts(8, 0)));
    assert!(again.of(&TenantId::new("other").unwrap()).is_empty());
    std::fs::write(again.path_of(&tenant), "{").unwrap();
    assert!(matches!(Tombstones::load(&folder), Err(StoreError::Damaged { .. })));
    again.replace(&tenant, Vec::new(), &disk).unwrap();
    assert!(Tombstones::load(&folder).unwrap().tenants().is_empty());
}
