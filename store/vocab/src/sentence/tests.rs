use proptest::prelude::*;

use super::*;

fn text(sentence: &Sentence, name: &str) -> String {
    match sentence.args.get(name) {
        Some(Arg::Text(text)) => text.clone(),
        other => panic!("{name} is {other:?} in {sentence:?}"),
    }
}

fn inner<'s>(sentence: &'s Sentence, name: &str) -> Vec<&'s str> {
    match sentence.args.get(name) {
        Some(Arg::Sentences(list)) => list.iter().map(|s| s.key.as_str()).collect(),
        other => panic!("{name} is {other:?} in {sentence:?}"),
    }
}

#[test]
fn sentences_are_recognised_whole() {
    let check = |words: &str, key: &str| {
        let sentence = Sentence::read(words).unwrap_or_else(|| panic!("{words:?} is not in the book"));
        assert_eq!(sentence.key, key, "{words}");
        assert!(sentence.is_known(), "{sentence:?}");
        assert_eq!(sentence.text, words);
    };
    check("412 RPS / 100 per replica = 4.12, rounded up to 5", "need.rounded");
    check("412 RPS and 3 waiting / 100 per replica = 4.15, rounded up to 5", "need.rounded");
    check(
        "0.5 CPU cores is 0.5 per replica, within 10 % of 0.5, 1 replica without a sample taken as fully loaded",
        "need.within",
    );
    check("the last change was 3 s ago; 5s must pass", "guard.cooldown");
    check("at most 1 replica or 10 % may be given back within 1m", "guard.pace_in");
    check("ready after 8.1 s; load per replica 93 of 100 RPS", "result.ready");
    check("ready after 8.1 s; load unknown", "result.ready_unknown");
    check("CPU cores unknown", "need.unknown");
    check("overtaken by a change to 3 before all were ready", "result.overtaken_unready");
    check("/var on db-1 has 3.2 % left", "alert.disk");
    check("12 series scored, 3 left out by a bound", "task.scored");
    check(
        "scaling web from 1 to 3 did not help: 2 replicas not ready after 61 s and 3 waits; what runs is kept and nothing more is asked for",
        "guard.no_help",
    );
    check("no longer holds: holding 3: nothing to change", "result.no_longer");
    check("schedule lunch (Asia/Shanghai) asks for 8 replicas from 5m before it begins", "need.schedule");
    check(
        "schedule lunch (UTC) asks for 1 replica from 41 s, as long as a replica takes to start, before it begins",
        "need.schedule_start",
    );
    check("its behavior lets 4 replicas be added now", "guard.behavior_out");
    check("12 % of its answers are errors, 0.1 % of its siblings'", "notice.odd_errors");
    check(
        "web.2.t2 could not be replaced: it cannot be ended alone: it runs on node n2; its answers take 900 ms, its siblings' 50 ms",
        "notice.not_replaced",
    );
    check(
        "3 replacements did not help; web-7: 40 % of its answers are errors, 0.1 % of its siblings'",
        "notice.odd_tries",
    );
    check("4 of 9 replicas are odd, such as web-7: its answers take 900 ms, its siblings' 50 ms", "notice.odd_many");
    check("3 usable nodes have room for 7 more: a replica takes 0.5 cores, 256 MiB", "room.nodes");
    check("quota team leaves requests.cpu 1.5, and a pod takes 0.5: 3 more", "room.quota");
    check("what the nodes have free is not known: it may not list nodes", "room.nodes_unknown");
    check("alert fired: SearchGone{job=\"search\"} (value 1)", "ticket.fired_at");
    check("web gets less than it needs", "notice.trimmed");
}

