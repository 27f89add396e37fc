use proptest::prelude::*;

use super::*;

fn mine(lines: &[&str]) -> (Miner, Vec<u64>) {
    let mut miner = Miner::new(MinerLimits::default());
    let ids: Vec<u64> = lines.iter().map(|l| miner.observe("web", l, 0).id).collect();
    let ids = ids.into_iter().map(|id| miner.survivor(id)).collect();
    (miner, ids)
}

fn templates(miner: &Miner) -> Vec<String> {
    let mut all: Vec<String> = miner.patterns().iter().map(Pattern::template).collect();
    all.sort();
    all
}

#[test]
fn lines_of_one_statement_are_one_pattern() {
    let (miner, ids) = mine(&["took 12 ms for 10.0.0.1", "took 9 ms for 10.0.0.27", "started"]);
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
    assert_eq!(templates(&miner), ["started", "took <*> ms for <*>"]);
}

#[test]
fn a_word_becomes_variable_when_five_differ_in_it() {
    let users = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"];
    let lines: Vec<String> = users.iter().map(|u| format!("session opened for user {u} by root")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (miner, ids) = mine(&lines);
    assert!(ids.iter().all(|&id| id == ids[0]), "{ids:?}");
    assert_eq!(templates(&miner), ["session opened for user <*> by root"]);
    assert_eq!(miner.patterns()[0].count, 7);
    // Only the first line and those before the merge were news; a sixth user is none.
    let (_, four) = mine(&lines[..4]);
    assert_eq!(four.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
}

#[test]
fn two_words_may_vary_and_a_single_word_never_does() {
    let mut lines = Vec::new();
    for a in ["red", "green", "blue", "black", "white", "pink"] {
        for b in ["north", "south", "east", "west", "up", "down"] {
            lines.push(format!("moved the {a} box towards the {b} door now"));
        }
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(templates(&mine(&lines).0), ["moved the <*> box towards the <*> door now"]);
    let states = ["normal", "warning", "critical", "blocked", "running", "failed"];
    assert_eq!(mine(&states).0.patterns().len(), 6);
}

#[test]
fn services_do_not_share_patterns() {
    let mut miner = Miner::new(MinerLimits::default());
    let a = miner.observe("a", "started", 1);
    let b = miner.observe("b", "started", 2);
    assert!(a.is_new && b.is_new && a.id != b.id);
    assert!(!miner.observe("a", "started", 3).is_new);
}

#[test]
fn ids_outlive_a_restart() {
    let mut lines: Vec<String> =
        (0..9).map(|i| format!("job {} done", ["a", "b", "c", "d", "e", "f", "g", "h", "i"][i])).collect();
    lines.push("other line 5".to_owned());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (miner, _) = mine(&lines);
    let json = serde_json::to_string(&miner.state()).expect("plain data");
    let mut again = Miner::restore(MinerLimits::default(), serde_json::from_str(&json).expect("what was written"));
    assert_eq!(again.state(), miner.state());
    for line in lines.iter().chain(&["job zeta done"]) {
        assert!(!again.observe("web", line, 5).is_new, "{line}");
    }
    let fresh = Miner::new(MinerLimits::default()).observe("web", "other line 77", 0).id;
    assert_eq!(again.observe("web", "other line 78", 0).id, fresh, "an id is a hash of the first template");
}

#[test]
fn memory_is_bounded_and_the_least_recently_seen_go() {
    let mut miner = Miner::new(MinerLimits { patterns_max: 100 });
    miner.observe("web", "the one that matters", 1);
    for i in 0..1000i64 {
        let word: String = (0..6).map(|k| char::from(b'a' + (i >> (k * 2) & 3) as u8)).collect();
        miner.observe("web", &format!("{word} {word}{word} {word}x"), i + 10);
        miner.observe("web", "the one that matters", i + 10);
    }
    assert!(miner.patterns().len() <= 100);
    assert!(miner.evicted() > 0);
    assert!(!miner.observe("web", "the one that matters", 2000).is_new);
}

proptest! {
    #[test]
    fn nothing_breaks_it(lines in prop::collection::vec("[a-c]{1,2}( [a-d]{1,2}){0,4}", 1..200)) {
        let mut miner = Miner::new(MinerLimits { patterns_max: 40 });
        for line in &lines {
            let seen = miner.observe("s", line, 0);
            prop_assert!(miner.pattern(seen.id).is_some());
            let again = miner.observe("s", line, 0);
            prop_assert!(!again.is_new);
            prop_assert!(miner.patterns().len() <= 40);
        }
        let state = miner.state();
        prop_assert_eq!(Miner::restore(MinerLimits { patterns_max: 40 }, state.clone()).state(), state);
    }
}
