use super::*;

fn mistakes(text: &str) -> Vec<String> {
    let document = Document::parse("t.yaml", text).expect("YAML");
    match build(&document, Some(PathBuf::from("t.yaml")), String::new()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.list.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn without_a_file_every_built_in_source_is_on() {
    let config = load(None).expect("the built-in configuration is right");
    let sources = &config.collector.sources;
    assert!(sources.host.is_some() && sources.containers.is_some());
    assert!(sources.self_metrics.is_some() && sources.system_logs.is_some());
}

#[test]
fn an_existing_prometheus_file_starts() {
    let text = "global:\n  scrape_interval: 15s\n  evaluation_interval: 15s\n  external_labels: {region: west}\nalerting:\n  alertmanagers:\n    - static_configs:\n        - targets: []\nrule_files: []\nscrape_configs:\n  - job_name: prometheus\n    static_configs:\n      - targets: ['localhost:9090']\nstorage:\n  tsdb: {out_of_order_time_window: 30m}\n  exemplars: {max_exemplars: 100000}\n";
    assert_eq!(mistakes(text), Vec::<String>::new());
    let document = Document::parse("t.yaml", text).expect("YAML");
    let config = build(&document, None, String::new()).expect("right");
    assert_eq!(config.external_labels.get("region"), Some("west"));
    assert_eq!(config.storage.out_of_order_window, Some(Duration::from_secs(1800)));
    assert!(config.collector.sources.host.is_none(), "with a file, those it lists");
}

#[test]
fn unsupported_and_unknown_sections_are_named() {
    let list = mistakes("remote_write: []\ncolour: red\nstorage: {fsync: sometimes}\nservices:\n  - name: web\n");
    assert_eq!(list.len(), 4, "{list:#?}");
    assert!(list[0].starts_with("t.yaml:1: remote_write: `remote_write` is not supported"), "{list:#?}");
    assert!(list[1].starts_with("t.yaml:2: colour: unknown key"), "{list:#?}");
    assert!(list.iter().any(|l| l.starts_with("t.yaml:3: storage.fsync: want interval")), "{list:#?}");
    assert!(list.iter().any(|l| l.starts_with("t.yaml:5: services[0]: say which sources")), "{list:#?}");
}

#[test]
fn a_retention_of_zero_is_as_if_it_were_left_out() {
    let text = "storage:\n  tsdb: {retention: {time: 0s, size: 0}}\n  logs: {retention: {time: 2d, size: 1GiB}}\ntenants: {defaults: {retention: {time: 0, size: 0B}}}\n";
    let config = build(&Document::parse("t.yaml", text).expect("YAML"), None, String::new()).expect("right");
    assert_eq!(config.storage.metrics, Retention::default());
    let two_days = Some(Duration::from_secs(172_800));
    assert_eq!(config.storage.logs, Retention { age: two_days, bytes: Some(1 << 30) });
    assert_eq!((config.tenants.defaults.retention_time, config.tenants.defaults.retention_bytes), (None, None));
}

#[test]
fn tenants_have_limits_of_their_own_and_mistakes_in_them_are_named() {
    let text = "tenants:\n  defaults: {max_series: 1000, retention: {time: 30d}}\n  overrides:\n    team-a:\n      max_samples_per_second: 5000\n      max_body_size: 1MiB\n      retention: {time: 1d, size: 2GiB}\n";
    let document = Document::parse("t.yaml", text).expect("YAML");
    let table = build(&document, None, String::new()).expect("right").tenants;
    assert_eq!(table.defaults.series, Some(1000));
    let team = &table.overrides[&vocab::TenantId::new("team-a").expect("a valid name")];
    assert_eq!(
        (team.samples_per_second, team.body_bytes, team.retention_bytes),
        (Some(5000), Some(1 << 20), Some(2 << 30))
    );
    assert_eq!(team.retention_time, Some(Duration::from_secs(86_400)));
    let list = mistakes(
        "tenants:\n  defaults: {max_series: 0}\n  overrides:\n    a/b: {}\n    ok: {retention: {size: many, time: long}}\n",
    );
    assert_eq!(list.len(), 4, "{list:#?}");
    for part in
        ["tenants.defaults.max_series: want at least 1", "invalid tenant name", "retention.size", "retention.time"]
    {
        assert!(list.iter().any(|l| l.contains(part)), "{part} in {list:#?}");
    }
    assert!(mistakes("tenants: {defaults: {max_serie: 1}}\n")[0].contains("unknown key"));
}

#[test]
fn downsampling_can_be_switched_off() {
    let downsampling = |text: &str| {
        let document = Document::parse("t.yaml", text).expect("YAML");
        build(&document, None, String::new()).expect("right").storage.downsampling
    };
    assert!(downsampling("storage: {tsdb: {}}\n"));
    assert!(!downsampling("storage: {tsdb: {downsampling: false}}\n"));
    let list = mistakes("storage:\n  tsdb: {downsampling: sometimes}\n");
    assert!(list.len() == 1 && list[0].contains("downsampling"), "{list:#?}");
    let list = mistakes("storage: {tsdb: {downsample: true}}\n");
    assert!(list.len() == 1 && list[0].contains("unknown key `downsample`"), "{list:#?}");
}

#[test]
fn a_shared_catalog_is_a_postgresql_whose_password_is_not_shown() {
    let list = mistakes("storage:\n  catalog: {url: 'mysql://db/x', password: y}\n");
    assert!(list.iter().any(|l| l.contains("unknown key `password`")), "{list:#?}");
    let list = mistakes("storage:\n  catalog: {url: 'mysql://db/x'}\n");
    assert!(list.iter().any(|l| l.starts_with("t.yaml:2: storage.catalog.url: want postgres://")), "{list:#?}");
    let list = mistakes("storage:\n  catalog: {password_file: secret}\n");
    assert!(list.len() == 1 && list[0].contains("storage.catalog.password_file: want a url"), "{list:#?}");
    let text = "storage:\n  catalog: {url: 'postgres://tide:hunter2@db:5432/watch', password_file: secret}\n";
    let document = Document::parse("t.yaml", text).expect("well formed");
    let shown = storage::without_secrets(text);
    let config = build(&document, Some(PathBuf::from("/etc/t.yaml")), shown).expect("right");
    let server = config.storage.catalog.as_ref().expect("one");
    assert_eq!(format!("{server:?}"), "PostgresServer { password_file: Some(\"/etc/secret\"), .. }");
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
}

#[test]
fn rows_of_the_catalog_are_kept_for_a_year_or_as_long_as_is_said() {
    let kept = |text: &str| {
        let document = Document::parse("t.yaml", text).expect("well formed");
        build(&document, None, String::new()).expect("right").storage.catalog_retention
    };
    let days = |days: u64| Some(std::time::Duration::from_secs(days * 24 * 3600));
    assert_eq!(kept("storage: {}\n"), days(365));
    assert_eq!(kept("storage: {catalog: {retention: 90d}}\n"), days(90));
    assert_eq!(kept("storage: {catalog: {retention: 0s}}\n"), None);
    for (wrong, part) in [("1h", "want at least 1d"), ("soon", "soon")] {
        let list = mistakes(&format!("storage: {{catalog: {{retention: {wrong}}}}}\n"));
        assert!(
            list.len() == 1 && list[0].contains("storage.catalog.retention") && list[0].contains(part),
            "{list:#?}"
        );
    }
}
