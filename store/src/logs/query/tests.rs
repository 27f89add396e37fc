use vocab::ports::logs::LogQuery;
use vocab::{LogRecord, Severity};

use super::*;

fn record() -> LogRecord {
    LogRecord {
        time_ns: 5,
        service: "web".into(),
        severity: Severity::Warning,
        body: "GET http://shop.local/api/v1/orders took 120 ms: 数据库连接超时 (id=a1b2) ***".into(),
        labels: vocab::Labels::from_pairs([("host", "node-1"), ("cluster", "east")]),
        fields: vec![
            ("duration_ms".into(), "120.5".into()),
            ("empty".into(), String::new()),
            ("host".into(), "inner".into()),
            ("status".into(), "500".into()),
        ],
        pattern_id: 42,
    }
}

fn compile(text: &str) -> Result<Query, PortError> {
    Query::compile(&LogQuery { text: text.into(), matchers: vec![], start_ns: 0, end_ns: 10 })
}

#[test]
fn conditions_mean_what_the_documentation_says() {
    let check = |text: &str, expect: bool| {
        let query = compile(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(query.matches(&record(), &mut TokenBuffer::default()), expect, "{text}");
    };
    check("", true);
    check("  ", true);
    check("took GET", true);
    check("tooK", true);
    check("took missing", false);
    check("missing OR took", true);
    check("missing or (took and get)", true);
    check("missing OR took missing", false);
    check("-missing", true);
    check("-took", false);
    check("NOT took", false);
    check("-(missing OR took)", false);
    check("--", false);
    check("\"took 120\"", true);
    check("\"120 took\"", false);
    check("/api/v1", true);
    check("api/v2", false);
    check("http://shop.local", true);
    check("ord*", true);
    check("api/v1/ord*", true);
    check("ord", false);
    check("连接超时", true);
    check("库连", true);
    check("接时", false);
    check("***", true);
    check("###", false);
    check("status:500", true);
    check("status:50", false);
    check("status:50*", true);
    check("status:*", true);
    check("nothing:*", false);
    check("empty:*", true);
    check("nothing=\"\"", true);
    check("nothing!=\"\"", false);
    check("status=\"500\"", true);
    check("status!=500", false);
    check("status=~\"5..\"", true);
    check("status=~\"5\"", false);
    check("status!~\"4..\"", true);
    check("nothing=~\".*\"", true);
    check("nothing!~\".+\"", true);
    check("duration_ms>100", true);
    check("duration_ms>=120.5", true);
    check("duration_ms<120.5", false);
    check("nothing<1", false);
    check("host:node-1", true);
    check("host:inner", true);
    check("host!=inner", false);
    check("severity:warn", true);
    check("severity>=warning", true);
    check("severity>WARNING", false);
    check("severity<error", true);
    check("severity=~\"err.*|warn.*\"", true);
    check("service:web", true);
    check("service:w*", true);
    check("service!=api", true);
    check("pattern_id:42", true);
    check("pattern_id>41", true);
    check("body=~\"a[0-9]b\"", true);
    check(r#"body=~"took \d+ ms""#, true);
    check("body!~\"a[0-9]b\"", false);
    check("body:\"took 120\"", true);
    check("body:tak*", false);
    check("body=\"GET\"", false);
    check("status:500 -service:api (host:node-1 OR host:node-2) 超时", true);
    check("\"\"", true);
}

#[test]
fn mistakes_name_their_position() {
    let check = |text: &str, expect: &str| {
        let error = compile(text).expect_err(text).to_string();
        assert!(error.starts_with(expect), "{text}: {error}");
    };
    check("a (b", "1:3: this `(` is not closed");
    check("a b)", "1:4: unexpected `)`");
    check("a OR", "1:5: a word, a \"phrase\", a condition or `(` is expected, but the query ends");
    check("OR a", "1:1: a word");
    check("a \"b", "1:3: the quoted text is not closed");
    check("超时 status=", "1:11: a value for `status` is expected, but the query ends");
    check("a\nb (c", "2:3: this `(`");
    check("host=~\"a(\"", "1:7: invalid regular expression");
    check("body=~\"a(\"", "1:7: invalid regular expression");
    check("severity>=loud", "1:11: \"loud\" is not a severity: want one of unknown, trace");
    check("duration>fast", "1:10: \"fast\" is not a number");
    check("body>3", "1:1: the body cannot be compared");
    check("()", "1:2: a word");
    check(&"(".repeat(100), "1:66: nested deeper than 64");
    check(&"x".repeat(20_000), "query text of 20000 bytes");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[-a-c\"()*:=!~<>\\\\ 时OR]{0,40}") {
        if let Ok(query) = compile(&text) {
            query.matches(&record(), &mut TokenBuffer::default());
        }
    }
}
