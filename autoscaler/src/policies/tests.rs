//! Keeping, refusing, merging.

use vocab::testing::{MemCatalog, SimClock};

use super::*;

fn file(yaml: &str) -> AutoscalerConfig {
    let raw: RawAutoscaler = serde_saphyr::from_str(yaml).expect("well formed");
    let mut problems = Problems::default();
    let config = check(&raw, "local", &mut problems);
    assert!(problems.is_empty(), "{problems}");
    config
}

const FILE: &str = "swarm: {}
autoscaling: [{service: web, max: 8, targets: [{kind: rps, value: 100}]}]";

fn policy(service: &str, rest: &str) -> Value {
    let yaml = format!("{{service: {service}, max: 9, targets: [{{kind: rps, value: 10}}]{rest}}}");
    serde_saphyr::from_str(&yaml).expect("well formed")
}

fn policies() -> Policies {
    let clock = Arc::new(SimClock::at(5_000));
    Policies::new(&TenantId::default(), Arc::new(MemCatalog::new(clock.clone())), clock)
}

#[tokio::test]
async fn policies_are_kept_with_their_versions() {
    let (policies, file) = (policies(), file(FILE));
    let first = policies.put(&file, "shop", &policy("shop", ""), Some(0), "ann").await.expect("kept");
    assert_eq!((first.version, first.service.as_str(), first.actor.as_str()), (1, "shop", "ann"));
    let stale = policies.put(&file, "shop", &policy("shop", ""), Some(0), "bob").await.expect_err("stale");
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    let second = policies.put(&file, "shop", &policy("shop", ", min: 2"), Some(1), "bob").await.expect("kept");
    assert_eq!(second.version, 2);
    let merged = merge(&file, &policies.load().await.expect("read"));
    let services: Vec<_> = merged.config.policies.iter().map(|p| (p.service.as_str(), p.min)).collect();
    assert_eq!(services, [("web", 1), ("shop", 2)]);
    let shown: Vec<_> = merged.objects.iter().map(|o| (o.name.as_str(), o.from_file, o.version)).collect();
    assert_eq!(shown, [("web", true, 0), ("shop", false, 2)]);
    assert_eq!(merged.objects[0].policy["max"], 8);
    policies.delete(&file, "shop", "ann").await.expect("removed");
    assert_eq!(policies.delete(&file, "shop", "ann").await.expect_err("gone").kind(), ErrorKind::NotFound);
    let again = policies.put(&file, "shop", &policy("shop", ""), None, "ann").await.expect("kept");
    assert_eq!(again.version, 4, "a removal is a version too");
    let versions = policies.versions("shop").await.expect("read");
    let seen: Vec<_> = versions.iter().map(|v| (v.version, v.actor.as_str(), v.policy.is_null())).collect();
    assert_eq!(seen, [(4, "ann", false), (3, "ann", true), (2, "bob", false), (1, "ann", false)]);
}

