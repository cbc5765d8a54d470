//! Tokens as issuers make them, and as attackers do. Signatures are checked elsewhere, so these here have none.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Claims, JwksSource, Jwt};
use std::time::Duration;

const NOW: Duration = Duration::from_secs(1_700_000_000);

/// The other way of `base64url::decode`.
fn encode(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            out.push(char::from(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]));
        }
    }
    out
}

fn token(head: &Value, claims: &Value) -> String {
    format!("{}.{}.c2ln", encode(head.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
}

fn settings() -> Jwt {
    Jwt {
        issuer: "https://issuer/".into(),
        audience: vec!["weir".into(), "other".into()],
        jwks: JwksSource::File("/jwks".into()),
        ca: None,
        skew: Duration::from_secs(30),
        claims: Claims { segment: Some("tier".into()), caller: "sub".into() },
    }
}

fn claims() -> Value {
    json!({ "iss": "https://issuer/", "aud": "weir", "exp": NOW.as_secs() + 60, "sub": "acme", "tier": "b2b" })
}

/// The claims with this one changed; taken away if it is null.
fn with(claim: &str, value: &Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
        value => claims[claim] = value.clone(),
    }
    claims
}

fn judged_by(claims: &Value, settings: &Jwt) -> Result<Bearer, Bad> {
    let text = token(&json!({ "alg": "RS256" }), claims);
    judge(&Token::read(text.as_bytes()).unwrap(), settings, NOW)
}

fn judged(claims: &Value) -> Result<Bearer, Bad> {
    judged_by(claims, &settings())
}

/// A set with a key of each kind that can be used, and some that cannot.
fn keys() -> Jwks {
    let n = encode(&[&[0, 0xc0][..], &[7; 255]].concat());
    let (x, y) = (encode(&[1; 32]), encode(&[2; 32]));
    let set = json!({ "keys": [
        { "kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": n, "e": "AQAB" },
        { "kty": "EC", "kid": "ec", "crv": "P-256", "x": x, "y": y },
        { "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": x, "key_ops": ["verify"] },
        { "kty": "OKP", "kid": "ec", "crv": "Ed25519", "x": y, "alg": "Ed25519" },
        { "kty": "RSA", "kid": "for-encryption", "use": "enc", "n": n, "e": "AQAB" },
        { "kty": "RSA", "kid": "for-pss", "alg": "PS256", "n": n, "e": "AQAB" },
        { "kty": "RSA", "kid": "short", "n": encode(&[0xff; 128]), "e": "AQAB" },
        { "kty": "RSA", "kid": "slow", "n": n, "e": encode(&[1; 5]) },
        { "kty": "EC", "kid": "p-384", "crv": "P-384", "x": x, "y": y },
        { "kty": "EC", "kid": "half", "crv": "P-256", "x": x },
        { "kty": "oct", "kid": "secret", "k": "AAAA" },
        { "kid": 7 },
        "not even an object",
    ] });
    Jwks::read(set.to_string().as_bytes()).unwrap()
}

#[test]
fn what_looks_like_a_token() {
    for text in ["eyJh.eyJp.c2ln", "a.b.", "a-_9.b.c"] {
        assert!(is_token(text.as_bytes()), "{text}");
    }
    for text in
        ["", "weir-0a1b2c", "a.b", ".b.c", "a..c", "a.b.c.d", "a.b.c.d.e", "a=.b.c", "a b.c.d", "a.b.é"]
    {
        assert!(!is_token(text.as_bytes()), "{text}");
    }
}

#[test]
fn a_good_token_says_whose_it_is() {
    let bearer = judged(&claims()).unwrap();
    assert_eq!((&*bearer.caller, bearer.segments.as_deref()), ("acme", Some(&["b2b".to_owned()][..])));
    assert_eq!(bearer.until, NOW + Duration::from_secs(90), "the skew is in it");
    assert!(bearer.is_good(NOW) && !bearer.is_good(bearer.until));
    assert_eq!(judged(&with("aud", &json!(["x", "other"]))).unwrap().caller.as_ref(), "acme");
    assert_eq!(judged(&with("sub", &json!(4711))).unwrap().caller.as_ref(), "4711");
    assert_eq!(judged(&with("sub", &json!("Zoë Q."))).unwrap().caller.as_ref(), "Zoë Q.");
    // Dates have fractions, lie a little ahead, or are further off than clocks go.
    for (claim, date) in
        [("exp", json!(1_699_999_971.5)), ("exp", json!(1e300)), ("nbf", json!(1_700_000_030))]
    {
        assert!(judged(&with(claim, &date)).is_ok(), "{claim} {date}");
    }
}

#[test]
fn each_bad_claim_is_told_apart() {
    let cases = [
        ("iss", json!(null), "no claim \"iss\"", "missing_claim"),
        ("iss", json!("https://issuer"), "another issuer", "wrong_issuer"),
        ("iss", json!(["https://issuer/"]), "\"iss\" is not a text", "bad_claim"),
        ("aud", json!(null), "no claim \"aud\"", "missing_claim"),
        ("aud", json!("Weir"), "for none of `identity.jwt.audience`", "wrong_audience"),
        ("aud", json!([]), "for none of `identity.jwt.audience`", "wrong_audience"),
        ("aud", json!({ "weir": 1 }), "for none of `identity.jwt.audience`", "wrong_audience"),
        ("exp", json!(null), "no claim \"exp\"", "missing_claim"),
        ("exp", json!("1800000000"), "\"exp\" is not a number of seconds", "bad_claim"),
        ("exp", json!(1_699_999_970), "expired 30 s ago", "expired"),
        ("exp", json!(-1), "expired 1700000000 s ago", "expired"),
        ("nbf", json!(1_700_000_031), "not valid before 31 s from now", "not_yet_valid"),
        ("nbf", json!(true), "\"nbf\" is not a number of seconds", "bad_claim"),
        ("sub", json!(null), "no claim \"sub\"", "missing_claim"),
        ("sub", json!(""), "\"sub\" is not a printable text", "bad_claim"),
        ("sub", json!("a\u{7}b"), "\"sub\" is not a printable text", "bad_claim"),
        ("sub", json!("a\u{202e}b"), "\"sub\" is not a printable text", "bad_claim"),
        ("sub", json!(" a"), "\"sub\" is not a printable text", "bad_claim"),
        ("sub", json!("x".repeat(257)), "\"sub\" is not a printable text", "bad_claim"),
        ("sub", json!(1.5), "\"sub\" is not a text", "bad_claim"),
        ("sub", json!({}), "\"sub\" is not a text", "bad_claim"),
        ("tier", json!(null), "no claim \"tier\"", "missing_claim"),
        ("tier", json!(["b2b", 4]), "\"tier\" is not a text or a list", "bad_claim"),
    ];
    for (claim, value, told, name) in cases {
        let bad = judged(&with(claim, &value)).expect_err(told);
        assert!(bad.to_string().contains(told), "{claim} {value}: {bad}");
        assert_eq!(bad.name(), name, "{claim} {value}");
        assert!(!bad.told().is_empty() && !bad.may_be_newer());
    }
}

#[test]
fn a_claim_is_found_by_its_exact_name_or_in_objects() {
    let named = |claim: &str| {
        let mut settings = settings();
        settings.claims.segment = Some(claim.into());
        settings
    };
    let mut claims = claims();
    claims["realm"] = json!({ "roles": ["x", "b2b"], "a.b": { "c": "deep" } });
    claims["https://example.com/tier"] = json!("url");
    claims["realm.exact"] = json!("exact");
    claims["realm"]["exact"] = json!("not this one");
    for (claim, expected) in [
        ("realm.roles", vec!["x", "b2b"]),
        ("https://example.com/tier", vec!["url"]),
        ("realm.exact", vec!["exact"]),
        ("realm.a.b.c", vec!["deep"]),
    ] {
        assert_eq!(judged_by(&claims, &named(claim)).unwrap().segments.unwrap(), expected, "{claim}");
    }
    for claim in ["realm.", ".realm", "realm.none", "realm.roles.x", "realm..a", "..."] {
        let bad = judged_by(&claims, &named(claim)).unwrap_err();
        assert_eq!(bad, Bad::Missing { claim: claim.into() });
    }
}

#[test]
fn a_segment_is_one_of_the_configuration() {
    let names = ["enterprise", "b2b", "b2c"];
    let of =
        |segments: Value| judged(&with("tier", &segments)).unwrap().segment(names.into_iter(), &settings());
    assert_eq!(of(json!("b2b")), Ok(1));
    assert_eq!(of(json!(["b2c", "x", "enterprise"])), Ok(0), "in the file's order");
    for none in [json!("B2B"), json!(""), json!([]), json!("refuse")] {
        let bad = of(none.clone()).unwrap_err();
        assert_eq!((bad.name(), bad.to_string().contains("\"tier\"")), ("no_segment", true), "{none}");
    }
    let mut settings = settings();
    settings.claims.segment = None;
    let bearer = judged_by(&with("tier", &json!(null)), &settings).unwrap();
    assert_eq!(bearer.segment(["only"].into_iter(), &settings), Ok(0));
}

#[test]
fn each_bad_form_is_told_apart() {
    let head = |head: Value| token(&head, &claims());
    let long = format!("{}.e30.", "A".repeat(TOKEN_BYTES_MAX));
    let cases = [
        ("a.b".to_owned(), "has not three parts", "malformed"),
        ("a.b.c.d".to_owned(), "has not three parts", "malformed"),
        ("eyJ!.e30.".to_owned(), "head is not in base64url", "malformed"),
        // The same bytes as "e30", with bits that do not count.
        ("e31.e30.".to_owned(), "head is not in base64url", "malformed"),
        (format!("{}.e30.", encode(b"{")), "head is no JSON object", "malformed"),
        (head(json!({})), "head is no JSON object with an `alg`", "malformed"),
        (head(json!({ "alg": 1 })), "head is no JSON object with an `alg`", "malformed"),
        (head(json!({ "alg": "RS256", "kid": 1 })), "head is no JSON object", "malformed"),
        (format!("{}.e30.", encode(br#"{"alg":"RS256","alg":"none"}"#)), "head is no JSON", "malformed"),
        (format!("{}.e30.", encode(br#"{"alg":"none"}"#)), "not signed", "unsigned"),
        (head(json!({ "alg": "nOnE" })), "not signed", "unsigned"),
        (head(json!({ "alg": "HS256" })), "signed with HS256", "algorithm"),
        (head(json!({ "alg": "RS512" })), "signed with RS512", "algorithm"),
        (head(json!({ "alg": "rs256" })), "an unknown algorithm", "algorithm"),
        (head(json!({ "alg": "EVIL\n" })), "an unknown algorithm", "algorithm"),
        (head(json!({ "alg": "RS256", "crit": ["b64"], "b64": false })), "`crit`", "malformed"),
        (format!("{}.e30.x", encode(br#"{"alg":"RS256"}"#)), "signature is not in base64url", "malformed"),
        (long, "more than 8192", "too_long"),
    ];
    for (text, told, name) in cases {
        let bad = Token::read(text.as_bytes()).expect_err(told);
        assert!(bad.to_string().contains(told), "{text}: {bad}");
        assert_eq!(bad.name(), name, "{text}");
        assert!(!format!("{bad} {}", bad.told()).contains('\n'));
    }
    let no_claims = |text: &str| {
        let token = Token::read(text.as_bytes()).unwrap();
        judge(&token, &settings(), NOW).unwrap_err().to_string()
    };
    let head = encode(br#"{"alg":"RS256"}"#);
    assert!(no_claims(&format!("{head}.!.")).contains("claims are not in base64url"));
    assert!(no_claims(&format!("{head}.{}.", encode(b"[]"))).contains("claims are no JSON object"));
}

#[test]
fn keys_that_cannot_be_used_are_passed_over() {
    let keys = keys();
    let found: Vec<_> =
        keys.keys.iter().map(|key| (key.kid.as_deref().unwrap(), key.algorithm().name())).collect();
    assert_eq!(found, [("rsa", "RS256"), ("ec", "ES256"), ("ed", "EdDSA"), ("ec", "EdDSA")]);
    let Material::Rsa { n, e } = &keys.keys[0].material else { panic!("{:?}", keys.keys[0]) };
    assert_eq!((n.len(), n[0], &**e), (256, 0xc0, &[1, 0, 1][..]), "zeros in front do not count");
    let Material::P256(point) = &keys.keys[1].material else { panic!("{:?}", keys.keys[1]) };
    assert_eq!((point[0], point[1], point[33]), (4, 1, 2));
}

#[test]
fn a_token_is_checked_with_the_key_it_names_and_no_other() {
    let keys = keys();
    let key = |head: Value| {
        let text = token(&head, &claims());
        Token::read(text.as_bytes()).unwrap().key(&keys).map(|(index, _)| index)
    };
    assert_eq!(key(json!({ "alg": "RS256", "kid": "rsa" })), Ok(0));
    assert_eq!(key(json!({ "alg": "ES256", "kid": "ec" })), Ok(1));
    assert_eq!(key(json!({ "alg": "EdDSA", "kid": "ec" })), Ok(3), "two keys with one id");
    assert_eq!(key(json!({ "alg": "Ed25519", "kid": "ed" })), Ok(2));
    assert_eq!(key(json!({ "alg": "RS256" })), Ok(0), "the only one of its kind");
    assert_eq!(key(json!({ "alg": "EdDSA" })), Err(Bad::NoKeyId { keys: 2 }));
    let wrong = key(json!({ "alg": "ES256", "kid": "rsa" })).unwrap_err();
    assert_eq!(wrong.to_string(), "the token is signed with ES256, and its key is for RS256");
    let unknown = |kid: &str| key(json!({ "alg": "RS256", "kid": kid })).unwrap_err();
    assert!(unknown("new").may_be_newer());
    assert_eq!(unknown("new").to_string(), "no key of the JWKS has the token's key id new");
    for odd in ["a\nb", "\u{1b}[0m", "", &"x".repeat(65)] {
        assert_eq!(unknown(odd).to_string(), "no key of the JWKS has the token's key id", "{odd:?}");
    }
    // What a token brings along itself is no key.
    let own = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" });
    let bad = key(json!({ "alg": "RS256", "kid": "x", "jwk": own, "jku": "https://evil/" })).unwrap_err();
    assert_eq!(bad.name(), "unknown_key");
    assert_eq!(
        Token::read(b"eyJhbGciOiJFUzI1NiJ9.e30.").unwrap().key(&Jwks::default()).unwrap_err().name(),
        "unknown_key"
    );
}

#[test]
fn a_text_that_is_no_set_of_keys() {
    let told = |text: &str| Jwks::read(text.as_bytes()).unwrap_err().to_string();
    for text in ["", "<html>", "[]", "{}", r#"{"keys":{}}"#] {
        assert_eq!(told(text), "it is no JSON object with a list `keys`", "{text}");
    }
    assert!(told(r#"{"keys":[]}"#).contains("none of its 0 keys"));
    assert!(told(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#).contains("none of its 1 keys"));
    let many = format!(r#"{{"keys":[{}0]}}"#, "0,".repeat(1000));
    assert!(told(&many).contains("1001 keys"));
}

#[test]
fn a_set_is_kept_as_long_as_its_issuer_says_within_bounds() {
    let kept = |cache_control: &str, age| Jwks::kept_for(cache_control.as_bytes(), age).as_secs();
    for (cache_control, age, expected) in [
        ("", 0, 600),
        ("public, max-age=3600", 0, 3600),
        ("public, Max-Age=3600, must-revalidate", 600, 3000),
        ("max-age=\"120\"", 0, 120),
        ("max-age=0", 0, 60),
        ("max-age=100", 500, 60),
        ("no-store", 0, 60),
        ("no-cache, max-age=3600", 0, 60),
        ("max-age=99999999999", 0, 86_400),
        ("max-age=x", 0, 600),
        ("s-maxage=3600", 0, 600),
    ] {
        assert_eq!(kept(cache_control, age), expected, "{cache_control}");
    }
}

proptest! {
    #[test]
    fn a_token_is_good_between_its_dates_and_a_skew_beyond_them(
        from in 0..2_000_u32, until in 0..2_000_u32, now in 0..2_000_u32, skew in 0..100_u32,
    ) {
        let mut claims = with("exp", &json!(until));
        claims["nbf"] = json!(from);
        let text = token(&json!({ "alg": "RS256" }), &claims);
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let settings = Jwt { skew: seconds(skew), ..settings() };
        let judged = judge(&Token::read(text.as_bytes()).unwrap(), &settings, seconds(now));
        let name = judged.as_ref().map_or_else(|bad| bad.name(), |_| "good");
        let expected = match (now < until + skew, now + skew >= from) {
            (false, _) => "expired",
            (true, false) => "not_yet_valid",
            (true, true) => "good",
        };
        prop_assert_eq!(name, expected);
        if let Ok(bearer) = judged {
            prop_assert_eq!(bearer.until, seconds(until + skew));
        }
    }
}

#[test]
fn names_in_metrics_are_all_there() {
    let mut names = Bad::NAMES.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Bad::NAMES.len());
    assert_eq!(Bad::NoSegment { claim: String::new() }.name(), "no_segment");
    assert_eq!(Bad::NoKeys.name(), "no_keys");
}

#[test]
fn base64_is_read_strictly() {
    for length in 0..70_u8 {
        let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37)).collect();
        assert_eq!(base64url::decode(encode(&bytes).as_bytes()), Some(bytes));
    }
    for text in ["A", "AAAAA", "AA==", "A+", "A/", "AB", "AAB", "A A"] {
        assert_eq!(base64url::decode(text.as_bytes()), None, "{text}");
    }
}
