//! `https` upstreams: whom Weir trusts, what it sends, and what callers hear when there is nobody to trust.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::path::Path;

use support::client::{Answer, chat, post};
use support::config::ASK;
use support::outcome::weir;
use support::secure::{Authority, SecureUpstream};
use support::upstream::Upstream;
use support::weir::{Folder, Weir, command};

/// A route `m` before `url`, whose authorities are in `ca`.
fn config(url: &str, ca: &Path) -> String {
    format!(
        "pools: {{ p: {{ endpoints: [{{ url: \"{url}\" }}], ca: \"{}\", timeouts: {{ connect: 20s }} }} }}\n\
         routes: {{ m: {{ targets: [{{ pool: p }}] }} }}\n",
        ca.display()
    )
}

/// A Weir before `url` that trusts `authority`.
fn trusting(authority: &Authority, url: &str) -> Weir {
    let files = Folder::new();
    let ca = files.write("ca.pem", &authority.pem());
    Weir::configured(&config(url, &ca))
}

/// Asserts that the call found no upstream to trust, that the caller hears no more than that, and that the
/// log names a cause with every word.
fn assert_refused(weir: &Weir, answer: &Answer, words: &[&str]) {
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "upstream_error");
    assert_eq!(answer.json()["error"]["code"], "connect_failed");
    assert_eq!(answer.header("x-weir-target"), None);
    let line = weir.call_line(answer.header("x-request-id").unwrap());
    assert_eq!(line["reason"], "connect_failed", "{line}");
    let cause = line["cause"].as_str().unwrap();
    for word in words {
        assert!(cause.contains(word), "{cause}");
        assert!(!answer.text().contains(word), "{}", answer.text());
    }
}

#[test]
fn an_upstream_that_the_authority_vouches_for_is_used() {
    let authority = Authority::new();
    for name in ["localhost", "127.0.0.1"] {
        let upstream = SecureUpstream::new(&authority, name);
        let weir = trusting(&authority, &format!("https://{name}:{}/prefix/v1", upstream.port));
        for _ in 0..10 {
            let answer = chat(&weir.data, ASK);
            assert_eq!(
                (answer.status, answer.header("x-weir-target")),
                (200, Some("p")),
                "{}",
                answer.text()
            );
        }
        assert_eq!(post(&weir.data, "/v1/messages", &[], ASK).status, 200);
        let got = upstream.got();
        assert_eq!(got.len(), 11);
        assert_eq!(got[0].line, "POST /prefix/v1/chat/completions HTTP/1.1");
        assert_eq!(got[0].header("host"), Some(format!("{name}:{}", upstream.port).as_str()));
        assert_eq!(got[0].body, ASK.as_bytes());
        assert_eq!(upstream.connections(), 1, "the connection is kept");
    }
}

#[test]
fn an_upstream_that_nobody_vouches_for_gets_nothing() {
    let upstream = SecureUpstream::new(&Authority::new(), "localhost");
    let weir = trusting(&Authority::new(), &format!("https://localhost:{}", upstream.port));
    assert_refused(&weir, &chat(&weir.data, ASK), &["invalid peer certificate"]);
    assert_eq!(upstream.connections(), 1);
    assert!(upstream.got().is_empty());
}

#[test]
fn a_certificate_for_another_name_is_not_taken() {
    let authority = Authority::new();
    let upstream = SecureUpstream::new(&authority, "other.example");
    let weir = trusting(&authority, &format!("https://localhost:{}", upstream.port));
    assert_refused(&weir, &chat(&weir.data, ASK), &["invalid peer certificate"]);
    assert!(upstream.got().is_empty());
}

#[test]
fn without_ca_the_system_says_whom_to_trust() {
    let authority = Authority::new();
    let upstream = SecureUpstream::new(&authority, "localhost");
    let with_roots = |roots: &Authority| {
        let files = Folder::new();
        let mut command = command();
        command.args(["run", "--upstream", &format!("https://localhost:{}", upstream.port)]);
        // Where a system's roots are found otherwise differs from one to the next.
        command.env("SSL_CERT_FILE", files.write("roots.pem", &roots.pem())).env_remove("SSL_CERT_DIR");
        Weir::start(command, Some(files))
    };
    let strange = with_roots(&Authority::new());
    assert_refused(&strange, &chat(&strange.data, ASK), &["invalid peer certificate"]);
    assert!(upstream.got().is_empty());
    assert_eq!(chat(&with_roots(&authority).data, ASK).status, 200);
}

#[test]
fn a_server_without_tls_is_no_upstream_for_https() {
    let authority = Authority::new();
    let upstream = Upstream::new();
    let weir = trusting(&authority, &upstream.url().replace("http:", "https:"));
    let answer = chat(&weir.data, ASK);
    assert_refused(&weir, &answer, &[]);
    assert!(upstream.got().is_empty(), "no request goes out in the clear");
}

#[test]
fn authorities_that_are_not_there_are_named_at_the_start() {
    let files = Folder::new();
    let cases = [
        (files.0.join("missing.pem"), "No such file"),
        (files.write("empty.pem", ""), "holds no certificate"),
        (files.write("words.pem", "no certificate here\n"), "holds no certificate"),
        (files.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"), ""),
        (files.write("bytes.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), ""),
        (files.0.clone(), "directory"),
    ];
    for (ca, problem) in cases {
        let path = ca.display().to_string();
        let file = files.write("weir.yaml", &config("https://localhost:1", &ca)).display().to_string();
        let outcome = weir(&["run", "--config", &file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{path}: {}", outcome.stderr);
        assert!(outcome.stderr.starts_with(&format!("{file}:1:")), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(&format!("pools.p.ca: {path}: ")), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(problem), "{path}: {}", outcome.stderr);
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    }
}
