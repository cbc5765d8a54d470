//! Holds for any request head, from its path to the target of a canary rule: nothing panics, methods and paths are
//! recognised exactly, a model's name is never another path to an upstream, and every refusal is an answer.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use router_core::config::Canary;
use router_core::dialect::{Dialect, Intent, Operation, Reason, model_id, passthrough, recognise};
use router_core::route::canary;

/// The bytes are a request line and header lines, which need not be what HTTP allows.
pub(crate) fn check(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let mut words = lines.next().unwrap_or_default().splitn(3, |byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers = headers(lines);
    let versioned = headers.contains_key("anthropic-version");
    // The core takes any text for a method and a path, even what no HTTP parser lets through.
    judge(&String::from_utf8_lossy(method), &String::from_utf8_lossy(target), versioned);
    if let (Ok(method), Ok(uri)) = (Method::from_bytes(method), Uri::try_from(target)) {
        judge(method.as_str(), uri.path(), versioned);
    }
    judge_canary(&headers);
}

fn headers<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

fn judge(method: &str, path: &str, versioned: bool) {
    let guess = Dialect::guess(path, versioned);
    match recognise(method, path, versioned) {
        Ok(intent) => {
            judge_intent(intent, method, path, versioned);
            assert!(versioned || guess == intent.dialect, "the guess was good");
        }
        Err(reason @ Reason::MethodNotAllowed { allow }) => {
            assert_ne!(method, allow);
            let intent = recognise(allow, path, versioned).expect("the method that is allowed is served");
            judge_intent(intent, allow, path, versioned);
            judge_refusal(&reason, guess);
        }
        Err(reason) => {
            assert_eq!(reason, Reason::UnknownPath);
            assert!(
                ["GET", "POST"]
                    .iter()
                    .all(|other| recognise(other, path, versioned) == Err(Reason::UnknownPath))
            );
            judge_refusal(&reason, guess);
            judge_refusal(&reason, Dialect::Passthrough);
            judge_passthrough(path);
        }
    }
}

/// However a server reads it, a path below a prefix stays there.
fn judge_passthrough(path: &str) {
    let prefixes = ["/chain", "/chain/deep"];
    let Ok(Some(index)) = passthrough(prefixes.into_iter(), path) else { return };
    let mut decoded = path.to_owned();
    for _ in 0..3 {
        for (escape, sign) in [("%2e", "."), ("%2f", "/"), ("%5c", "\\"), ("%25", "%"), ("%00", "\0")] {
            decoded = decoded.replace(escape, sign).replace(&escape.to_uppercase(), sign);
        }
    }
    let mut segments = Vec::new();
    for segment in decoded.split(['/', '\\', '\0']).filter(|segment| !segment.is_empty() && *segment != ".") {
        if segment == ".." {
            segments.pop();
        } else {
            segments.push(segment);
        }
    }
    let seen = format!("/{}", segments.join("/"));
    assert!(
        seen == prefixes[index] || seen.starts_with(&format!("{}/", prefixes[index])),
        "{path} is {seen}"
    );
}

fn judge_intent(intent: Intent, method: &str, path: &str, versioned: bool) {
    let caller = if versioned { Dialect::Anthropic } else { Dialect::OpenAi };
    let (dialect, wanted) = match intent.operation {
        Operation::Models | Operation::Model => (caller, "GET"),
        Operation::Messages | Operation::CountTokens => (Dialect::Anthropic, "POST"),
        _ => (Dialect::OpenAi, "POST"),
    };
    assert_eq!((intent.dialect, method), (dialect, wanted));
    let id = model_id(path);
    assert_eq!(id.is_some(), intent.operation == Operation::Model);
    if let Some(id) = id {
        judge_id(path, &id);
    }
}

/// However often an upstream decodes the path, and whatever it takes for a separator, it stays the same model.
fn judge_id(path: &str, id: &str) {
    let mut read = path.to_owned();
    while let Some(decoded) = decode(&read) {
        read = decoded;
    }
    assert_eq!(read.strip_prefix("/v1/models/"), Some(id));
    let segments: Vec<&str> = read[1..].split(['/', '\\', ';', '?', '#', '\0']).collect();
    assert!(segments.iter().all(|segment| !matches!(segment.trim(), "" | "." | "..")), "{segments:?}");
    assert!(!id.contains(char::is_control), "{id:?}");
    let encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(model_id(&format!("/v1/models/{encoded}")).as_deref(), Some(id));
    let unknown = Reason::UnknownModel { model: id.to_owned(), known: vec![id.to_owned()] };
    Dialect::ALL.into_iter().for_each(|dialect| judge_refusal(&unknown, dialect));
}

/// `text` with its `%XX` resolved; `None` if it has none.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let code = more.first_chunk::<2>().filter(|_| *first == b'%');
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &more[2..] } else { more };
    }
    let decoded = String::from_utf8_lossy(&bytes).into_owned();
    (decoded != text).then_some(decoded)
}

fn judge_refusal(reason: &Reason, dialect: Dialect) {
    let refusal = reason.refuse(dialect, "request-1");
    assert!((400..600).contains(&refusal.status));
    let body: serde_json::Value = serde_json::from_str(&refusal.body).expect("a refusal is JSON");
    let message = if dialect == Dialect::Passthrough { &body["detail"] } else { &body["error"]["message"] };
    assert!(message.as_str().is_some_and(|message| !message.is_empty()));
    assert_eq!(refusal.allow.is_some(), refusal.status == 405);
}

/// Rules made of the request's own headers: each leads where the first rule for its name and value does.
fn judge_canary(headers: &HeaderMap) {
    let rules: Vec<Canary> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?)))
        .enumerate()
        .map(|(target, (name, equals))| Canary { header: name.to_owned(), equals: equals.to_owned(), target })
        .collect();
    let first = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let found = canary(&rules, first);
    let expected = rules.iter().find(|rule| first(&rule.header) == Some(rule.equals.as_bytes()));
    assert_eq!(found, expected.map(|rule| rule.target));
    assert_eq!(canary(&rules, |_| None), None);
}
