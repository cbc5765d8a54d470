//! The log of changes: every one is on the disk before it counts, and whatever is not as it was written is found.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use support::client::{Answer, get, post, request, send};
use support::eventually;
use support::outcome::{self, Outcome};
use support::weir::{Folder, Weir, command};

const ROUTES: &str = "pools: { a: { endpoints: [{ url: http://127.0.0.1:9 }] }, b: { endpoints: [{ url: http://127.0.0.1:10 }] } }
routes: { m: { targets: [{ pool: a, weight: 0.6 }, { pool: b, weight: 0.4 }] } }
";

/// A folder with a configuration that logs to `audit.jsonl` in it.
struct Logged {
    files: Folder,
    log: PathBuf,
}

impl Logged {
    fn new(more: &str) -> Self {
        let files = Folder::new();
        let log = files.0.join("audit.jsonl");
        files.write("weir.yaml", &format!("{ROUTES}audit: {{ path: {}{more} }}\n", log.display()));
        Self { files, log }
    }

    /// `weir run` with it.
    fn run(&self) -> Command {
        let mut command = command();
        command.arg("run").arg("--config").arg(self.files.0.join("weir.yaml"));
        command
    }

    fn start(&self) -> Weir {
        Weir::start(self.run(), None)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn verify(&self, more: &[&str]) -> Outcome {
        verify(&self.log, more)
    }
}

fn verify(log: &Path, more: &[&str]) -> Outcome {
    let mut command = command();
    command.args(["audit", "verify"]).arg(log).args(more);
    outcome::of(command)
}

fn adjust(weir: &Weir, weight: f64) -> Answer {
    let body = json!({ "weight": weight }).to_string();
    let headers = [("x-request-id", "change-7")];
    send(&weir.admin, request("PATCH", "/admin/v1/routes/m/targets/a", &headers, body.as_bytes()))
}

fn deploy(weir: &Weir) -> Answer {
    post(&weir.admin, "/admin/v1/deploy", &[], b"")
}

/// Four lines: a start, an adjustment, a deployment, a rollback.
fn four() -> Logged {
    let logged = Logged::new("");
    let weir = logged.start();
    assert_eq!((adjust(&weir, 0.7).status, deploy(&weir).status), (200, 200));
    assert_eq!(post(&weir.admin, "/admin/v1/rollback", &[], b"").status, 200);
    logged
}

#[test]
fn every_change_is_written_with_who_what_and_from_where() {
    let logged = Logged::new("");
    let weir = logged.start();
    assert_eq!((adjust(&weir, 0.7).status, deploy(&weir).status), (200, 200));
    assert_eq!(adjust(&weir, 7.0).status, 422);
    assert_eq!(post(&weir.admin, "/admin/v1/reload", &[], b"").status, 200);
    weir.signal("HUP");
    let lines = eventually("all lines", || Some(logged.lines()).filter(|lines| lines.len() == 5));
    let words =
        |key: &str| lines.iter().map(|line| line[key].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        words("action"),
        ["start", "adjust", "deploy", "reload", "reload"],
        "what is refused changes nothing"
    );
    assert_eq!(words("from"), ["process", "127.0.0.1", "127.0.0.1", "127.0.0.1", "process"]);
    assert_eq!(words("actor"), ["weir", "anonymous", "anonymous", "anonymous", "signal"]);
    let adjusted = &lines[1];
    assert_eq!(
        (&adjusted["request_id"], &adjusted["target"]),
        (&"change-7".into(), &"routes/m/targets/a".into())
    );
    assert_eq!(adjusted["before"]["weights"]["m"], json!({ "a": 0.6, "b": 0.4 }));
    assert_eq!(adjusted["after"]["weights"]["m"], json!({ "a": 0.7, "b": 0.3 }));
    assert_eq!((&lines[2]["before"]["revision"], &lines[2]["after"]["revision"]), (&json!(1), &json!(2)));
    assert_eq!(lines[2]["after"]["weights"]["m"], json!({ "a": 0.7, "b": 0.3 }));
    assert!(lines[3]["after"]["config_sha256"].as_str().unwrap().len() == 64);
    assert!(lines.iter().all(|line| line["time"].as_str().unwrap().ends_with('Z')));

    let mode = logged.log.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let outcome = logged.verify(&[]);
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("5 lines, the chain is whole"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains(&format!("last: seq 5 hash {}", lines[4]["hash"].as_str().unwrap())));
}

#[test]
fn every_edit_gap_and_reorder_is_found() {
    let logged = four();
    let text = logged.text();
    let lines: Vec<&str> = text.lines().collect();
    let tampered = |lines: &[&str]| {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let outcome = verify(&logged.files.write("tampered.jsonl", &text), &[]);
        assert_eq!(outcome.code, 1, "{}", outcome.stdout);
        outcome.stdout
    };
    let edited = lines[1].replace("\"a\":0.7", "\"a\":0.8");
    assert!(tampered(&[lines[0], &edited, lines[2], lines[3]]).contains("line 2 (seq 2): was edited"));
    let renamed = lines[2].replace("anonymous", "somebody");
    assert!(tampered(&[lines[0], lines[1], &renamed, lines[3]]).contains("line 3 (seq 3): was edited"));
    assert!(
        tampered(&[lines[0], lines[1], lines[3]])
            .contains("line 3 (seq 4): follows seq 2: 1 lines are missing")
    );
    assert!(tampered(&[lines[0], lines[2], lines[1], lines[3]]).contains("is out of order"));
    assert!(tampered(&lines[1..]).contains("is no beginning"));
    assert!(tampered(&[lines[0], "nonsense", lines[1]]).contains("line 2: is no line of an audit log"));

    let hash = |line: &str| serde_json::from_str::<Value>(line).unwrap()["hash"].as_str().unwrap().to_owned();
    let (second, last) = (hash(lines[1]), hash(lines[3]));
    assert_eq!(logged.verify(&["--expect-last", &last]).code, 0);
    assert!(logged.verify(&["--expect-last", &second]).stdout.contains("is there, and 2 after it"));
    let cut = logged.files.write("cut.jsonl", &format!("{}\n{}\n", lines[0], lines[1]));
    assert_eq!(verify(&cut, &[]).code, 0, "that newer lines are gone shows only from outside");
    let outcome = verify(&cut, &["--expect-last", &last]);
    assert_eq!((outcome.code, outcome.stdout.contains("the newest lines were removed")), (1, true));
    assert_eq!(verify(&logged.files.0.join("nowhere"), &[]).code, 2);
}

#[test]
fn a_line_that_a_crash_left_torn_is_told_from_an_edit() {
    let logged = four();
    let torn = "{\"seq\":5,\"time\":\"20";
    std::fs::OpenOptions::new().append(true).open(&logged.log).unwrap().write_all(torn.as_bytes()).unwrap();
    let before = logged.verify(&[]);
    assert_eq!((before.code, before.stdout.contains("line 5: torn")), (0, true), "{}", before.stdout);

    let weir = logged.start();
    assert_eq!(adjust(&weir, 0.7).status, 200);
    let outcome = logged.verify(&[]);
    assert_eq!(outcome.code, 0, "{}", outcome.stdout);
    assert!(outcome.stdout.contains("line 5: torn by a crash, as line 6 says"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("7 lines, the chain is whole"), "{}", outcome.stdout);
    eventually("a word in the log", || weir.log().contains("torn").then_some(()));
    let edited = logged.text().replace(torn, "{\"seq\":5,\"time\":\"19");
    let outcome = verify(&logged.files.write("edited.jsonl", &edited), &[]);
    assert_eq!(
        (outcome.code, outcome.stdout.contains("line 5: is no line")),
        (1, true),
        "{}",
        outcome.stdout
    );
}

#[test]
fn the_chain_goes_on_over_restarts() {
    let logged = four();
    let _weir = logged.start();
    let lines = logged.lines();
    assert_eq!(
        (lines.len(), &lines[4]["action"], &lines[4]["prev"]),
        (5, &"start".into(), &lines[3]["hash"])
    );
    let second = outcome::of(logged.run_on_free_ports());
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("another Weir writes it"), "{}", second.stderr);
    assert_eq!(logged.verify(&[]).code, 0);
}

impl Logged {
    fn run_on_free_ports(&self) -> Command {
        let mut command = self.run();
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command
    }
}

#[test]
fn what_cannot_be_written_down_is_not_done() {
    let logged = four();
    let weir = logged.start();
    std::fs::rename(&logged.log, logged.files.0.join("audit.jsonl.1")).unwrap();
    let refused = adjust(&weir, 0.7);
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (503, Some("audit_unavailable")));
    assert!(refused.text().contains("was moved or removed"), "{}", refused.text());
    assert_eq!(post(&weir.admin, "/admin/v1/reload", &[], b"").status, 503);
    assert_eq!(get(&weir.admin, "/admin/v1/routes").header("etag"), Some("\"1\""), "nothing has changed");
    std::fs::rename(logged.files.0.join("audit.jsonl.1"), &logged.log).unwrap();
    assert_eq!(adjust(&weir, 0.7).status, 200, "the log is where it was");
    std::fs::write(&logged.log, "").unwrap();
    assert!(adjust(&weir, 0.8).text().contains("somebody else has changed it"));
}

