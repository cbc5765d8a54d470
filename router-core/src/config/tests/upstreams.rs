//! The configuration without a file.

use crate::config::{Config, Secret, UpstreamArgument, WEIGHT_SUM, from_upstreams};

fn from(arguments: &[&str]) -> Result<Config, String> {
    let parsed: Result<Vec<_>, _> = arguments.iter().map(|one| UpstreamArgument::parse(one)).collect();
    from_upstreams(&parsed?, None)
}

#[test]
fn without_weights_they_are_endpoints_of_one_pool() {
    let config = from(&["http://127.0.0.1:9001", "http://127.0.0.1:9002/v1"]).unwrap();
    assert_eq!(config.pools.len(), 1);
    assert_eq!(config.pools[0].name, "upstream");
    assert_eq!(config.pools[0].endpoints.len(), 2);
    let [route] = config.routes.as_slice() else { panic!("{:?}", config.routes) };
    assert_eq!((&*route.name, route.targets.len()), ("*", 1));
    assert_eq!((route.targets[0].weight, &route.targets[0].model), (WEIGHT_SUM, &None));
}

#[test]
fn with_weights_each_is_a_target_of_its_own() {
    let config = from(&["http://a=3", "http://b=1", "http://c=0"]).unwrap();
    let names: Vec<_> = config.pools.iter().map(|pool| &*pool.name).collect();
    assert_eq!(names, ["upstream-1", "upstream-2", "upstream-3"]);
    assert_eq!(config.pools[1].endpoints[0].host, "b");
    let targets: Vec<_> =
        config.routes[0].targets.iter().map(|target| (target.pool, target.weight)).collect();
    assert_eq!(targets, [(0, 750_000), (1, 250_000), (2, 0)]);
}

#[test]
fn what_follows_the_last_equals_sign_is_a_weight_if_it_is_a_number() {
    let weight = |text: &str| UpstreamArgument::parse(text).map(|upstream| upstream.weight);
    assert_eq!(weight("http://a"), Ok(None));
    assert_eq!(weight("http://a=0.25"), Ok(Some(0.25)));
    assert_eq!(weight("http://a:9001/x=y"), Ok(None), "`y` is no number, so it is path");
    assert_eq!(weight("http://a/x=y=2"), Ok(Some(2.0)));
    assert!(weight("http://a?x=1").unwrap_err().contains("no query"), "a query is no weight");
}

#[test]
fn what_is_refused() {
    let told = |arguments: &[&str]| from(arguments).unwrap_err();
    assert_eq!(told(&[]), "at least one upstream is needed");
    assert_eq!(told(&["http://a=1", "http://b"]), "either every upstream has a weight or none has");
    assert_eq!(told(&["http://a=0", "http://b=0"]), "at least one upstream needs a weight above 0");
    assert_eq!(told(&["http://a", "http://a:80/v1"]), "a:80 is given twice");
    let many: Vec<_> = (0..65).map(|port| format!("http://a:{}=1", 9000 + port)).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(told(&many), "65 upstreams with weights, more than 64");
    assert_eq!(from(&many[..64]).unwrap().routes[0].targets.len(), 64);
    for weight in ["-1", "NaN", "nan", "inf", "-inf", "1e999"] {
        assert!(told(&[&format!("http://a={weight}")]).contains("a weight is a number"), "{weight}");
    }
    for url in ["a:9001", "http://me:secret@a", "", "="] {
        let line = told(&[url]);
        assert!(!line.contains("secret") && !line.contains('\n'), "{line}");
    }
}

#[test]
fn the_key_is_named_never_given() {
    let upstreams =
        [UpstreamArgument::parse("https://a=1").unwrap(), UpstreamArgument::parse("https://b=1").unwrap()];
    let config = from_upstreams(&upstreams, Some("OPENAI_API_KEY")).unwrap();
    for pool in config.pools {
        assert_eq!(pool.key, Some(Secret::Env("OPENAI_API_KEY".to_owned())));
    }
    let line = from_upstreams(&upstreams, Some("sk-live-1234")).unwrap_err();
    assert!(!line.contains("sk-live"), "{line}");
}
