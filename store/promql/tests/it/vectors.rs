//! Parser and printer against Prometheus's own tests.

use promql::{ParseOptions, parse, pretty_width};
use serde_json::Value;

fn load(name: &str) -> Vec<Value> {
    let Some(kit) = crate::conformance::kit() else { return Vec::new() };
    let text = std::fs::read(kit.join("vectors").join(name)).unwrap();
    // A vector with a lone surrogate stands for invalid UTF-8, which no `str` can hold.
    let text = String::from_utf8(text).unwrap().replace("\\udc", "\\u00");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn parse_vectors() {
    let mut failures = Vec::new();
    for case in load("promql_parse.json") {
        let input = case["input"].as_str().unwrap();
        if input.contains('\u{ff}') {
            continue;
        }
        match (parse(input, &ParseOptions::default()), case["ok"].as_bool().unwrap()) {
            (Ok(_), true) => {}
            (Ok(expr), false) => failures.push(format!("{input:?} parsed as {expr}, expected {}", case["errors"][0])),
            (Err(e), true) => failures.push(format!("{input:?}: {e}")),
            (Err(e), false) => {
                let expected = &case["errors"][0];
                let same = expected["err"] == e.message.as_str()
                    && expected["start"] == e.span.start
                    && expected["end"] == e.span.end;
                if !same {
                    failures.push(format!("{input:?}: got {:?} {}, expected {expected}", e.span, e.message));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn print_vectors() {
    let mut failures = Vec::new();
    for (name, pretty) in [("promql_print.json", false), ("promql_pretty.json", true)] {
        for case in load(name) {
            let input = case["in"].as_str().unwrap();
            let expr = parse(input, &ParseOptions::default()).unwrap();
            let got = if pretty { pretty_width(&expr, 10) } else { expr.to_string() };
            if got != case["out"].as_str().unwrap() {
                failures.push(format!("{input:?}:\n got  {got:?}\n want {}", case["out"]));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