#[test]
fn a_log_that_does_not_fit_stops_the_start() {
    let logged = Logged::new("");
    std::fs::write(&logged.log, "not an audit log\n").unwrap();
    let outcome = outcome::of(logged.run_on_free_ports());
    assert_eq!((outcome.code, outcome.stderr.contains("weir audit verify")), (1, true), "{}", outcome.stderr);
    let nowhere = Logged::new(", key: { file: /nowhere.pem }");
    let outcome = outcome::of(nowhere.run_on_free_ports());
    assert_eq!((outcome.code, outcome.stderr.contains("audit.key")), (2, true), "{}", outcome.stderr);
}

#[test]
fn whoever_comes_by_the_socket_is_local() {
    let logged = Logged::new("");
    let socket = format!("unix:{}", logged.files.0.join("admin.sock").display());
    let mut command = logged.run();
    command.args(["--listen", "127.0.0.1:0", "--admin", &socket]);
    let _weir = Weir::start_as_is(command, None);
    let outcome = outcome::weir(&["router", "adjust", "--model", "a", "--weight", "0.7", "--admin", &socket]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let lines = logged.lines();
    assert_eq!((&lines[1]["actor"], &lines[1]["from"]), (&"local".into(), &"unix".into()));
}

#[test]
fn an_operator_with_a_key_is_known_by_its_name() {
    let made: Value = serde_json::from_str(&outcome::weir(&["key", "new", "--json"]).stdout).unwrap();
    let (key, digest) = (made["key"].as_str().unwrap(), made["sha256"].as_str().unwrap());
    let logged = Logged::new("");
    let text = std::fs::read_to_string(logged.files.0.join("weir.yaml")).unwrap();
    let admin = format!("admin: {{ keys: [{{ id: shifts, role: writer, sha256: \"{digest}\" }}] }}\n");
    logged.files.write("weir.yaml", &(text + &admin));
    let weir = logged.start();
    let adjust = |key: &str| {
        let mut command = command();
        command.args(["router", "adjust", "--model", "a", "--weight", "0.7", "--admin", &weir.admin]);
        outcome::of({
            command.env("WEIR_ADMIN_KEY", key);
            command
        })
    };
    let refused = adjust("");
    assert_eq!(
        (refused.code, refused.stderr.contains("needs the role writer")),
        (1, true),
        "{}",
        refused.stderr
    );
    let refused = adjust("nobody's");
    assert_eq!((refused.code, refused.stderr.contains("not known")), (1, true), "{}", refused.stderr);
    let adjusted = adjust(key);
    assert_eq!(adjusted.code, 0, "{}", adjusted.stderr);
    let lines = logged.lines();
    assert_eq!((lines.len(), &lines[1]["actor"], &lines[1]["role"]), (2, &"shifts".into(), &"writer".into()));
    assert!(!logged.text().contains(key), "who it was, and not by what");
}

#[test]
fn a_file_of_keys_that_changes_is_a_change() {
    let logged = Logged::new("");
    let keys = logged.files.write("keys.yaml", "[]\n");
    let text = std::fs::read_to_string(logged.files.0.join("weir.yaml")).unwrap();
    logged.files.write("weir.yaml", &format!("{text}identity: {{ keys_file: {} }}\n", keys.display()));
    let _weir = logged.start();
    let digest = "ab".repeat(32);
    logged.files.write("keys.yaml", &format!("- {{ id: acme, segment: default, sha256: \"{digest}\" }}\n"));
    let line = eventually("a line", || logged.lines().get(1).cloned());
    assert_eq!((&line["action"], &line["target"]), (&"reload".into(), &"identity/keys_file".into()));
    assert_eq!(
        (&line["actor"], &line["before"], &line["after"]),
        (&"file".into(), &json!({ "keys": 0 }), &json!({ "keys": 1 }))
    );
}

/// An Ed25519 key pair in PEM.
fn key_pair(files: &Folder) -> (PathBuf, PathBuf) {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    (files.write("key.pem", &pair.serialize_pem()), files.write("public.pem", &pair.public_key_pem()))
}

#[test]
fn signed_lines_cannot_be_written_anew_without_the_key() {
    let keys = Folder::new();
    let (private, public) = key_pair(&keys);
    let logged = Logged::new(&format!(", key: {{ file: {} }}", private.display()));
    let weir = logged.start();
    assert_eq!(adjust(&weir, 0.7).status, 200);
    let key = ["--public-key", public.to_str().unwrap()];
    let outcome = logged.verify(&key);
    assert_eq!(
        (outcome.code, outcome.stdout.contains("every line is signed by this key")),
        (0, true),
        "{}",
        outcome.stdout
    );

    // Without the key the chain is right, and the signatures are not.
    let forged = four();
    assert_eq!(forged.verify(&[]).code, 0);
    let outcome = forged.verify(&key);
    assert_eq!(
        (outcome.code, outcome.stdout.contains("line 1 (seq 1): is not signed")),
        (1, true),
        "{}",
        outcome.stdout
    );
    let others = Folder::new();
    let (_, other) = key_pair(&others);
    let outcome = logged.verify(&["--public-key", other.to_str().unwrap()]);
    assert_eq!(
        (outcome.code, outcome.stdout.contains("is not signed by this key")),
        (1, true),
        "{}",
        outcome.stdout
    );
    assert_eq!(logged.verify(&["--public-key", private.to_str().unwrap()]).code, 2);
    let secret = std::fs::read_to_string(&private).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    assert!(!get(&weir.admin, "/admin/v1/config").text().contains(secret) && !weir.log().contains(secret));
    assert!(get(&weir.admin, "/admin/v1/config").text().contains("key.pem"), "where it is, is shown");
}
