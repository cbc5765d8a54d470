//! The file of keys: it is read again when it changes, no call notices, and a bad one changes nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::Value;
use support::client::{Connection, post, request};
use support::config::{ASK, one_pool};
use support::eventually;
use support::outcome::{of, weir as run};
use support::upstream::Upstream;
use support::weir::{Folder, Weir, command};

/// A key and its digest.
fn key() -> (String, String) {
    let made: Value = serde_json::from_str(&run(&["key", "new", "--json"]).stdout).unwrap();
    (made["key"].as_str().unwrap().to_owned(), made["sha256"].as_str().unwrap().to_owned())
}

fn item(id: &str, segment: &str, sha256: &str) -> String {
    format!("- {{ id: {id}, segment: {segment}, sha256: \"{sha256}\" }}\n")
}

const SEGMENTS: &str = "segments: { gold: {}, free: {} }\n";

/// A Weir with this file of keys, and the folder that has it as `keys.yaml`.
fn start(upstream: &Upstream, keys: &str) -> (Weir, Folder) {
    let files = Folder::new();
    let path = files.write("keys.yaml", keys);
    let identity = format!("{SEGMENTS}identity: {{ keys_file: \"{}\" }}\n", path.display());
    let config = files.write("weir.yaml", &(one_pool(&[upstream.url()], "") + &identity));
    let mut command = command();
    command.arg("run").arg("--config").arg(config);
    (Weir::start(command, None), files)
}

fn status(weir: &Weir, key: &str) -> u16 {
    let authorization = format!("Bearer {key}");
    post(&weir.data, "/v1/chat/completions", &[("authorization", &authorization)], ASK).status
}

/// Puts another text in the file's place at once, as tools do that care.
fn replace(files: &Folder, text: &str) {
    let next = files.write("keys.next", text);
    std::fs::rename(next, files.0.join("keys.yaml")).unwrap();
}

