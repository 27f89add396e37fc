use super::*;
use crate::block::tests::meta;

#[test]
fn too_old_blocks_go_and_then_the_oldest_until_the_rest_fits() {
    // Each of these has 100 bytes.
    let metas = [meta(1, 0, 10), meta(2, 10, 20), meta(3, 20, 30)];
    let check = |bytes_max, oldest_ms, expect: &[usize]| {
        let gone = choose(&metas.iter().collect::<Vec<_>>(), Retention { bytes_max, oldest_ms });
        let expected: Vec<Ulid> = expect.iter().map(|&i| metas[i].ulid).collect();
        assert_eq!(gone, expected, "{bytes_max} {oldest_ms:?}");
    };
    check(300, None, &[]);
    check(299, None, &[0]);
    check(100, None, &[0, 1]);
    check(0, None, &[0, 1, 2]);
    check(300, Some(10), &[]);
    check(300, Some(11), &[0]);
    check(100, Some(11), &[0, 1]);
}