#[tokio::test]
async fn a_bad_policy_is_refused_with_all_its_mistakes() {
    let (policies, file) = (policies(), file(FILE));
    let put = async |name: &str, value: Value| policies.put(&file, name, &value, None, "ann").await.expect_err("bad");
    let bad =
        put("shop", policy("shop", ", min: 20, mode: go, hold: 5x, dependencies: [{service: gone, ratio: 0}]")).await;
    assert_eq!(bad.kind(), ErrorKind::Invalid);
    for expect in [
        "max: want a number from min (20)",
        "mode: want observe, advise or act",
        "hold: invalid duration",
        "dependencies[0].ratio: want its replicas",
        "dependencies[0].service: \"gone\" has no policy",
    ] {
        assert!(bad.message().contains(expect), "{expect} is not in {bad}");
    }
    assert!(put("shop", policy("shop", ", minimum: 2")).await.message().contains("unknown field `minimum`"));
    assert!(put("a b", policy("shop", "")).await.message().contains("want a name of"));
    // Commands come from the configuration file only.
    let command = policy("shop", ", command: [rm, -rf, /]");
    assert!(put("shop", command).await.message().contains("unknown field `command`"));
    // The file wins and is read-only here.
    for (name, service) in [("web", "web"), ("mine", "web")] {
        assert_eq!(put(name, policy(service, "")).await.kind(), ErrorKind::Forbidden);
    }
    assert_eq!(policies.delete(&file, "web", "ann").await.expect_err("the file's").kind(), ErrorKind::Forbidden);
    // A check says the same with the place of each mistake, and keeps nothing.
    let check = async |name: &str, value: Value| {
        let problems = policies.check(&file, name, &value).await.expect("checked");
        let is_said = |p: &Problem| vocab::Sentence::read(&p.message).is_some_and(|s| s.key.starts_with("policy."));
        assert!(problems.iter().all(is_said), "not in the book of sentences: {problems:?}");
        problems.into_iter().map(|p| (p.path, p.message)).collect::<Vec<_>>()
    };
    for (name, value, path, message) in [
        ("shop", policy("shop", ", min: 20"), "max", "want a number from min (20)"),
        ("shop", policy("shop", ", minimum: 2"), "minimum", "unknown field `minimum`"),
        (
            "shop",
            policy("shop", ", dependencies: [{service: web, ratoi: 1}]"),
            "dependencies[0].ratoi",
            "unknown field",
        ),
        ("shop", policy("shop", ", hold: {}"), "hold", "invalid type: map, expected a string"),
        ("shop", policy("shop", ", min: x"), "min", "invalid type: string \"x\", expected u32"),
        ("shop", policy("shop", ", min: -1"), "min", "invalid value: integer `-1`, expected u32"),
        ("shop", policy("shop", ", min: 1.5"), "min", "invalid type: floating point `1.5`, expected u32"),
        ("shop", policy("shop", ", steps: 5"), "steps", "invalid type: integer `5`, expected a sequence"),
        ("shop", policy("shop", ", forecast: {}"), "forecast", "missing field `query`"),
        ("shop", policy("shop", ", scale_in: {x: 1}"), "scale_in.x", "unknown field `x`"),
        ("shop", policy("shop", ", name: other"), "name", "the policy is called \"shop\""),
        ("a b", policy("shop", ""), "name", "want a name of"),
        ("mine", policy("web", ""), "service", "stands in the configuration file"),
    ] {
        let found = check(name, value).await;
        assert_eq!((found.len(), found[0].0.as_str()), (1, path), "{found:?}");
        assert!(found[0].1.contains(message), "{found:?}");
    }
    assert_eq!(check("shop", policy("shop", "")).await, []);
    assert!(policies.load().await.expect("read").is_empty());
    // A cycle through another kept policy.
    policies
        .put(&file, "a", &policy("a", ", dependencies: [{service: web, ratio: 1}]"), None, "x")
        .await
        .expect("kept");
    policies.put(&file, "b", &policy("b", ", dependencies: [{service: a, ratio: 1}]"), None, "x").await.expect("kept");
    let cycle = put("a", policy("a", ", dependencies: [{service: b, ratio: 1}]")).await;
    assert!(cycle.message().contains("is a cycle"), "{cycle}");
    assert!(put("c", policy("a", "")).await.message().contains("has a policy already"));
}

#[tokio::test]
async fn what_a_new_file_makes_wrong_is_set_aside_and_the_rest_goes_on() {
    let (policies, before) = (policies(), file(FILE));
    for service in ["a", "b"] {
        policies.put(&before, service, &policy(service, ""), None, "ann").await.expect("kept");
    }
    policies
        .put(&before, "c", &policy("c", ", dependencies: [{service: web, ratio: 1}]"), None, "x")
        .await
        .expect("kept");
    let after = file("swarm: {}\nautoscaling: [{name: mine, service: a, max: 3, targets: [{kind: rps, value: 1}]}]");
    let merged = merge(&after, &policies.load().await.expect("read"));
    let services: Vec<&str> = merged.config.policies.iter().map(|p| p.service.as_str()).collect();
    assert_eq!(services, ["a", "b"]);
    let problems: Vec<_> = merged.objects.iter().map(|o| (o.name.as_str(), o.problem.is_empty())).collect();
    assert_eq!(problems, [("mine", true), ("a", false), ("b", true), ("c", false)]);
    assert!(merged.objects[3].problem.contains("\"web\" has no policy"), "{}", merged.objects[3].problem);
}

#[tokio::test]
async fn a_policy_is_tried_in_place_of_the_one_in_force() {
    let (policies, file) = (policies(), file(FILE));
    policies.put(&file, "shop", &policy("shop", ""), None, "ann").await.expect("kept");
    policies
        .put(&file, "feed", &policy("feed", ", dependencies: [{service: shop, ratio: 1}]"), None, "x")
        .await
        .expect("kept");
    let tried = async |value: Value| policies.tried(&file, &value).await;
    // One of the file, one that is kept, a new one; as an object or as a text.
    for (value, service, max) in [
        (policy("web", ", min: 3"), "web", 9),
        (policy("shop", ", name: other"), "shop", 9),
        (Value::String("service: new\nmax: 5\ntargets: [{kind: rps, value: 7}]\n".into()), "new", 5),
    ] {
        let found = tried(value).await.expect(service);
        assert_eq!((found.service.as_str(), found.max), (service, max));
    }
    for (value, words) in [
        (policy("shop", ", min: 20, hold: 5x"), "; hold: invalid duration"),
        (policy("shop", ", dependencies: [{service: feed, ratio: 1}]"), "is a cycle"),
        (policy("shop", ", minimum: 2"), "minimum: unknown field `minimum`"),
        (Value::String("service: [web\nmax: 5".into()), "the policy is no YAML"),
        (Value::String("x".repeat(YAML_BYTES_MAX + 1)), "at most 262144 bytes"),
        (json!({"max": 3}), "missing field `service`"),
    ] {
        let error = tried(value).await.expect_err(words);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains(words), "{error}");
    }
    assert_eq!(policies.load().await.expect("read").len(), 2, "nothing is kept");
}
