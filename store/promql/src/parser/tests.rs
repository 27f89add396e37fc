use proptest::prelude::*;

use super::*;
use crate::printer::pretty;

fn parsed(text: &str) -> Expr {
    parse(text, &ParseOptions::default()).unwrap_or_else(|e| panic!("{text:?}: {e}"))
}

#[test]
fn errors_say_what_and_where() {
    for (text, expect) in [
        ("", "1:1: parse error: no expression found in input"),
        ("up{", "1:4: parse error: unexpected end of input inside braces"),
        ("sum(", "1:5: parse error: unclosed left parenthesis"),
        ("up[5m", "1:6: parse error: unclosed left bracket"),
        ("up[5x]", "1:4: parse error: bad number or duration syntax: \"5x\""),
        ("a +\n  * b", "2:3: parse error: unexpected <op:*>"),
        ("ü", "1:1: parse error: unexpected character: 'ü'"),
        ("{a=\"ü\"} +", "1:10: parse error: unexpected end of input"),
        ("rate(up)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector"),
        ("nope(up)", "1:1: parse error: unknown function with name \"nope\""),
        ("sum by (a,,b) (up)", "1:11: parse error: unexpected \",\" in grouping opts, expected label"),
        ("up{a=b}", "1:6: parse error: unexpected identifier \"b\" in label matching, expected string"),
        ("up{a=~\"(\"}", "1:4: parse error: invalid regular expression"),
        ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("a + bool b", "1:5: parse error: bool modifier can only be used on comparison operators"),
        ("a or on(x) group_left b", "1:1: parse error: no grouping allowed for \"or\" operation"),
        ("a + on(x) group_left(x) b", "1:1: parse error: label \"x\" must not occur in ON and GROUP clause at once"),
        ("a offset 5m offset 1m", "1:1: parse error: offset may not be set multiple times"),
        ("up[0]", "1:4: parse error: duration must be greater than 0"),
        ("up by (x)", "1:4: parse error: unexpected <by>"),
        ("\"a", "1:1: parse error: unterminated quoted string"),
    ] {
        let error = parse(text, &ParseOptions::default()).expect_err(text).to_string();
        assert!(error.starts_with(expect), "{text:?}: {error}");
    }
}

#[test]
fn operators_bind_as_in_prometheus() {
    let value = |text: &str| parsed(text).to_string();
    for (text, expect) in [
        ("1+2*3", "1 + 2 * 3"),
        ("a or b and c", "a or b and c"),
        ("2^3^2", "2 ^ 3 ^ 2"),
        ("-2^2", "-2 ^ 2"),
        ("sum(x)by(a,b)", "sum by (a, b) (x)"),
        ("x offset -5m", "x offset -5m"),
        ("x[5m:] @ end()", "x[5m:] @ end()"),
        ("topk(3,x)", "topk(3, x)"),
        ("{'a.b'}", "{\"a.b\"}"),
        ("{__name__='up'}", "{__name__=\"up\"}"),
        ("up{job!='x',a=~\"y\"}", "up{a=~\"y\",job!=\"x\"}"),
    ] {
        assert_eq!(value(text), expect);
    }
    assert!(matches!(parsed("-2^2"), Expr::Unary(_)));
    let Expr::Binary(power) = parsed("2^3^2") else { panic!("not a power") };
    assert!(matches!(*power.rhs, Expr::Binary(_)), "powers associate to the right");
    let Expr::Binary(difference) = parsed("1-2-3") else { panic!("not a difference") };
    assert!(matches!(*difference.lhs, Expr::Binary(_)), "differences associate to the left");
}

#[test]
fn nodes_know_their_place() {
    let text = "sum(rate(foo[5m])) / 2";
    let Expr::Binary(binary) = parsed(text) else { panic!("not a quotient") };
    assert_eq!(&text[binary.lhs.span()], "sum(rate(foo[5m]))");
    assert_eq!(&text[binary.rhs.span()], "2");
    let Expr::Aggregate(sum) = *binary.lhs else { panic!("not a sum") };
    assert_eq!(&text[sum.expr.span()], "rate(foo[5m])");
}

#[test]
fn flags_close_what_is_experimental() {
    for text in
        ["limitk(1, a)", "mad_over_time(a[5m])", "a[5m] anchored", "a[2 * 5m]", "a + fill(0) b", "a offset step()"]
    {
        assert!(parse(text, &ParseOptions::default()).is_ok(), "{text}");
        assert!(parse(text, &ParseOptions::stable()).is_err(), "{text}");
    }
}

