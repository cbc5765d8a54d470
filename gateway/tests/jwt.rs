//! Callers known by bearer tokens: good ones are served as whom they name, each bad one is told what is wrong with it,
//! and issuers change their keys, or fail, without anybody noticing who need not.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use support::client::{Answer, Connection, chat, get, post, request};
use support::config::{ASK, one_pool};
use support::issuer::{AUDIENCE, Key, Server, claims, encode, jwks, now, unsigned};
use support::outcome;
use support::refusal::{ANTHROPIC, DIALECTS, OPENAI, assert_refused};
use support::secure::{Authority, SecureUpstream};
use support::socket::dead_address;
use support::upstream::{Upstream, answer};
use support::weir::{Folder, Weir, command};
use support::{eventually, pause};

const SEGMENTS: &str = "segments: { b2b: { share: 3 }, b2c: {} }\nanonymous: b2c\n";

/// A file whose tokens' keys are there.
fn config(upstream: &Upstream, jwks: &str) -> String {
    let claims = "claims: { segment: tier, caller: sub }";
    let jwt = format!("issuer: https://issuer.example/, audience: [{AUDIENCE}], jwks: \"{jwks}\", {claims}");
    format!("{}{SEGMENTS}identity: {{ jwt: {{ {jwt} }} }}\n", one_pool(&[upstream.url()], ""))
}

/// A Weir whose file, `weir.yaml`, and file of keys, `jwks.json`, may be changed.
struct Rig {
    upstream: Upstream,
    weir: Weir,
    files: Folder,
}

impl Rig {
    /// With keys in a file.
    fn with_file(keys: &[&Key]) -> Self {
        let files = Folder::new();
        let path = files.write("jwks.json", &jwks(keys));
        Self::start(files, &path.display().to_string())
    }

    /// With keys at a URL.
    fn with_url(url: &str) -> Self {
        Self::start(Folder::new(), url)
    }

    fn start(files: Folder, jwks: &str) -> Self {
        let upstream = Upstream::new();
        let mut command = command();
        command.arg("run").arg("--config").arg(files.write("weir.yaml", &config(&upstream, jwks)));
        Self { weir: Weir::start(command, None), upstream, files }
    }

    fn call(&self, token: &str) -> Answer {
        self.call_at(OPENAI, token)
    }

    fn call_at(&self, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        post(&self.weir.data, path, &[("authorization", &bearer)], ASK)
    }

    /// Asserts that a token is refused so, in both dialects, and for this reason; nothing of it is repeated.
    fn refuses(&self, token: &str, told: &str, cause: &str) {
        for path in DIALECTS {
            let answer = self.call_at(path, token);
            let message = assert_refused(&answer, path, 401, "invalid_api_key");
            assert!(message.contains(told), "{message}");
            let line = self.weir.call_line(answer.header("x-request-id").unwrap_or_default());
            let logged = line["cause"].as_str().unwrap_or_default();
            assert!(logged.contains(cause), "{line}");
            let parts = token.split('.').filter(|part| part.len() > 20);
            for part in parts {
                assert!(!answer.text().contains(part) && !line.to_string().contains(part), "{part}");
            }
        }
    }
}

#[test]
fn a_good_token_is_served_as_whom_it_names() {
    let keys = [Key::rsa("r1"), Key::ec("e1"), Key::ed("d1")];
    let rig = Rig::with_file(&[&keys[0], &keys[1], &keys[2]]);
    for key in &keys {
        for _ in 0..2 {
            let answer = rig.call(&key.token(&claims("acme", "b2b")));
            assert_eq!(answer.status, 200, "{}: {}", key.algorithm(), answer.text());
            let line = rig.weir.call_line(answer.header("x-request-id").unwrap());
            assert_eq!((&line["segment"], &line["caller"]), (&json!("b2b"), &json!("acme")), "{line}");
        }
    }
    // Whom a group of Anthropic's clients would send it as, too.
    let token = keys[0].token(&claims("acme", "b2b"));
    assert_eq!(rig.call_at(ANTHROPIC, &token).status, 200);
    assert_eq!(post(&rig.weir.data, ANTHROPIC, &[("x-api-key", &token)], ASK).status, 200);
    // What came is known by the claims, so it goes no further.
    assert!(rig.upstream.got().iter().all(|got| got.header("authorization").is_none()));
    assert!(rig.upstream.got().iter().all(|got| got.header("x-api-key").is_none()));
    let listed = request("GET", "/v1/models", &[("authorization", &format!("Bearer {token}"))], b"");
    assert_eq!(support::client::send(&rig.weir.data, listed).status, 200);
    assert!(rig.weir.metric("weir_jwks_keys") > 2.5);
}

