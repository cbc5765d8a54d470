//! Keys, and what may be used with them.

use proptest::prelude::*;

use super::{loaded, problem, problems, refused, unset, with_top};
use crate::config::timestamp::timestamp;
use crate::config::{Config, FileKey, Key, load, load_keys, render_timestamp};
use crate::identify::Digest;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
const C: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn with_keys(keys: &str) -> String {
    with_top(&format!(
        "segments: {{s: {{keys: [{keys}]}}, t: {{}}}}\npassthrough: [{{prefix: /chain, pool: a}}]"
    ))
}

/// Two segments with a key each, and a passthrough.
fn config() -> Config {
    loaded(&with_top(&format!(
        "segments: {{s: {{keys: [{{id: inline, sha256: {A}}}]}}, t: {{}}}}\n\
         passthrough: [{{prefix: /chain, pool: a}}]\nidentity: {{keys_file: keys.yaml}}"
    )))
}

fn file(text: &str) -> Result<Vec<FileKey>, Vec<String>> {
    let mut keys = Vec::new();
    load_keys(text, &config(), |key| keys.push(key))
        .map(|()| keys)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn callers_have_keys() {
    let config = loaded(&with_keys(&format!(
        "{{id: acme, sha256: {A}, expires: '2027-01-31T00:00:00Z'}}, {{id: acme, sha256: {B}}}, \
         {{id: x-1.y_z, sha256: {C}, routes: [r, 'passthrough:/chain']}}"
    )));
    let key = |id: &str, sha256: &str| Key {
        id: id.into(),
        sha256: Digest::parse(sha256).unwrap(),
        expires: None,
        routes: None,
        quota: None,
    };
    let expected = [
        Key { expires: Some(1_801_353_600), ..key("acme", A) },
        key("acme", B),
        Key { routes: Some(vec!["r".into(), "passthrough:/chain".into()]), ..key("x-1.y_z", C) },
    ];
    assert_eq!(config.segments[0].keys, expected);
    assert_eq!(
        (config.anonymous, config.knows_callers()),
        (None, true),
        "the door closes with the first key"
    );
    assert_eq!(format!("{:?}", config.segments[0].keys).matches("aaaaaa").count(), 0);
}

#[test]
fn who_has_no_key_may_still_be_somebody() {
    let keys = with_keys(&format!("{{id: acme, sha256: {A}}}"));
    assert_eq!(loaded(&format!("anonymous: t\n{keys}")).anonymous, Some(1));
    assert_eq!(loaded(&format!("anonymous: refuse\n{keys}")).anonymous, None);
    assert_eq!(loaded(&with_top("segments: {a: {}, b: {}}\nidentity: {keys_file: k}")).anonymous, None);
    let closed = loaded(&with_top("anonymous: refuse"));
    assert_eq!((closed.anonymous, closed.knows_callers()), (None, false));
    refused(
        &format!("anonymous: nobody\n{keys}"),
        "anonymous",
        "no segment `nobody`; the segments are `s`, `t`",
    );
    let open = loaded(&with_top("segments: {s: {keys: []}}\nidentity: {}"));
    assert_eq!((open.anonymous, open.knows_callers()), (Some(0), false));
}

#[test]
fn quotas_of_keys_that_are_refused() {
    for (keys, path, message) in [
        ("{id: x, sha256: A, quota: {}}", "segments.s.keys[0].quota", "a quota has to count something"),
        ("{id: x, sha256: A, quota: {concurrent: 0}}", "segments.s.keys[0].quota.concurrent", "out of range"),
        (
            "{id: x, sha256: A, quota: {concurrent: 1}}, {id: x, sha256: B}",
            "segments.s.keys[1]",
            "another key of the caller `x` has another `quota`",
        ),
    ] {
        refused(
            &with_keys(&keys.replace('A', A).replace("sha256: B", &format!("sha256: {B}"))),
            path,
            message,
        );
    }
}

#[test]
fn keys_that_are_refused() {
    let cases = [
        ("{sha256: A}".to_owned(), "segments.s.keys[0]", "missing key `id`"),
        ("{id: x}".to_owned(), "segments.s.keys[0]", "missing key `sha256`"),
        ("{id: a b, sha256: A}".to_owned(), "segments.s.keys[0].id", "cannot be the name of a caller"),
        (
            "{id: x, sha256: A, expires: 2027-01-31}".to_owned(),
            "segments.s.keys[0].expires",
            "as RFC 3339 has it",
        ),
        (
            "{id: x, sha256: A, expires: never}".to_owned(),
            "segments.s.keys[0].expires",
            "expected a moment, found `never`",
        ),
        ("{id: x, sha256: A, routes: []}".to_owned(), "segments.s.keys[0].routes", "for no route"),
        (
            "{id: x, sha256: A, routes: [q]}".to_owned(),
            "segments.s.keys[0].routes[0]",
            "no route `q`, did you mean `r`?",
        ),
        (
            "{id: x, sha256: A, routes: [chain]}".to_owned(),
            "segments.s.keys[0].routes[0]",
            "no route `chain`; the routes are `r`, `passthrough:/chain`",
        ),
        (
            "{id: x, sha256: A, routes: [r, r]}".to_owned(),
            "segments.s.keys[0].routes[1]",
            "`r` is listed already",
        ),
        ("{id: x, sha256: A, segment: s}".to_owned(), "segments.s.keys[0].segment", "unknown key `segment`"),
        ("{id: x, sha256: A}, {id: y, sha256: A}".to_owned(), "segments.s.keys[1]", "the same key twice"),
    ];
    for (keys, path, message) in cases {
        refused(&with_keys(&keys.replace("A", A)), path, message);
    }
    let two = |one: &str, other: &str| {
        with_top(&format!(
            "segments: {{s: {{keys: [{{id: x, sha256: {one}}}]}}, t: {{keys: [{{id: x, sha256: {other}}}]}}}}"
        ))
    };
    refused(&two(A, A), "segments.t.keys[0]", "one key in two segments: it is `s`'s already");
    refused(&two(A, B), "segments.t.keys[0]", "the caller `x` is of the segment `s` already");
    refused(&with_top("identity: {keys_file: ''}"), "identity.keys_file", "expected the path of a file");
}

#[test]
fn what_may_be_the_key_itself_is_never_repeated() {
    for value in ["weir-0123456789abcdef", "${SECRET}", "!secret weir-0123", "[weir-0123456789]"] {
        let text = with_keys(&format!(
            "{{id: x, sha256: {}}}",
            if value.starts_with("$") { format!("'{value}'") } else { value.into() }
        ));
        let told = problems(&text).join("\n");
        assert!(told.contains("segments.s.keys[0].sha256"), "{told}");
        assert!(!told.contains("0123") && !told.contains("SECRET"), "{told}");
    }
}

#[test]
fn routes_are_for_segments() {
    let with = |allow: &str| {
        with_top("segments: {s: {}, t: {}}\nanonymous: s")
            .replace("{targets", &format!("{{allow: {allow}, targets"))
    };
    assert_eq!(loaded(&with("[t, s]")).routes[0].allow, Some(vec![1, 0]));
    assert_eq!(loaded(&with_top("")).routes[0].allow, None);
    refused(&with("[]"), "routes.r.allow", "a route that no segment may use");
    refused(&with("[gold]"), "routes.r.allow[0]", "no segment `gold`; the segments are `s`, `t`");
    refused(&with("[t, t]"), "routes.r.allow[1]", "listed twice");
    refused(&with("s"), "routes.r.allow", "expected a list");
}

#[test]
fn a_file_of_keys_is_yaml_or_json() {
    let yaml = format!(
        "# keys\n- id: acme\n  segment: t\n  sha256: {B}\n  expires: 2027-01-31T00:00:00Z\n- {{id: inline, segment: s, sha256: {C}, routes: [r]}}\n"
    );
    let json = format!(
        r#"[{{"id":"acme","segment":"t","sha256":"{B}","expires":"2027-01-31T01:00:00+01:00"}},{{"id":"inline","segment":"s","sha256":"{C}","routes":["r"]}}]"#
    );
    let keys = file(&yaml).unwrap();
    assert_eq!(file(&json).unwrap(), keys);
    let told: Vec<_> = keys.iter().map(|one| (one.segment, one.key.id.as_str(), one.key.expires)).collect();
    assert_eq!(told, [(1, "acme", Some(1_801_353_600)), (0, "inline", None)]);
    assert_eq!(keys[1].key.routes, Some(vec!["r".to_owned()]));
    assert_eq!(file("[]").unwrap(), []);
}

#[test]
fn a_file_of_keys_is_checked_like_the_rest() {
    let item = |fields: &str| format!("- {{id: x, {fields}}}\n");
    let cases = [
        (String::new(), "1:1: the file is empty; a list without items is `[]`"),
        ("keys: []".to_owned(), "expected a list, found a mapping"),
        ("- [".to_owned(), "not valid YAML"),
        ("- 5".to_owned(), "1:3: [0]: expected a mapping"),
        (item(&format!("sha256: {B}")), "[0]: missing key `segment`"),
        (
            item(&format!("segment: gold, sha256: {B}")),
            "[0].segment: no segment `gold`; the segments are `s`, `t`",
        ),
        (item("segment: s, sha256: weir-12"), "[0].sha256: expected the SHA-256 digest"),
        (item(&format!("segment: s, sha256: {A}")), "[0]: the same key twice"),
        (item(&format!("segment: t, sha256: {A}")), "[0]: one key in two segments: it is `s`'s already"),
        (
            format!("- {{id: inline, segment: t, sha256: {B}}}"),
            "[0]: the caller `inline` is of the segment `s` already",
        ),
        (
            item(&format!("segment: s, sha256: {B}, quota: {{burst: 1}}")),
            "[0].quota.burst: `burst` without `requests_per_second`",
        ),
        (item(&format!("segment: s, sha256: {B}, routes: [q]")), "[0].routes[0]: no route `q`"),
        (item(&format!("segment: s, sha256: {B}, share: 2")), "[0].share: unknown key `share`"),
    ];
    for (text, message) in cases {
        let problems = file(&text).unwrap_err();
        let [problem] = problems.as_slice() else { panic!("{text}: {problems:#?}") };
        assert!(problem.contains(message), "{problem}");
    }
    let many = "- {}\n".repeat(100_000);
    assert!(file(&many).unwrap_err().len() < 110, "nobody reads more");
}

#[test]
fn moments_are_read_with_their_offset() {
    let cases = [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T12:00:00Z", 951_825_600),
        ("2027-01-31t00:00:00z", 1_801_353_600),
        ("2027-01-31 02:00:00.999+02:00", 1_801_353_600),
        ("2027-01-30T18:30:00-05:30", 1_801_353_600),
        ("9999-12-31T23:59:60Z", 253_402_300_799),
    ];
    for (text, seconds) in cases {
        assert_eq!(timestamp(text).unwrap(), seconds, "{text}");
    }
    let wrong = [
        "",
        "2027-01-31",
        "2027-01-31T00:00:00",
        "2027-13-01T00:00:00Z",
        "2027-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2027-01-31T24:00:00Z",
        "2027-01-31T00:60:00Z",
        "2027-01-31T00:00:00.Z",
        "2027-01-31T00:00:00+2",
        "27-01-31T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1801353600",
        "2027-01-31T00:00:00Z ",
        "2027-01-31T00:00:00é",
        "2027-0é-31T00:00:00Z",
    ];
    for text in wrong {
        assert!(timestamp(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn moments_are_written_as_they_are_read(seconds in 0..253_402_300_800_u64) {
        prop_assert_eq!(timestamp(&render_timestamp(seconds)).unwrap(), seconds);
    }

    #[test]
    fn no_text_of_a_moment_is_too_odd(text in "\\PC{0,40}", almost in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[.Z+0-9:-]{0,8}") {
        for text in [text, almost] {
            timestamp(&text).map(drop).unwrap_or_default();
        }
    }

    #[test]
    fn no_file_of_keys_is_too_odd(text in "(- |[a-z{}:, \\n&*!\\[\\]]){0,60}") {
        file(&text).map(drop).unwrap_or_default();
    }
}

/// What is drawn to give access: for each key its digest, end, and choices of segment and routes; for each route the
/// segments that may use it.
type Access = (
    Vec<([u8; 32], Option<u64>, prop::sample::Index, Option<prop::sample::Index>)>,
    Vec<Option<prop::sample::Index>>,
);

pub(super) fn access() -> impl Strategy<Value = Access> {
    let one = (
        any::<[u8; 32]>(),
        prop::option::of(0..253_402_300_800_u64),
        any::<prop::sample::Index>(),
        any::<Option<prop::sample::Index>>(),
    );
    (prop::collection::vec(one, 0..5), prop::collection::vec(any::<Option<prop::sample::Index>>(), 0..5))
}

pub(super) fn give_access(config: &mut Config, (keys, allow): Access) {
    let topics: Vec<String> = config.topics().collect();
    for (place, (digest, expires, segment, route)) in keys.into_iter().enumerate() {
        let routes =
            route.filter(|_| !topics.is_empty()).map(|route| vec![topics[route.index(topics.len())].clone()]);
        let segment = segment.index(config.segments.len());
        let id = format!("caller-{segment}-{}", place / 2);
        config.segments[segment].keys.push(Key { id, sha256: Digest(digest), expires, routes, quota: None });
    }
    let segments = config.segments.len();
    for (route, allow) in config.routes.iter_mut().zip(allow) {
        route.allow = allow.map(|one| vec![one.index(segments)]);
    }
}

#[test]
fn a_key_of_a_file_without_variables() {
    let found = load(&with_keys("{id: '${ID}', sha256: x}"), &unset).unwrap_err();
    assert!(found.iter().any(|problem| problem.path.ends_with("keys[0].id")), "{found:?}");
    assert!(problem(&with_top("identity: {keys_fil: x}")).to_string().contains("did you mean `keys_file`?"));
}
