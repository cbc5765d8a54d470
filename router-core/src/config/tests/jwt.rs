//! How callers are known.

use std::time::Duration;

use proptest::prelude::*;

use super::render::endpoint;
use super::{loaded, refused, with_top};
use crate::config::{Claims, Config, Endpoint, FileUse, Identity, JwksSource, Jwt, load_with_files};

/// A file whose tokens are described so, beside a name of an issuer and an audience.
fn with_jwt(fields: &str) -> String {
    with_top(&format!("identity: {{jwt: {{issuer: 'https://i/', audience: weir, {fields}}}}}"))
}

fn jwt(fields: &str) -> Jwt {
    loaded(&with_jwt(fields)).identity.jwt.unwrap()
}

#[test]
fn tokens_of_an_issuer() {
    assert_eq!(loaded(&with_top("")).identity, Identity::default());
    let least = jwt("jwks: /run/jwks.json");
    assert_eq!((&*least.issuer, &*least.audience), ("https://i/", &["weir".to_owned()][..]));
    assert_eq!((least.skew, least.ca), (Duration::from_secs(30), None));
    assert_eq!(least.jwks, JwksSource::File("/run/jwks.json".into()));
    assert_eq!(least.claims, Claims { segment: None, caller: "sub".into() });

    let place = |tls, port, path: &str| {
        JwksSource::Url(Endpoint { tls, host: "h".into(), port, path_prefix: path.into() })
    };
    for (url, expected) in [
        ("https://h/.well-known/jwks.json", place(true, 443, "/.well-known/jwks.json")),
        ("http://h:8080/realms/r/certs/", place(false, 8080, "/realms/r/certs/")),
        ("https://h/v1", place(true, 443, "/v1")),
        ("https://h", place(true, 443, "")),
    ] {
        assert_eq!(jwt(&format!("jwks: '{url}'")).jwks, expected, "{url}");
    }
    let most =
        "jwks: 'https://h/k', ca: /ca, skew: 0s, claims: {segment: 'https://x.y/tier', caller: user.id}";
    let most = jwt(most);
    assert_eq!((most.skew, most.ca), (Duration::ZERO, Some("/ca".into())));
    assert_eq!(most.claims, Claims { segment: Some("https://x.y/tier".into()), caller: "user.id".into() });
    let several = "identity: {jwt: {issuer: i, audience: [a, 4], jwks: k}}";
    assert_eq!(loaded(&with_top(several)).identity.jwt.unwrap().audience, ["a", "4"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let cases = [
        ("jwks: 'ftp://h/k'", "identity.jwt.jwks", "only http and https"),
        ("jwks: 'https://u:p@h/k'", "identity.jwt.jwks", "no user or password"),
        ("jwks: 'https://h/k?x=y'", "identity.jwt.jwks", "no query"),
        ("jwks: ''", "identity.jwt.jwks", "the path of a file"),
        ("jwks: [k]", "identity.jwt.jwks", "a URL or the path of a file"),
        ("skew: 1s", "identity.jwt", "missing key `jwks`"),
        ("jwks: k, skew: 11m", "identity.jwt.skew", "out of range"),
        ("jwks: k, ca: c", "identity.jwt.ca", "no https URL"),
        ("jwks: 'http://h/k', ca: c", "identity.jwt.ca", "no https URL"),
        ("jwks: k, claims: {segment: 'a b'}", "identity.jwt.claims.segment", "without spaces"),
        ("jwks: k, claims: {caller: ''}", "identity.jwt.claims.caller", "without spaces"),
        ("jwks: k, claims: {role: r}", "identity.jwt.claims.role", "not supported by this version"),
        ("jwks: k, algorithms: [HS256]", "identity.jwt.algorithms", "unknown key"),
        ("jkws: k", "identity.jwt.jkws", "did you mean `jwks`?"),
    ];
    for (fields, path, message) in cases {
        refused(&with_jwt(fields), path, message);
    }
    let audience = |audience: &str| with_jwt("jwks: k").replace("audience: weir", audience);
    refused(&audience("audience: []"), "identity.jwt.audience", "1 to 16");
    refused(&audience("audience: [a, a]"), "identity.jwt.audience[1]", "there already");
    refused(&audience("audience: {a: b}"), "identity.jwt.audience", "expected a list");
    refused(&audience("skew: 1s"), "identity.jwt", "missing key `audience`");
}

#[test]
fn with_several_segments_a_claim_says_which() {
    let several =
        |fields: &str| format!("segments: {{a: {{}}, b: {{}}}}\nanonymous: a\n{}", with_jwt(fields));
    loaded(&several("jwks: k, claims: {segment: tier}"));
    refused(&several("jwks: k"), "identity.jwt", "`claims.segment` names it");
    refused(&several("jwks: k, claims: {caller: c}"), "identity.jwt", "`claims.segment` names it");
    // Said once.
    refused(&several("jwks: k, claims: {segment: ''}"), "identity.jwt.claims.segment", "without spaces");
    refused(&several("jwks: k, cliams: {segment: a}"), "identity.jwt.cliams", "did you mean");
}

#[test]
fn a_file_of_keys_is_looked_at() {
    let files = |path: &std::path::Path, what: FileUse<'_>| {
        assert_eq!(what, FileUse::Jwks);
        Err(format!("{}: no", path.display()))
    };
    let loaded = load_with_files(&with_jwt("jwks: /k"), &super::unset, &files).unwrap();
    let [warning] = loaded.warnings.as_slice() else { panic!("{:?}", loaded.warnings) };
    assert_eq!((&*warning.path, &*warning.message), ("identity.jwt.jwks", "/k: no"));
}

/// A configuration whose callers are known by something, or by nothing.
pub(super) fn with_identity(config: Config) -> impl Strategy<Value = Config> {
    let said = || "[!-~äß日]{1,12}";
    let file = "[ -9;-~äö]{1,20}".prop_map(|path| JwksSource::File(path.into()));
    let jwks = prop_oneof![file, endpoint().prop_map(JwksSource::Url)];
    let claims = (said(), said(), any::<bool>());
    let audience = prop::collection::btree_set(said(), 1..4);
    let jwt = (said(), audience, (jwks, prop::option::of("[ -~]{1,9}")), claims, 0..=600_000_u64);
    let several = config.segments.len() > 1;
    prop::option::of(jwt).prop_map(move |jwt| {
        let jwt = jwt.map(|(issuer, audience, (jwks, ca), (segment, caller, named), skew_ms)| Jwt {
            issuer,
            audience: audience.into_iter().collect(),
            ca: ca.filter(|_| matches!(&jwks, JwksSource::Url(url) if url.tls)).map(Into::into),
            jwks,
            skew: Duration::from_millis(skew_ms),
            claims: Claims { segment: (named || several).then_some(segment), caller },
        });
        Config { identity: Identity { jwt, ..config.identity.clone() }, ..config.clone() }
    })
}