#[test]
fn keys_come_and_go_and_no_call_notices() {
    let upstream = Upstream::new();
    let ((stays, one), (leaves, two), (comes, three)) = (key(), key(), key());
    let before = item("a", "gold", &one) + &item("b", "free", &two);
    let after = item("a", "gold", &one) + &item("c", "free", &three);
    let (weir, files) = start(&upstream, &before);
    assert_eq!([&stays, &leaves, &comes].map(|key| status(&weir, key)), [200, 200, 401]);
    assert!((weir.metric("weir_keys") - 2.0).abs() < 0.1);

    let (stop, failed, served) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let load = {
        let (stop, failed, served) = (stop.clone(), failed.clone(), served.clone());
        let (address, authorization) = (weir.data.clone(), format!("Bearer {stays}"));
        std::thread::spawn(move || {
            let bytes =
                request("POST", "/v1/chat/completions", &[("authorization", &authorization)], ASK.as_bytes());
            let mut connection = Connection::to(&address);
            while !stop.load(Ordering::Relaxed) {
                connection.send(&bytes);
                let counted = if connection.answer().status == 200 { &served } else { &failed };
                counted.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    for text in [&after, &before, &after] {
        replace(&files, text);
        let swapped = if text == &after { [401, 200] } else { [200, 401] };
        eventually("the other keys", || {
            ([&leaves, &comes].map(|key| status(&weir, key)) == swapped).then_some(())
        });
    }
    stop.store(true, Ordering::Relaxed);
    load.join().unwrap();
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    assert!(served.load(Ordering::Relaxed) > 20);
    assert!((weir.metric("weir_config_revision") - 1.0).abs() < 0.1, "the rest is not read again");
    assert!(weir.log().contains("2 keys are known"));
}

#[test]
fn a_bad_file_leaves_the_keys_that_were_and_says_why() {
    let upstream = Upstream::new();
    let ((good, one), (never, two)) = (key(), key());
    let text = item("a", "gold", &one);
    let (weir, files) = start(&upstream, &text);
    let success = || weir.metric("weir_keys_last_reload_success");
    assert!(success() > 0.5);
    let moved = item("b", "gold", &two) + &item("a", "gold", &one) + &item("a", "free", &one);
    for (bad, said) in [
        (item("b", "gold", &two) + &item("c", "platinum", &one), "[1].segment: no segment `platinum`"),
        (moved, "one key in two segments: it is `gold`'s already"),
        (item("b", "gold", &never), "expected the SHA-256 digest of a key"),
        (item("b", "gold", &two) + "- [", "not valid YAML"),
    ] {
        replace(&files, &bad);
        eventually("the complaint", || weir.log().contains(said).then_some(()));
        assert!(success() < 0.5);
        assert_eq!([&good, &never].map(|key| status(&weir, key)), [200, 401]);
        assert!(weir.log().contains("the keys before it stay in force"));
        assert!(!weir.log().contains(&never), "what may be a key is not repeated");
        // The rest can still be changed, and makes nothing good.
        assert_eq!(post(&weir.admin, "/admin/v1/reload", &[], b"").status, 200);
        assert!(success() < 0.5);
        assert_eq!([&good, &never].map(|key| status(&weir, key)), [200, 401]);
    }
    // What the keys are of cannot, without keys that fit.
    let config = std::fs::read_to_string(files.0.join("weir.yaml")).unwrap();
    files.write("weir.yaml", &config.replace("free: {}", "silver: {}"));
    let reload = post(&weir.admin, "/admin/v1/reload", &[], b"");
    assert!(reload.status == 422 && reload.text().contains("keys.yaml"), "{}", reload.text());
    files.write("weir.yaml", &config);
    std::fs::remove_file(files.0.join("keys.yaml")).unwrap();
    eventually("the complaint", || weir.log().contains("keys.yaml: cannot be read").then_some(()));
    assert_eq!(status(&weir, &good), 200);
    files.write("keys.yaml", &(text + &item("b", "free", &two)));
    eventually("the new keys", || (status(&weir, &never) == 200).then_some(()));
    assert!(success() > 0.5);
}

#[test]
fn a_key_that_was_revoked_while_no_file_could_be_opened_is_refused_soon_after() {
    let upstream = Upstream::new();
    let ((stays, one), (revoked, two)) = (key(), key());
    let text = item("a", "gold", &one);
    let (weir, files) = start(&upstream, &(text.clone() + &item("b", "free", &two)));
    weir.limit_files("0");
    replace(&files, &text);
    let complaint = "keys.yaml: cannot be read: Too many open files";
    eventually("the complaint", || weir.log().contains(complaint).then_some(()));
    weir.limit_files("1024");
    eventually("the revocation", || {
        ([&stays, &revoked].map(|key| status(&weir, key)) == [200, 401]).then_some(())
    });
    assert_eq!(weir.log().matches(complaint).count(), 1, "it is said once");
}

#[test]
fn a_link_that_is_pointed_elsewhere_is_a_change() {
    let upstream = Upstream::new();
    let ((old, one), (new, two)) = (key(), key());
    let files = Folder::new();
    files.write("v1", &item("a", "gold", &one));
    files.write("v2", &item("a", "gold", &two));
    let link = files.0.join("keys.yaml");
    symlink("v1", &link).unwrap();
    let identity = format!("{SEGMENTS}identity: {{ keys_file: \"{}\" }}\n", link.display());
    let config = files.write("weir.yaml", &(one_pool(&[upstream.url()], "") + &identity));
    let mut command = command();
    command.arg("run").arg("--config").arg(config);
    let weir = Weir::start(command, None);
    assert_eq!([&old, &new].map(|key| status(&weir, key)), [200, 401]);
    // As Kubernetes does it.
    symlink("v2", files.0.join("next")).unwrap();
    std::fs::rename(files.0.join("next"), &link).unwrap();
    eventually("the new key", || ([&old, &new].map(|key| status(&weir, key)) == [401, 200]).then_some(()));
}

#[test]
fn keys_of_the_configuration_and_of_the_file_are_one_list() {
    let upstream = Upstream::new();
    let ((inline, one), (filed, two)) = (key(), key());
    let files = Folder::new();
    let path = files.write("keys.json", &format!(r#"[{{"id":"a","segment":"gold","sha256":"{two}"}}]"#));
    let identity = |sha256: &str| {
        let segments =
            format!("segments: {{ gold: {{ keys: [{{ id: a, sha256: \"{sha256}\" }}] }}, free: {{}} }}\n");
        format!("{segments}identity: {{ keys_file: \"{}\" }}\n", path.display())
    };
    let config =
        |sha256: &str| files.write("weir.yaml", &(one_pool(&[upstream.url()], "") + &identity(sha256)));
    let start = || {
        let mut command = command();
        command.arg("run").arg("--config").arg(config(&one));
        command
    };
    let weir = Weir::start(start(), None);
    assert_eq!([&inline, &filed].map(|key| status(&weir, key)), [200, 200]);
    drop(weir);
    for verb in ["check", "run"] {
        let mut command = command();
        let arguments = if verb == "check" {
            vec!["check"]
        } else {
            vec!["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"]
        };
        command.args(arguments).arg(config(&two));
        let outcome = of(command);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert_eq!(outcome.code, 2, "{said}");
        assert!(said.contains("keys.json:1:2: [0]: the same key twice"), "{said}");
    }
}

#[test]
fn a_file_of_keys_that_is_not_there_is_warned_of_and_refused() {
    let files = Folder::new();
    let identity = "identity: { keys_file: /nowhere/keys.yaml }\n";
    let config = files.write("weir.yaml", &(one_pool(&["http://127.0.0.1:1".into()], "") + identity));
    let mut check = command();
    check.arg("check").arg(&config);
    let outcome = of(check);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(
        outcome.stdout.contains("identity.keys_file: /nowhere/keys.yaml: No such file"),
        "{}",
        outcome.stdout
    );
    let mut run = command();
    run.args(["run", "--config"]).arg(&config);
    let outcome = of(run);
    assert!(outcome.code == 2 && outcome.stderr.contains("/nowhere/keys.yaml"), "{}", outcome.stderr);
}

#[test]
fn a_new_key_is_shown_once_with_what_to_write_down() {
    let outcome = run(&["key", "new", "--id", "acme"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    let key = outcome.stdout.lines().find_map(|line| line.trim().strip_prefix("weir-")).unwrap();
    assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    assert_eq!(outcome.stdout.matches(key).count(), 1);
    let line = outcome.stdout.lines().find(|line| line.contains("id: acme")).unwrap();
    let upstream = Upstream::new();
    let config = one_pool(&[upstream.url()], "") + "segments:\n  gold:\n    keys:\n    " + line + "\n";
    let weir = Weir::configured(&config);
    assert_eq!(status(&weir, &format!("weir-{key}")), 200, "the line is ready to paste");
    let (one, other) = (run(&["key", "new"]).stdout, run(&["key", "new"]).stdout);
    assert!(one != other && one.contains("id: key-"), "{one}");
    assert_eq!(run(&["key", "new", "--id", "a b"]).code, 2);
}

#[test]
fn an_operators_key_is_no_callers() {
    let upstream = Upstream::new();
    let ((caller, one), (_, operators)) = (key(), key());
    let text = item("a", "gold", &one);
    let (weir, files) = start(&upstream, &text);
    let config = std::fs::read_to_string(files.0.join("weir.yaml")).unwrap();
    let with = |digest: &str| {
        format!("admin: {{ keys: [{{ id: rules, role: admin, sha256: \"{digest}\" }}] }}\n{config}")
    };
    // A key that is in the file comes to be an operator's, by a reload.
    files.write("weir.yaml", &with(&one));
    let reload = post(&weir.admin, "/admin/v1/reload", &[], b"");
    assert_eq!(reload.status, 422);
    assert!(reload.text().contains("[0]: this is an operator's key"), "{}", reload.text());
    files.write("weir.yaml", &with(&operators));
    assert_eq!(post(&weir.admin, "/admin/v1/reload", &[], b"").status, 200);
    // One that is an operator's comes into the file.
    replace(&files, &(text + &item("b", "free", &operators)));
    eventually("the complaint", || weir.log().contains("[1]: this is an operator's key").then_some(()));
    assert_eq!(status(&weir, &caller), 200);
}
