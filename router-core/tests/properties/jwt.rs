//! Holds for any bearer token and any set of keys, whoever made them: nothing panics, what is taken for good is what
//! its claims say and ends when they do, all of it but the signature was signed, and no refusal repeats the token.

use std::time::Duration;

use router_core::config::{Claims, JwksSource, Jwt};
use router_core::identify::jwt::{Bad, Jwks, TOKEN_BYTES_MAX, Token, is_token, judge};

/// The first line is a token, the rest a set of keys.
pub(crate) fn check(input: &[u8]) {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (text, keys) = (&input[..line], input.get(line + 1..).unwrap_or_default());
    let keys = Jwks::read(keys).unwrap_or_default();
    let token = match Token::read(text) {
        Ok(token) => token,
        Err(bad) => return is_told(&bad, text),
    };
    assert!(text.len() <= TOKEN_BYTES_MAX);
    // What was signed is the token up to its last dot.
    let dot = text.iter().rposition(|byte| *byte == b'.').expect("a token has dots");
    assert_eq!(token.signed(), &text[..dot]);
    match token.key(&keys) {
        Ok((index, key)) => assert_eq!(&keys.keys[index], key),
        Err(bad) => is_told(&bad, text),
    }
    match judged(&token) {
        Ok(bearer) => {
            assert!(is_token(text), "what is good is taken for a token in the first place");
            assert!(bearer.is_good(NOW) && !bearer.is_good(bearer.until));
            assert!((1..=256).contains(&bearer.caller.len()));
            assert!(!bearer.caller.chars().any(char::is_control));
            // Later it is good until it ends, and no longer.
            assert!(judge(&token, &settings(), bearer.until).is_err());
        }
        Err(bad) => is_told(&bad, text),
    }
}

const NOW: Duration = Duration::from_secs(1_700_000_000);

fn settings() -> Jwt {
    Jwt {
        issuer: "i".into(),
        audience: vec!["a".into()],
        jwks: JwksSource::File("/k".into()),
        ca: None,
        skew: Duration::from_secs(30),
        claims: Claims { segment: Some("s.t".into()), caller: "sub".into() },
    }
}

fn judged(token: &Token<'_>) -> Result<router_core::identify::jwt::Bearer, Bad> {
    judge(token, &settings(), NOW)
}

/// A refusal is one line, and has no long piece of the token in it.
fn is_told(bad: &Bad, text: &[u8]) {
    let told = bad.to_string();
    assert!(!told.contains(char::is_control) && told.len() < 200, "{told}");
    assert_eq!(Bad::NAMES[bad.index()], bad.name());
    assert!(bad.told().ends_with('.'));
    for part in text.split(|byte| *byte == b'.').filter(|part| part.len() > 64) {
        assert!(!told.as_bytes().windows(part.len()).any(|window| window == part));
    }
}