#[test]
fn selectors_for_match() {
    let matchers = parse_metric_selector("up{job=\"a\"}").expect("a selector");
    assert_eq!(matchers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["job=\"a\"", "__name__=\"up\""]);
    for bad in ["", "up[5m]", "sum(up)", "{}", "up offset 5m", "1"] {
        assert!(parse_metric_selector(bad).is_err(), "{bad}");
    }
}

/// As deep as is allowed, on the stack that threads of a runtime have.
#[test]
fn depth_is_bounded() {
    let deep = |n: usize| format!("{}x{}", "(".repeat(n), ")".repeat(n));
    let chain = |n: usize| format!("x{}", " + x".repeat(n));
    let signs = |n: usize| format!("{}x", "-".repeat(n));
    let durations = |n: usize| format!("x[{}1{}]", "(".repeat(n), ")".repeat(n));
    let run = move || {
        for make in [&deep as &dyn Fn(usize) -> String, &chain, &signs, &durations] {
            let good = parsed(&make(DEPTH_MAX / 2 - 3));
            assert!(!pretty(&good).is_empty());
            let error = parse(&make(200_000), &ParseOptions::default()).expect_err("too deep");
            assert!(error.message.contains("nested more than"), "{error}");
        }
    };
    std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).expect("a thread").join().expect("no overflow");
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("foo".to_owned()),
        Just("foo{a=\"b\",c!~\"d.*\"}".to_owned()),
        Just("1.5".to_owned()),
        Just("foo offset 5m".to_owned()),
        Just("foo @ 17".to_owned()),
        Just("rate(foo[5m])".to_owned()),
        Just("max_over_time(foo[10m:30s] offset 1h)".to_owned()),
        Just("{\"odd name\"}".to_owned()),
        Just("vector(1h30m)".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        prop_oneof![
            (inner.clone(), "[-+*/%^]|atan2|and|or|== bool|> bool", inner.clone())
                .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} * on(x, y) group_left(z) {b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("-{a}")),
            inner.clone().prop_map(|a| format!("sum by (a, \"b c\") ({a})")),
            inner.clone().prop_map(|a| format!("quantile without (a) (0.5, {a})")),
            inner.prop_map(|a| format!("clamp_min({a}, 2)")),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        let _ = parse(&text, &ParseOptions::default());
        let _ = parse_metric_selector(&text);
    }

    #[test]
    fn no_row_of_tokens_makes_it_panic(
        words in prop::collection::vec(prop::sample::select(vec![
            "(", ")", "{", "}", "[", "]", ",", ":", "=", "==", "!=", "=~", "!~", "+", "-", "^", "@", "5m", "1", "\"s\"",
            "offset", "sum", "by", "rate", "foo", "bool", "on", "ignoring", "group_left", "start", "fill", "anchored",
            "smoothed", "</", ">/", "inf", "nan", "step", "max_of", "#", "and", "\n", "`", "'x'",
        ]), 0..24),
    ) {
        let text = words.join(" ");
        if let Ok(expr) = parse(&text, &ParseOptions::default()) {
            let printed = expr.to_string();
            let again = parse(&printed, &ParseOptions::default());
            prop_assert!(again.is_ok(), "{} printed as {}", text, printed);
        }
    }

    /// What is printed means what was read, on one line and on many.
    #[test]
    fn printing_and_reading_agree(text in expression()) {
        if let Ok(expr) = parse(&text, &ParseOptions::default()) {
            let printed = expr.to_string();
            let again = parse(&printed, &ParseOptions::default()).expect("printed text parses").to_string();
            prop_assert_eq!(&again, &printed);
            let broken = crate::printer::pretty_width(&expr, 20);
            let again = parse(&broken, &ParseOptions::default()).expect("pretty text parses").to_string();
            prop_assert_eq!(&again, &printed);
        }
    }

    /// promql-parser is the oracle for what it knows: everything these texts are made of.
    #[test]
    fn the_oracle_agrees(text in expression()) {
        let own = parse(&text, &ParseOptions::default());
        let oracle = promql_parser::parser::parse(&text);
        prop_assert_eq!(own.is_ok(), oracle.is_ok(), "{}: {:?} against {:?}", text, own.err(), oracle.err());
    }
}
