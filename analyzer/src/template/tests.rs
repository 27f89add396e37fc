use proptest::prelude::*;

use super::*;

fn input() -> Input<'static> {
    let sample = |instance: &str, value| QuerySample { labels: Labels::from_pairs([("instance", instance)]), value };
    Input {
        labels: Labels::from_pairs([("instance", "db1.example.org:9100"), ("job", "node")]),
        value: 1234.5678,
        external_labels: Labels::from_pairs([("region", "west")]),
        external_url: "http://mon.example.org/tide/",
        now_ms: 1_700_000_000_000,
        results: HashMap::from([
            ("up".to_owned(), vec![sample("b", 1.0), sample("a", 0.0)]),
            ("none".to_owned(), Vec::new()),
        ]),
    }
}

fn expand_text(text: &str) -> Result<String, TemplateError> {
    expand(&parse(text)?, &input())
}

#[test]
fn templates_of_real_rule_files_expand() {
    let check = |text: &str, expect: &str| assert_eq!(expand_text(text).as_deref(), Ok(expect), "{text}");
    check("plain", "plain");
    check("{{ $labels.instance }} is {{ $value }}", "db1.example.org:9100 is 1234.5678");
    check("{{ .Labels.job }} {{ .Value | humanize }}", "node 1.235k");
    check("{{ $labels.missing }}|", "|");
    check("{{ $externalLabels.region }} {{ externalURL }} {{ pathPrefix }}", "west http://mon.example.org/tide/ /tide");
    check("{{ printf \"%.2f\" $value }} {{ printf \"%5s|%-5s|%05d\" \"a\" \"b\" 42 }}", "1234.57     a|b    |00042");
    check("{{ if gt $value 1000.0 }}big{{ else }}small{{ end }}", "big");
    check("{{ if lt $value 1000.0 }}a{{ else if eq $labels.job \"node\" }}b{{ else }}c{{ end }}", "b");
    check("a  {{- /* gone */ -}}  b", "ab");
    check(
        "{{ range query \"up\" | sortByLabel \"instance\" }}{{ .Labels.instance }}={{ .Value }};{{ end }}",
        "a=0;b=1;",
    );
    check("{{ with query \"up\" }}{{ . | first | value | humanizePercentage }}{{ end }}", "100%");
    check("{{ with query \"none\" }}x{{ else }}nothing{{ end }}", "nothing");
    check("{{ range $i, $s := query \"up\" }}{{ if $i }}, {{ end }}{{ $s.Labels.instance }}{{ end }}", "b, a");
    check("{{ query \"up\" | first | label \"instance\" | toUpper }}", "B");
    check("{{ define \"x\" }}[{{ .arg0 }}-{{ .arg1 }}]{{ end }}{{ template \"x\" (args 1 \"two\") }}", "[1-two]");
    check("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2");
    check("{{ range $k, $v := $labels }}{{ $k }};{{ end }}", "instance;job;");
    check("{{ index $labels \"job\" }} {{ len \"abc\" }} {{ (query \"up\" | first).Value }}", "node 3 1");
    check("{{ $labels.instance | stripPort | stripDomain }} {{ title \"hello world\" }}", "db1 Hello World");
    check(
        "{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }} {{ match \"^db\" $labels.instance }}",
        "db1.example.org true",
    );
    check(
        "{{ \"quoted\" | printf \"%q\" }} {{ `raw \\n` }} {{ 'a' }} {{ 0x10 }} {{ 1e3 }}",
        "\"quoted\" raw \\n 97 16 1000",
    );
    check("{{ and true $labels.job }} {{ or \"\" \"x\" }} {{ not false }} {{ ne 1 2 }}", "node x true true");
    check("{{ graphLink \"up == 0\" }}", "/graph?g0.expr=up+%3D%3D+0&g0.tab=0");
    check(
        "{{ parseDuration \"1h30m\" | humanizeDuration }} {{ humanizeTimestamp 1435065584.128 }}",
        "1h 30m 0s 2015-06-23 13:19:44.128 +0000 UTC",
    );
    check("{{ printf \"%d\" $value }}", "%!d(float64=1234.5678)");
    check(
        "{{ range $i := query \"up\" }}{{ break }}{{ end }}{{ 1000000.0 }} {{ 0.00001 }} {{ 100000.5 }}",
        "1e+06 1e-05 100000.5",
    );
    check("{{ safeHtml \"<b>\" }} {{ html \"<b>\" }} {{ now }}", "<b> &lt;b&gt; 1.7e+09");
    check("{{ block \"b\" .Labels }}{{ .job }}{{ end }}", "node");
}

#[test]
fn numbers_for_people_are_those_of_prometheus() {
    for (value, plain, binary, duration) in [
        (0.0, "0", "0", "0s"),
        (1.0, "1", "1", "1s"),
        (1_048_576.0, "1.049M", "1Mi", "12d 3h 16m 16s"),
        (0.123_456_7, "123.5m", "0.1235", "123.5ms"),
        (-0.001, "-1m", "-0.001", "-1ms"),
        (1e6, "1M", "976.6ki", "11d 13h 46m 40s"),
        (899.99, "900", "900", "14m 59s"),
        (59.999, "60", "60", "60s"),
        (f64::NAN, "NaN", "NaN", "NaN"),
        (f64::INFINITY, "+Inf", "+Inf", "+Inf"),
    ] {
        assert_eq!(humanize(value), plain);
        assert_eq!(humanize_1024(value), binary);
        assert_eq!(humanize_duration(value), duration);
    }
    assert!(humanize_timestamp(1e18).is_err());
}

#[test]
fn mistakes_say_where() {
    let check = |text: &str, expect: &str| {
        let error = expand_text(text).expect_err(text).to_string();
        assert!(error.contains(expect), "{text}: {error}");
    };
    check("a\n{{ nosuch 1 }}", "line 2: function \"nosuch\" not defined");
    check("{{ if true }}", "has no {{end}}");
    check("{{ end }}", "unexpected {{end}}");
    check("{{ $nope }}", "undefined variable \"$nope\"");
    check("{{ \"open }}", "unterminated quoted string");
    check("{{ ( 1 }}", "unclosed left paren");
    check("{{ 1", "unclosed action");
    check("{{ break }}", "outside");
    check("{{ .Nope }}", "can't evaluate field Nope");
    check("{{ query \"none\" | first }}", "no elements");
    check("{{ template \"gone\" }}", "not defined");
    check("{{ humanize \"x\" }}", "can't convert");
    check(&"{{ if true }}".repeat(100), "nested deeper");
    assert_eq!(expand_text("{{ query \"other\" }}"), Err(TemplateError::NeedsQuery("other".to_owned())));
}

#[test]
fn work_and_output_are_bounded() {
    let loops = "{{ range 100000 }}{{ range 100000 }}x{{ end }}{{ end }}";
    assert!(matches!(expand_text(loops), Err(TemplateError::Run(_))));
    let endless = "{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}";
    assert!(expand_text(endless).expect_err("endless").to_string().contains("nested deeper"));
    assert!(parse(&"x".repeat(TEMPLATE_BYTES_MAX + 1)).is_err());
}

proptest! {
    #[test]
    fn nothing_breaks_it(text in "(\\{\\{-?|-?\\}\\}|if|end|range|else|\\$x|\\.|\\|| |\"|a|1|\\(|\\)|:=|printf|define|é|\n){0,40}") {
        if let Ok(template) = parse(&text) {
            let _ended = expand(&template, &input());
        }
    }
}
