//! Secrets are places, and whatever else stands there is never repeated.

use super::{problems, unset, with_pool, with_url};
use crate::config::{Secret, load};

const SECRET: &str = "sk_live_51Habcdef";

#[test]
fn a_secret_is_a_variable_or_a_file() {
    let env = |name: &str| (name == "OPENAI_API_KEY").then(|| SECRET.to_owned());
    let key = |fields: &str| {
        let loaded = load(&with_pool(fields), &env).unwrap();
        assert_eq!(loaded.warnings, [], "{fields}");
        loaded.config.pools[0].key.clone().unwrap()
    };
    assert_eq!(key("key: {env: OPENAI_API_KEY}"), Secret::Env("OPENAI_API_KEY".to_owned()));
    assert_eq!(key("key: {file: /run/secrets/openai}"), Secret::File("/run/secrets/openai".into()));
    assert_eq!(key("key: {file: '${DIR:-/run}/openai'}"), Secret::File("/run/openai".into()));
}

#[test]
fn a_variable_that_is_not_set_is_a_warning() {
    let loaded = load(&with_pool("key: {env: OPENAI_API_KEY}"), &unset).unwrap();
    let [warning] = loaded.warnings.as_slice() else { panic!("{:?}", loaded.warnings) };
    assert_eq!(
        warning.to_string(),
        "1:49: pools.a.key: the environment variable that this names is not set; `weir run` refuses to start without it"
    );
    assert_eq!(loaded.config.pools[0].key, Some(Secret::Env("OPENAI_API_KEY".to_owned())));
}

#[test]
fn no_message_repeats_what_stands_under_key() {
    let env = |name: &str| (name == "KEY").then(|| SECRET.to_owned());
    let wrong = [
        SECRET.to_owned(),
        format!("'{SECRET}'"),
        format!("[{SECRET}]"),
        format!("{{{SECRET}}}"),
        format!("{{env: {SECRET}-x}}"),
        format!("{{env: '{SECRET} '}}"),
        format!("{{enw: {SECRET}}}"),
        format!("{{env: A, file: {SECRET}}}"),
        format!("{{env: A, {SECRET}: 1, {SECRET}: 1}}"),
        format!("{{{SECRET}: {{}}}}"),
        format!("{{? [{SECRET}] : 1}}"),
        format!("{{env: [{SECRET}]}}"),
        format!("{{env: {{{SECRET}: {SECRET}}}}}"),
        format!("!{SECRET} {{env: KEY}}"),
        format!("{{env: !{SECRET} KEY}}"),
        format!("{{file: !{SECRET} x}}"),
        format!("{{file: '${{{SECRET}}}'}}"),
        format!("{{file: '${{{SECRET}'}}"),
        format!("{{file: [{SECRET}]}}"),
        format!("{{file: \"{SECRET}\\n\"}}"),
        "'${KEY}'".to_owned(),
        "'${NOT_SET}'".to_owned(),
        "{env: '${KEY}'}".to_owned(),
        "{env: ~}".to_owned(),
        "{env: 4}".to_owned(),
        "{}".to_owned(),
        "~".to_owned(),
    ];
    for key in wrong {
        let problems = load(&with_pool(&format!("key: {key}")), &env).expect_err(&key);
        assert_eq!(problems.len(), 1, "{key}: {problems:?}");
        let told = format!("{} {:?}", problems[0], problems[0]);
        assert!(!told.contains(SECRET) && !told.contains("NOT_SET"), "{key}: {told}");
        assert!(problems[0].path.starts_with("pools.a.key"), "{key}: {told}");
    }
    // A variable's name that might be the secret itself is not repeated either.
    let loaded = load(&with_pool(&format!("key: {{env: {SECRET}}}")), &unset).unwrap();
    assert!(!format!("{:?}", loaded.warnings).contains(SECRET));
}

#[test]
fn no_message_repeats_a_url_that_may_hold_a_secret() {
    for url in
        ["https://me:SECRET@h", "https://h?key=SECRET", "SECRET@h", "https://SECRET@h:x", "ftp://SECRET@h"]
    {
        let told = problems(&with_url(url)).join("\n");
        assert!(!told.is_empty() && !told.contains("SECRET"), "{url}: {told}");
    }
    let misplaced = with_url("http://h").replace("{endpoints", "{kye: SECRET, endpoints");
    assert_eq!(problems(&misplaced), ["1:13: pools.a.kye: unknown key `kye`, did you mean `key`?"]);
}