#[test]
fn each_bad_token_is_told_what_is_wrong_with_it() {
    let (rsa, ec, stranger) = (Key::rsa("r1"), Key::ec("e1"), Key::rsa("r1"));
    let rig = Rig::with_file(&[&rsa, &ec]);
    let good = claims("acme", "b2b");
    let with = |claim: &str, value: Value| {
        let mut claims = good.clone();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
            value => claims[claim] = value,
        }
        rsa.token(&claims)
    };
    let head = |head: Value| rsa.token_with(&head, &good);
    let none = format!("{}.", unsigned(&json!({ "alg": "none", "kid": "r1" }), &good));
    let hs256 = {
        let text = unsigned(&json!({ "alg": "HS256", "kid": "r1" }), &good);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &rsa.public_bytes());
        format!("{text}.{}", encode(hmac::sign(&secret, text.as_bytes()).as_ref()))
    };
    let long = rsa.token(&json!({ "iss": "i", "pad": "x".repeat(7000) }));
    let mut cut = rsa.token(&good);
    cut.truncate(cut.len() - 10);
    let cases = [
        (format!("{}.e30.c2ln", encode(b"no object")), "malformed", "its head is no JSON object"),
        (format!("{}.e30.c", encode(br#"{"alg":"RS256"}"#)), "malformed", "signature is not in base64url"),
        (none, "not signed", "algorithm is `none`"),
        (hs256, "algorithm is not accepted", "signed with HS256"),
        (head(json!({ "alg": "ES256", "kid": "r1" })), "not that of its key", "its key is for RS256"),
        (head(json!({ "alg": "RS256", "kid": "e1" })), "not that of its key", "its key is for ES256"),
        (head(json!({ "alg": "RS256", "kid": "r1", "crit": ["exp"] })), "extensions", "`crit`"),
        (head(json!({ "alg": "RS256", "kid": "r2" })), "key id is unknown", "the token's key id r2"),
        (stranger.token(&good), "signature is not right", "signature is not right"),
        (cut, "signature is not right", "signature is not right"),
        (with("exp", json!(now() - 60)), "expired", "expired 6"),
        (with("nbf", json!(now() + 600)), "not valid yet", "not valid before"),
        (with("iss", json!("https://other.example/")), "another issuer", "`identity.jwt.issuer`"),
        (with("aud", json!("others")), "another audience", "`identity.jwt.audience`"),
        (with("exp", Value::Null), "lacks a claim", "no claim \"exp\""),
        (with("sub", Value::Null), "lacks a claim", "no claim \"sub\""),
        (with("tier", Value::Null), "lacks a claim", "no claim \"tier\""),
        (with("tier", json!("gold")), "no known segment", "names no segment"),
        (with("sub", json!("a\nb")), "cannot be used", "printable text"),
        (long, "longer than 8192 bytes", "more than 8192"),
    ];
    let count = cases.len();
    for (token, told, cause) in cases {
        rig.refuses(&token, told, cause);
    }
    assert!(rig.upstream.got().is_empty(), "nobody was served");
    let counted = rig.weir.metric_sum("weir_jwt_refused_total");
    assert!((counted - 2.0 * count as f64).abs() < 0.5, "{counted}");
    let families = support::metrics::parse(&get(&rig.weir.admin, "/metrics").text());
    assert_eq!(families["weir_jwt_refused_total"].label_names(), ["reason"]);
    // A good one with its claims or its head changed is not good any more.
    let mut parts: Vec<String> = rsa.token(&good).split('.').map(str::to_owned).collect();
    parts[1] = encode(claims("acme", "b2c").to_string().as_bytes());
    rig.refuses(&parts.join("."), "signature is not right", "signature is not right");
}

#[test]
fn a_bad_token_is_refused_before_its_body_is_there() {
    let key = Key::ec("e1");
    let rig = Rig::with_file(&[&key]);
    let mut connection = Connection::to(&rig.weir.data);
    connection.send(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer e30.e30.\r\n\
         content-length: 1000000\r\n\r\n",
    );
    assert_eq!(connection.answer().status, 401);
}

#[test]
fn keys_are_fetched_once_and_a_new_one_is_known_at_once() {
    let (old, new) = (Key::ec("old"), Key::ec("new"));
    let server = Server::new(&[&old]);
    let rig = Rig::with_url(&server.url());
    let token = old.token(&claims("acme", "b2b"));
    for _ in 0..10 {
        assert_eq!(rig.call(&token).status, 200);
    }
    assert_eq!(server.asked(), 1);
    let asked = server.first();
    assert_eq!(asked.line, "GET /.well-known/jwks.json HTTP/1.1");
    assert!(asked.header("authorization").is_none() && asked.header("user-agent").is_some());
    // The issuer goes over to another key: not one call fails.
    server.shows(&[&new]);
    assert_eq!(rig.call(&new.token(&claims("acme", "b2b"))).status, 200);
    assert_eq!(server.asked(), 2);
    // What the old one signed is good no more, however often it was.
    rig.refuses(&token, "key id is unknown", "key id old");
    // Made up key ids do not load the issuer.
    for _ in 0..20 {
        let head = json!({ "alg": "ES256", "kid": "made-up" });
        assert_eq!(rig.call(&new.token_with(&head, &claims("acme", "b2b"))).status, 401);
    }
    assert_eq!(server.asked(), 2);
}

#[test]
fn no_call_fails_while_keys_change_under_load() {
    let (old, new) = (Arc::new(Key::ec("old")), Arc::new(Key::ec("new")));
    let server = Server::new(&[&old]);
    let rig = Rig::with_url(&server.url());
    let (stop, signs_new) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (served, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let (old, new, stop, signs_new) = (old.clone(), new.clone(), stop.clone(), signs_new.clone());
            let (served, failed, address) = (served.clone(), failed.clone(), rig.weir.data.clone());
            std::thread::spawn(move || {
                let mut connection = Connection::to(&address);
                while !stop.load(Ordering::SeqCst) {
                    let key = if signs_new.load(Ordering::SeqCst) { &new } else { &old };
                    let token = key.token(&claims(&format!("caller-{caller}"), "b2b"));
                    let bearer = format!("Bearer {token}");
                    connection.send(request("POST", OPENAI, &[("authorization", &bearer)], ASK.as_bytes()));
                    let counter = if connection.answer().status == 200 { &served } else { &failed };
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let more = |count: usize| {
        let before = served.load(Ordering::SeqCst);
        eventually("more calls", || (served.load(Ordering::SeqCst) >= before + count).then_some(()));
    };
    more(100);
    server.shows(&[&old, &new]);
    more(100);
    signs_new.store(true, Ordering::SeqCst);
    more(200);
    server.shows(&[&new]);
    more(100);
    stop.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.join().unwrap();
    }
    assert_eq!(failed.load(Ordering::SeqCst), 0);
    assert_eq!(server.asked(), 2);
}

#[test]
fn a_server_of_keys_that_is_dead_at_first_is_asked_again() {
    let key = Key::ec("e1");
    let address = dead_address();
    let rig = Rig::with_url(&format!("http://{address}/jwks"));
    let token = key.token(&claims("acme", "b2b"));
    rig.refuses(&token, "cannot be checked now", "the JWKS could not be loaded");
    // Calls without a token are served all the same.
    assert_eq!(chat(&rig.weir.data, ASK).status, 200);
    eventually("failures", || {
        (rig.weir.metric("weir_jwks_failures_total{reason=\"unreachable\"}") > 1.5).then_some(())
    });
    let server = std::net::TcpListener::bind(&address).unwrap();
    let body = answer("200 OK", &[], jwks(&[&key]).as_bytes());
    std::thread::spawn(move || {
        for mut stream in server.incoming().map_while(Result::ok) {
            std::io::Write::write_all(&mut stream, &body).unwrap_or_default();
        }
    });
    eventually("the token is good", || (rig.call(&token).status == 200).then_some(()));
    let log = rig.weir.log();
    let said = log.lines().filter(|line| line.contains("could not be loaded, until they are")).count();
    assert_eq!(said, 1, "{log}");
    assert!(log.contains("the issuer's keys for bearer tokens are loaded, usable: 1"), "{log}");
}

#[test]
fn keys_in_force_stay_when_their_server_fails() {
    let (key, other) = (Key::ec("e1"), Key::ec("e2"));
    let good = [&key];
    type Failure = (&'static str, fn(&Server));
    let failures: [Failure; 5] = [
        ("unreachable", |server| server.answers(Vec::new())),
        ("status", |server| server.answers(answer("503 Service Unavailable", &[], b""))),
        ("status", |server| server.answers(answer("302 Found", &[("location", "http://evil/")], b""))),
        ("unreadable", |server| server.answers(answer("200 OK", &[], b"{\"keys\":[]}"))),
        ("unreadable", |server| server.answers(answer("200 OK", &[], &vec![b' '; 1 << 21]))),
    ];
    for (reason, fail) in failures {
        let server = Server::new(&good);
        let rig = Rig::with_url(&server.url());
        fail(&server);
        rig.refuses(&other.token(&claims("acme", "b2b")), "key id is unknown", "key id e2");
        assert_eq!(rig.call(&key.token(&claims("acme", "b2b"))).status, 200, "{reason}");
        let failed = || rig.weir.metric(&format!("weir_jwks_failures_total{{reason=\"{reason}\"}}")) > 0.5;
        eventually(reason, || failed().then_some(()));
        eventually("the log", || {
            rig.weir.log().contains("could not be loaded, those in force stay").then_some(())
        });
    }
}

#[test]
fn a_frozen_server_of_keys_keeps_nobody_waiting_for_long() {
    let (key, other) = (Key::ec("e1"), Key::ec("e2"));
    let server = Server::new(&[&key]);
    server.freeze(true);
    let rig = Rig::with_url(&server.url());
    assert_eq!(chat(&rig.weir.data, ASK).status, 200, "ready without keys");
    let token = key.token(&claims("acme", "b2b"));
    rig.refuses(&token, "cannot be checked now", "the JWKS could not be loaded");
    server.freeze(false);
    eventually("the token is good", || (rig.call(&token).status == 200).then_some(()));
    server.freeze(true);
    rig.refuses(&other.token(&claims("acme", "b2b")), "key id is unknown", "key id e2");
    assert_eq!(rig.call(&token).status, 200);
    server.freeze(false);
}

#[test]
fn a_file_of_keys_that_changes_is_read_again_and_a_bad_one_is_not_taken() {
    let (old, new) = (Key::ec("old"), Key::rsa("new"));
    let rig = Rig::with_file(&[&old]);
    let [before, after] = [&old, &new].map(|key| key.token(&claims("acme", "b2b")));
    assert_eq!((rig.call(&before).status, rig.call(&after).status), (200, 401));
    rig.files.write("jwks.json", "{ \"keys\": [] }");
    eventually("the log", || rig.weir.log().contains("none of its 0 keys can be used").then_some(()));
    assert!(rig.weir.metric("weir_jwks_failures_total{reason=\"unreadable\"}") > 0.5);
    assert_eq!(rig.call(&before).status, 200);
    rig.files.write("jwks.json", &jwks(&[&new]));
    eventually("the new key", || (rig.call(&after).status == 200).then_some(()));
    assert_eq!(rig.call(&before).status, 401);
}

#[test]
fn a_file_of_keys_that_could_not_be_read_is_tried_again() {
    let (old, new) = (Key::ec("old"), Key::rsa("new"));
    let rig = Rig::with_file(&[&old]);
    let [before, after] = [&old, &new].map(|key| key.token(&claims("acme", "b2b")));
    assert_eq!((rig.call(&before).status, rig.call(&after).status), (200, 401));
    rig.weir.limit_files("0");
    rig.files.write("jwks.json", &jwks(&[&new]));
    eventually("the log", || rig.weir.log().contains("jwks.json: Too many open files").then_some(()));
    rig.weir.limit_files("1024");
    eventually("the new key", || (rig.call(&after).status == 200).then_some(()));
    assert_eq!(rig.call(&before).status, 401);
}

#[test]
fn a_reload_judges_tokens_anew_and_keeps_what_it_can() {
    let key = Key::ec("e1");
    let server = Server::new(&[&key]);
    let rig = Rig::with_url(&server.url());
    let token = key.token(&claims("acme", "b2b"));
    assert_eq!(rig.call(&token).status, 200);
    let reload = |text: &str| {
        rig.files.write("weir.yaml", text);
        assert_eq!(post(&rig.weir.admin, "/admin/v1/reload", &[], b"").status, 200);
    };
    let text = config(&rig.upstream, &server.url());
    reload(&text.replace("b2c: {}", "b2c: {}, x: {}"));
    assert_eq!((rig.call(&token).status, server.asked()), (200, 1), "the keys stay");
    reload(&text.replace("[weir]", "[other]"));
    rig.refuses(&token, "another audience", "`identity.jwt.audience`");
    // A segment that has gone is none any more.
    reload(&text.replace("b2b: { share: 3 }", "gold: {}"));
    rig.refuses(&token, "no known segment", "names no segment");
    reload(&text);
    assert_eq!(rig.call(&token).status, 200);
    assert!(get(&rig.weir.admin, "/admin/v1/config").text().contains("/.well-known/jwks.json"));
}

#[test]
fn keys_that_cannot_be_there_are_said_before_anything_runs() {
    let upstream = Upstream::new();
    let files = Folder::new();
    let bad = files.write("jwks.json", "not json");
    let path = files.write("weir.yaml", &config(&upstream, &bad.display().to_string()));
    let mut check = command();
    check.arg("check").arg(&path);
    let told = outcome::of(check);
    assert!(
        told.stdout.contains("identity.jwt.jwks: ") && told.stdout.contains("(warning)"),
        "{}",
        told.stdout
    );
    let mut run = command();
    run.arg("run").arg("--config").arg(&path);
    let told = outcome::of(run);
    assert_eq!(told.code, 2, "{}", told.stderr);
    assert!(told.stderr.contains("it is no JSON object with a list `keys`"), "{}", told.stderr);
}

#[test]
fn keys_come_over_tls_from_whom_an_authority_vouches_for() {
    let key = Key::ec("e1");
    let authority = Authority::new();
    let body = answer("200 OK", &[("content-type", "application/json")], jwks(&[&key]).as_bytes());
    let server = SecureUpstream::answering(&authority, "localhost", body);
    let url = format!("https://localhost:{}/jwks", server.port);
    let token = key.token(&claims("acme", "b2b"));
    let rig = |authority: &Authority| {
        let files = Folder::new();
        let ca = files.write("ca.pem", &authority.pem());
        Rig::start(files, &format!("{url}\", ca: \"{}", ca.display()))
    };
    assert_eq!(rig(&authority).call(&token).status, 200);
    let stranger = rig(&Authority::new());
    stranger.refuses(&token, "cannot be checked now", "the JWKS could not be loaded");
    eventually("the log", || stranger.weir.log().contains("invalid peer certificate").then_some(()));
}

#[test]
fn tokens_close_the_door_to_callers_without_any() {
    let key = Key::ec("e1");
    let upstream = Upstream::new();
    let files = Folder::new();
    let keys = files.write("jwks.json", &jwks(&[&key]));
    let text = config(&upstream, &keys.display().to_string()).replace("anonymous: b2c\n", "");
    let mut command = command();
    command.arg("run").arg("--config").arg(files.write("weir.yaml", &text));
    let rig = Rig { weir: Weir::start(command, None), upstream, files };
    for path in DIALECTS {
        assert_refused(&post(&rig.weir.data, path, &[], ASK), path, 401, "invalid_api_key");
    }
    // What is no token is a key, and not one that is known.
    rig.refuses("weir-0123456789abcdef", "key is not known", "unknown key");
    let token = key.token(&claims("acme", "b2b"));
    assert_eq!(rig.call(&token).status, 200);
    // After all of it nothing of the token is anywhere.
    let bad = format!("{token}x");
    assert_eq!(rig.call(&bad).status, 401);
    let shown = [
        rig.weir.log(),
        get(&rig.weir.admin, "/metrics").text(),
        get(&rig.weir.admin, "/admin/v1/config").text(),
    ];
    for part in token.split('.') {
        assert!(shown.iter().all(|text| !text.contains(part)), "{part}");
    }
}

#[test]
fn a_role_in_a_token_makes_an_operator() {
    let key = Key::ec("e1");
    let upstream = Upstream::new();
    let files = Folder::new();
    let keys = files.write("jwks.json", &jwks(&[&key]));
    let operators =
        format!("admin: {{ keys: [{{ id: o, role: admin, sha256: \"{}\" }}] }}\n", "ab".repeat(32));
    let text = config(&upstream, &keys.display().to_string());
    let text = operators + &text.replace("caller: sub", "caller: sub, role: realm.roles");
    let mut command = command();
    command.arg("run").arg("--config").arg(files.write("weir.yaml", &text));
    let weir = Weir::start(command, None);
    let ask = |method: &str, path: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        support::client::send(&weir.admin, request(method, path, &[("authorization", &bearer)], b""))
    };
    let token = |roles: Value| {
        let mut claims = claims("ada", "b2b");
        claims["realm"] = json!({ "roles": roles });
        key.token(&claims)
    };
    for (roles, get, post) in [
        (json!(["user", "admin"]), 200, 200),
        (json!("writer"), 200, 403),
        (json!(["reader"]), 200, 403),
        (json!(["user"]), 401, 401),
        (Value::Null, 401, 401),
    ] {
        let token = token(roles.clone());
        assert_eq!(ask("GET", "/admin/v1/routes", &token).status, get, "{roles}");
        assert_eq!(ask("POST", "/admin/v1/reload", &token).status, post, "{roles}");
        // For calls it is what any other is.
        let bearer = format!("Bearer {token}");
        assert_eq!(support::client::post(&weir.data, OPENAI, &[("authorization", &bearer)], ASK).status, 200);
    }
    let mut expired = claims("ada", "b2b");
    expired["realm"] = json!({ "roles": "admin" });
    expired["exp"] = json!(now() - 60);
    let answer = ask("GET", "/admin/v1/routes", &key.token(&expired));
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("has expired"), "{}", answer.text());
    eventually("the log", || weir.log().contains("operator ada (admin) from").then_some(()));
}

#[test]
fn a_token_ends_when_it_says_whoever_knows_it() {
    let key = Key::ed("d1");
    let rig = Rig::with_file(&[&key]);
    let mut claims = claims("acme", "b2b");
    // Good for two more seconds, the skew included.
    claims["exp"] = json!(now() - 28);
    let token = key.token(&claims);
    assert_eq!(rig.call(&token).status, 200);
    eventually("the end of the token", || {
        pause(Duration::from_millis(100));
        (rig.call(&token).status == 401).then_some(())
    });
    rig.refuses(&token, "expired", "expired");
}
