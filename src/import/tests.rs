use super::progress::Position;
use super::text::Family;
use super::*;

#[test]
fn pieces_begin_with_what_describes_their_family() {
    let mut family = Family::default();
    assert!(family.take(b"# HELP a helps\n"));
    assert!(family.take(b"# TYPE a counter\n"));
    assert!(!family.take(b"a_total 1 2\n"));
    assert!(!family.take(b"# a remark\n"));
    assert!(family.take(b"# TYPE b gauge\n"));
    assert!(!family.take(b""));
    assert_eq!(family.lines, b"# TYPE b gauge\n");
}

#[test]
fn progress_is_kept_beside_the_source_until_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("x.om");
    std::fs::write(&source, "# EOF\n").expect("written");
    let mut progress = Progress::open(&source, false).expect("opens");
    assert_eq!(progress.position, Position::default());
    progress.position = Position { file_bytes: 6, offset: 3, series: 2, ..Position::default() };
    progress.save().expect("saved");
    let again = Progress::open(&source, false).expect("opens");
    assert_eq!(again.position, progress.position);
    assert_eq!(Progress::open(&source, true).expect("opens").position, Position::default());
    again.done().expect("removed");
    assert_eq!(Progress::open(&source, false).expect("opens").position, Position::default());
    let beside = folder.path().join("x.om.tidewatch-import.json");
    std::fs::write(beside, "{").expect("written");
    assert!(Progress::open(&source, false).is_err_and(|e| e.to_string().contains("--restart")));
}

#[test]
fn a_folder_without_blocks_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(blocks::find(folder.path()).is_err_and(|e| e.to_string().contains("holds no block")));
}

#[test]
fn lines_of_one_point_are_told_from_others() {
    let point = |line: &str| text::point_of(line.as_bytes());
    for (a, b, same) in [
        ("h_bucket{le=\"1\",x=\"a\"} 1 2.5\n", "h_created{x=\"a\"} 1.5 2.5\n", true),
        ("s{quantile=\"0.5\",x=\"a\"} 1 2.5\n", "s_sum{x=\"a\"} 1 2.5\n", true),
        ("c_total 1\n", "c_created 1.5\n", true),
        ("c_total{x=\"a b\"} 1 2\n", "c_total{x=\"a c\"} 1 2\n", false),
        ("c_total 1 2\n", "c_total 1 3\n", false),
    ] {
        assert!(point(a).is_some());
        assert_eq!(point(a) == point(b), same, "{a}{b}");
    }
    assert_eq!(point("# TYPE a counter\n"), None);
    assert_eq!(point(""), None);
}