#[test]
fn sentences_within_sentences_are_recognised() {
    let words = "4 replicas added, 1 to 5: 412 RPS / 100 per replica = 4.12, rounded up to 5; the policy allows 1 to 5 replicas";
    let sentence = Sentence::read(words).expect("known");
    assert_eq!(
        (sentence.key.as_str(), text(&sentence, "count"), text(&sentence, "to")),
        ("decision.added", "4".into(), "5".into())
    );
    assert_eq!(inner(&sentence, "why"), ["need.rounded", "guard.bounds"]);

    for (words, plan) in [
        (
            "412 expected when replicas asked for now are ready, 5 planned (the measured load × 0.95, held 5 min)",
            "plan.plain",
        ),
        (
            "412 expected when replicas asked for now are ready, 5 planned (day at idle price 0.5, held 15 min)",
            "plan.method",
        ),
    ] {
        assert_eq!(inner(&Sentence::read(words).expect("known"), "method"), [plan]);
    }

    let words = "holding 3: unknown is not zero: rps (no samples in the last 30 s), cpu (the query gives 2 series, not one; sum them); nothing is given back";
    let sentence = Sentence::read(words).expect("known");
    assert_eq!(inner(&sentence, "why"), ["guard.unknown_holds"]);
    assert!(sentence.is_known(), "{sentence:?}");

    let sentence = Sentence::read("holding 3 (the maximum): the last change was 3 s ago; 5s must pass").expect("known");
    assert_eq!(inner(&sentence, "why"), ["guard.cooldown"]);
}

#[test]
fn unknown_words_stay_as_they_are() {
    let sentence = Sentence::read("holding 3: a reason of another version").expect("known");
    assert_eq!(inner(&sentence, "why"), [""]);
    assert!(!sentence.is_known());
    for words in ["", "checkout is slow", "web: no replica is ready", &"x".repeat(TEXT_BYTES_MAX + 1)] {
        assert_eq!(Sentence::read(words), None, "{words:?}");
    }
    let keys: Vec<_> =
        read_all("nothing to change; who knows; no forecast to add").into_iter().map(|s| s.key).collect();
    assert_eq!(keys, ["result.nothing", "", "need.no_forecast"]);
}

#[test]
fn what_is_said_is_recognised() {
    let check = |sentence: Sentence, words: &str| {
        assert_eq!(sentence.text, words);
        assert_eq!(Sentence::read(words), Some(sentence));
    };
    check(Sentence::say("health.errors", [("percent", "20.0".into())]), "20.0 % of its requests fail");
    check(Sentence::say("policy.target", [("value", "100".into()), ("unit", "RPS".into())]), "100 RPS per replica");
    check(
        Sentence::say("guard.bounds", [("min", "1".into()), ("max", "1".into())]),
        "the policy allows 1 to 1 replica",
    );
    let why = Sentence::say("health.no_replica", []);
    let about = Sentence::say("attention.about", [("subject", "web".into()), ("why", why.into())]);
    assert_eq!(about.text, "web: no replica is ready");
    assert!(about.is_known());
}

#[test]
fn as_json() {
    let sentence = Sentence::read("holding 3: x").expect("known");
    let json = serde_json::json!({"key": "decision.holding", "text": "holding 3: x", "args": {"count": "3", "why": [{"key": "", "args": {}, "text": "x"}]}});
    assert_eq!(serde_json::to_value(&sentence).expect("serialises"), json);
}

proptest! {
    #[test]
    fn every_sentence_comes_back(index in 0..200usize, number in 0u32..100_000, word in "[a-z][a-z0-9_.-]{0,20}") {
        let template = &TEMPLATES[index % TEMPLATES.len()];
        let names: Vec<String> = BOOK.lines().find(|l| l.split(' ').next() == Some(template.key.as_str())).into_iter()
            .flat_map(|l| l.split('{').skip(1)).filter_map(|h| h.split_once('}')).map(|(name, _)| name.to_owned()).collect();
        let args: BTreeMap<String, Arg> = names.iter().map(|name| {
            let arg: Arg = match name.chars().last() {
                Some('#' | '*') => number.to_string().into(),
                Some('!' | '&') => Sentence::say("result.nothing", []).into(),
                _ => word.clone().into(),
            };
            (name.trim_end_matches(['#', '*', '!', '&', '@']).to_owned(), arg)
        }).collect();
        let words = template.fill(&args);
        if template.find(&words).is_some() {
            let read = Sentence::read(&words);
            prop_assert_eq!(read.map(|s| (s.key, s.args)), Some((template.key.clone(), args)), "{}", words);
        } else {
            prop_assert!(["attention.about", "text.all"].contains(&template.key.as_str()), "{} is not recognised", words);
        }
    }

    #[test]
    fn reading_never_panics(text in "\\PC{0,200}") {
        let _any = Sentence::read(&text);
        let joined: Vec<String> = read_all(&text).into_iter().map(|s| s.text).collect();
        prop_assert!(joined.concat().len() <= text.len());
    }
}
