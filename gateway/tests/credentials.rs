//! Whose key goes up: without one of the pool's own, the caller's; with one, that and nothing of the caller's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::Write;

use support::client::{get, post};
use support::config::{ASK, one_pool};
use support::refusal::{DIALECTS, assert_refused};
use support::upstream::{Got, Upstream, answer};
use support::weir::{Folder, Weir, command};

const CALLERS: [(&str, &str); 4] = [
    ("authorization", "Bearer caller-1"),
    ("x-api-key", "caller-2"),
    ("api-key", "caller-3"),
    ("cookie", "session=caller-4"),
];

/// The credentials that the upstream got.
fn credentials(got: &Got) -> Vec<(&str, &str)> {
    let known = |name: &str| CALLERS.iter().any(|(known, _)| *known == name);
    got.headers
        .iter()
        .filter(|(name, _)| known(name))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// Calls through both APIs with every credential a caller can have; the upstream must get `expected` only.
fn assert_key_is_sent(weir: &Weir, upstream: &Upstream, key: &str) {
    for path in DIALECTS {
        assert_eq!(post(&weir.data, path, &CALLERS, ASK).status, 200);
    }
    let got = upstream.got();
    assert_eq!(credentials(&got[0]), [("authorization", format!("Bearer {key}").as_str())]);
    assert_eq!(credentials(&got[1]), [("x-api-key", key)]);
    let line = |got: &Got| format!("{:?}", got.headers);
    assert!(!got.iter().any(|got| line(got).contains("caller-")), "a caller's credential left");
    assert!(
        !weir.log().contains(key) && !get(&weir.admin, "/admin/v1/config").text().contains(key),
        "the key shows"
    );
}

#[test]
fn without_a_key_of_the_pool_the_callers_credentials_go_up() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    for path in DIALECTS {
        assert_eq!(post(&weir.data, path, &CALLERS, ASK).status, 200);
    }
    for got in upstream.got() {
        let mut found = credentials(&got);
        found.sort_unstable();
        let mut sent = CALLERS;
        sent.sort_unstable();
        assert_eq!(found, sent);
    }
    assert!(!weir.log().contains("caller-"), "a credential is in the log");
}

#[test]
fn a_key_from_the_environment_takes_the_callers_place() {
    let upstream = Upstream::new();
    let config = one_pool(&[upstream.url()], ", key: { env: PROVIDER_KEY }");
    let weir = Weir::configured_with(&config, &[("PROVIDER_KEY", "sk-secret-1")]);
    assert_key_is_sent(&weir, &upstream, "sk-secret-1");
}

#[test]
fn a_key_from_a_file_is_sent_without_the_newline_at_its_end() {
    let files = Folder::new();
    for text in ["sk-secret-2", "sk-secret-2\n", "sk-secret-2\r\n"] {
        let path = files.write("key", text);
        let upstream = Upstream::new();
        let weir = Weir::configured(&one_pool(
            &[upstream.url()],
            &format!(", key: {{ file: \"{}\" }}", path.display()),
        ));
        assert_key_is_sent(&weir, &upstream, "sk-secret-2");
    }
}

#[test]
fn a_key_on_the_command_line_is_named_not_given() {
    let upstream = Upstream::new();
    let mut command = command();
    command.args(["run", "--upstream", &upstream.url(), "--upstream-key-env", "PROVIDER_KEY"]);
    command.env("PROVIDER_KEY", "sk-secret-3");
    let weir = Weir::start(command, None);
    assert_key_is_sent(&weir, &upstream, "sk-secret-3");
}

#[test]
fn a_key_that_an_upstream_refuses_is_the_gateways_fault_only_if_it_is_the_gateways() {
    let refusing = || {
        Upstream::with(|got, socket| {
            let status = got.header("x-test").unwrap_or("401 Unauthorized");
            socket
                .write_all(&answer(status, &[("www-authenticate", "Bearer")], br#"{"error":"key sk-***3"}"#))
                .is_ok()
        })
    };
    for status in ["401 Unauthorized", "403 Forbidden"] {
        for path in DIALECTS {
            let upstream = refusing();
            let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
            let theirs = post(&weir.data, path, &[("x-test", status), CALLERS[0]], ASK);
            assert!(status.starts_with(&theirs.status.to_string()), "{status}: {}", theirs.status);
            assert_eq!(theirs.text(), r#"{"error":"key sk-***3"}"#);
            assert_eq!(theirs.header("www-authenticate"), Some("Bearer"));

            let config = one_pool(&[upstream.url()], ", key: { env: PROVIDER_KEY }");
            let weir = Weir::configured_with(&config, &[("PROVIDER_KEY", "sk-secret-3")]);
            let ours = post(&weir.data, path, &[("x-test", status), ("x-request-id", "ours")], ASK);
            let message = assert_refused(&ours, path, 502, "bad_response");
            assert!(!message.contains("key") && ours.header("www-authenticate").is_none(), "{message}");
            let line = weir.call_line("ours");
            assert!(line["cause"].as_str().unwrap().contains("the key of pool p"), "{line}");
        }
    }
}

#[test]
fn a_key_that_is_not_there_is_said_at_the_start() {
    let files = Folder::new();
    let path = |name: &str| files.0.join(name).display().to_string();
    files.write("empty", "\n");
    files.write("two-lines", "sk-secret-4\nsk-secret-5\n");
    let cases = [
        (
            "{ env: PROVIDER_KEY }".to_owned(),
            ":1:64: pools.p.key: the environment variable that this names is not set",
        ),
        (format!("{{ file: \"{}\" }}", path("missing")), "missing: No such file"),
        (format!("{{ file: \"{}\" }}", path("empty")), "the secret is empty"),
        (format!("{{ file: \"{}\" }}", path("two-lines")), "the secret cannot stand in a header"),
    ];
    for (key, expected) in cases {
        let config =
            files.write("weir.yaml", &one_pool(&["http://127.0.0.1:1".into()], &format!(", key: {key}")));
        let mut command = command();
        command.args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"]).arg(config);
        assert_ends_with_one_line(command, expected);
    }
    let mut command = command();
    command.args(["run", "--upstream", "http://127.0.0.1:1", "--upstream-key-env", "PROVIDER_KEY"]);
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_ends_with_one_line(command, "PROVIDER_KEY is not set");
}

fn assert_ends_with_one_line(mut command: std::process::Command, expected: &str) {
    let output = command.env_remove("PROVIDER_KEY").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("key") && said.contains(expected), "{said}");
    assert_eq!((said.lines().count(), output.stdout.len()), (1, 0), "{said}");
    assert!(!said.contains("sk-secret"), "{said}");
}
