//! Operators who are known by keys: what each role may do, and who is nobody.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, UdpSocket};

use support::client::{Answer, request, send};
use support::config::one_pool;
use support::eventually;
use support::outcome::{self, weir};
use support::secure::Authority;
use support::secured::write_identity;
use support::upstream::Upstream;
use support::weir::{Folder, Weir, command};

/// A Weir with a key for each role, and one that has ended.
struct Operated {
    weir: Weir,
    files: Folder,
    text: String,
    reader: String,
    writer: String,
    admin: String,
    ended: String,
}

/// A new key and its digest.
fn key() -> (String, String) {
    let made: serde_json::Value = serde_json::from_str(&weir(&["key", "new", "--json"]).stdout).unwrap();
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    (text("key"), text("sha256"))
}

impl Operated {
    fn at(address: &str) -> Self {
        let upstream = Upstream::new();
        let [reader, writer, admin, ended] = [(); 4].map(|()| key());
        let text = format!(
            "listen: [{{ address: 127.0.0.1:0 }}]\nadmin:\n  address: {address}\n  keys:\n\
             \x20   - {{ id: sees, role: reader, sha256: \"{}\" }}\n\
             \x20   - {{ id: shifts, role: writer, sha256: \"{}\" }}\n\
             \x20   - {{ id: rules, role: admin, sha256: \"{}\", expires: \"2090-01-01T00:00:00Z\" }}\n\
             \x20   - {{ id: ruled, role: admin, sha256: \"{}\", expires: \"2020-01-01T00:00:00Z\" }}\n{}",
            reader.1,
            writer.1,
            admin.1,
            ended.1,
            one_pool(&[upstream.url()], "")
        );
        let files = Folder::new();
        let mut command = command();
        command.arg("run").arg("--config").arg(files.write("weir.yaml", &text));
        let weir = Weir::start_as_is(command, None);
        Self { weir, files, text, reader: reader.0, writer: writer.0, admin: admin.0, ended: ended.0 }
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        send(&self.weir.admin, request(method, path, headers, b""))
    }

    fn with(&self, key: &str, method: &str, path: &str) -> Answer {
        self.ask(method, path, &[("authorization", &format!("Bearer {key}"))])
    }
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

const SEEN: [&str; 5] =
    ["/metrics", "/admin/v1/routes", "/admin/v1/pools", "/admin/v1/config", "/weir/backpressure"];

#[test]
fn each_role_may_do_what_it_is_for() {
    let operated = Operated::at("127.0.0.1:0");
    for key in [&operated.reader, &operated.writer, &operated.admin] {
        for path in SEEN {
            assert_eq!(operated.with(key, "GET", path).status, 200, "{path}");
        }
    }
    let reload = |key| operated.with(key, "POST", "/admin/v1/reload");
    for (key, role) in [(&operated.reader, "reader"), (&operated.writer, "writer")] {
        let refused = reload(key);
        assert_eq!(code(&refused), (403, "role_needed".to_owned()));
        let said = refused.text();
        assert!(said.contains("needs the role admin") && said.contains(&format!("role {role}")), "{said}");
    }
    assert_eq!(reload(&operated.admin).status, 200);
    // What changes something needs a writer, whether it is there or not.
    let refused = operated.with(&operated.reader, "POST", "/admin/v1/nothing");
    assert_eq!(code(&refused), (403, "role_needed".to_owned()));
    assert_eq!(operated.with(&operated.writer, "POST", "/admin/v1/nothing").status, 404);
    // In the other header too, and whatever the host is called.
    let headers = [("x-api-key", &*operated.reader)];
    let named = String::from_utf8(request("GET", "/metrics", &headers, b"")).unwrap();
    assert_eq!(
        send(&operated.weir.admin, named.replace("host: localhost", "host: weir.example")).status,
        200
    );
    eventually("the log", || {
        let log = operated.weir.log();
        log.contains("operator rules (admin) from 127.0.0.1: POST /admin/v1/reload: 200").then_some(())
    });
}

#[test]
fn who_shows_no_key_sees_here_and_changes_nothing() {
    let operated = Operated::at("127.0.0.1:0");
    for path in SEEN {
        assert_eq!(operated.ask("GET", path, &[]).status, 200, "{path}");
    }
    let refused = operated.ask("POST", "/admin/v1/reload", &[]);
    assert_eq!(code(&refused), (403, "role_needed".to_owned()));
    // Nor through a proxy on this machine, nor from a page that a browser shows.
    let proxied = operated.ask("GET", "/metrics", &[("x-forwarded-for", "10.0.0.1")]);
    assert_eq!(code(&proxied), (401, "invalid_admin_key".to_owned()));
    let bytes = String::from_utf8(request("GET", "/metrics", &[], b"")).unwrap();
    let rebound = send(&operated.weir.admin, bytes.replace("host: localhost", "host: evil.example"));
    assert_eq!(code(&rebound), (403, "host_refused".to_owned()));
    let bearer = format!("Bearer {}", operated.admin);
    let paged = [("authorization", &*bearer), ("origin", "http://evil.example")];
    assert_eq!(code(&operated.ask("GET", "/metrics", &paged)), (403, "origin_refused".to_owned()));
}

#[test]
fn a_key_that_is_not_good_is_worse_than_none() {
    let operated = Operated::at("127.0.0.1:0");
    let refused = operated.with("weir-unknown", "GET", "/metrics");
    assert_eq!(code(&refused), (401, "invalid_admin_key".to_owned()));
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    assert!(operated.with(&operated.ended, "GET", "/metrics").text().contains("expired"));
    let two = [("authorization", &*format!("Bearer {}", operated.admin)), ("x-api-key", "another")];
    assert_eq!(operated.ask("GET", "/metrics", &two).status, 401);
    let basic = [("authorization", "Basic YTpi")];
    assert_eq!(operated.ask("GET", "/metrics", &basic).status, 401);
    assert_eq!(operated.ask("GET", "/health/ready", &basic).status, 200);
    let shown = operated.with(&operated.admin, "GET", "/admin/v1/config");
    let digest = shown.json()["admin"]["keys"][0]["sha256"].as_str().unwrap().to_owned();
    assert_eq!(digest.chars().count(), 9, "only the beginning: {digest}");
    eventually("the log", || {
        operated.weir.log().contains("an operator from 127.0.0.1 was refused").then_some(())
    });
    for key in [&operated.reader, &operated.writer, &operated.admin, &operated.ended] {
        assert!(!operated.weir.log().contains(&**key) && !shown.text().contains(&**key));
    }
}

#[test]
fn keys_change_with_the_configuration() {
    let operated = Operated::at("127.0.0.1:0");
    let (key, digest) = key();
    let (first, rest) = operated.text.split_once("sha256: \"").unwrap();
    let (_, rest) = rest.split_once('"').unwrap();
    operated.files.write("weir.yaml", &format!("{first}sha256: \"{digest}\"{rest}"));
    assert_eq!(operated.with(&operated.admin, "POST", "/admin/v1/reload").status, 200);
    assert_eq!(operated.with(&key, "GET", "/metrics").status, 200);
    assert_eq!(operated.with(&operated.reader, "GET", "/metrics").status, 401);
}

/// An address of this machine that is not loopback, where it has one.
fn outside() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the system only says which address it would take.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

#[test]
fn elsewhere_a_key_is_needed() {
    let operated = Operated::at("0.0.0.0:0");
    eventually("the log", || {
        operated.weir.log().contains("keys cross the network in the clear").then_some(())
    });
    let port = operated.weir.admin.rsplit_once(':').unwrap().1.to_owned();
    let here = format!("127.0.0.1:{port}");
    assert_eq!(send(&here, request("GET", "/metrics", &[], b"")).status, 200);
    let Some(ip) = outside() else { return };
    let there = format!("{ip}:{port}");
    let bearer = format!("Bearer {}", operated.reader);
    for path in SEEN {
        let refused = send(&there, request("GET", path, &[], b""));
        assert_eq!(code(&refused), (401, "invalid_admin_key".to_owned()));
        assert_eq!(
            send(&there, request("GET", path, &[("authorization", &bearer)], b"")).status,
            200,
            "{path}"
        );
    }
    assert_eq!(send(&there, request("GET", "/health/live", &[], b"")).status, 200, "orchestrators have none");
}

#[test]
fn a_probe_may_come_by_any_name() {
    let operated = Operated::at("127.0.0.1:0");
    for path in ["/health", "/health/live", "/health/ready"] {
        let probe = String::from_utf8(request("GET", path, &[], b"")).unwrap();
        let probe = probe.replace("host: localhost", "host: 10.1.2.3:9901");
        assert_eq!(send(&operated.weir.admin, probe.clone()).status, 200, "{path}");
        // Without keys a browser on this machine could be meant.
        let upstream = Upstream::new();
        let open = Weir::before(&[upstream.url()]);
        assert_eq!(code(&send(&open.admin, probe)), (403, "host_refused".to_owned()), "{path}");
    }
}

/// A command with an operator's key in its environment.
fn with_key(key: &str, arguments: &[&str]) -> outcome::Outcome {
    let mut command = command();
    command.args(arguments).env("WEIR_ADMIN_KEY", key);
    outcome::of(command)
}

#[test]
fn commands_have_the_key_from_the_environment() {
    let operated = Operated::at("127.0.0.1:0");
    let admin = &*operated.weir.admin;
    let wrong = with_key("wrong", &["router", "status", "--admin", admin]);
    assert_eq!(wrong.code, 1);
    assert_eq!(with_key(&operated.reader, &["router", "status", "--admin", admin]).code, 0);
    let broken = with_key("a\nb", &["router", "status", "--admin", admin]);
    assert_eq!(broken.code, 1);
    assert!(broken.stderr.contains("WEIR_ADMIN_KEY") && !broken.stderr.contains("a\nb"), "{}", broken.stderr);
}

#[test]
fn no_key_is_sent_in_the_clear_unless_that_is_said() {
    for arguments in
        [["router", "status", "--admin", "weir.example:9901"], ["quota", "show", "--admin", "10.0.0.1:9901"]]
    {
        let refused = with_key("secret", &arguments);
        assert_eq!((refused.code, refused.stderr.lines().count()), (2, 1), "{}", refused.stderr);
        let said = refused.stderr;
        assert!(said.contains("write https://") && said.contains("or http://"), "{said}");
    }
    // Whom to trust is no question where nobody proves who it is.
    for arguments in [
        ["router", "status", "--admin", "http://weir.example:9901", "--ca", "ca.pem"],
        ["router", "status", "--admin", "127.0.0.1:9901", "--ca", "ca.pem"],
        ["quota", "show", "--admin", "unix:/run/weir.sock", "--ca", "ca.pem"],
    ] {
        let refused = with_key("secret", &arguments);
        assert_eq!((refused.code, refused.stderr.lines().count()), (2, 1), "{}", refused.stderr);
        assert!(refused.stderr.contains("--ca is for https://"), "{}", refused.stderr);
    }
    let health = with_key("secret", &["health", "--admin", "127.0.0.1:9901", "--ca", "ca.pem"]);
    assert_eq!(health.code, 2, "{}", health.stderr);
    // The variable may be there for other listeners, and `http://` says what is meant.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut plain = command();
    plain.args(["router", "status", "--admin", &format!("http://0.0.0.0:{port}")]);
    plain.env("WEIR_ADMIN_CA", "ca.pem").env("WEIR_ADMIN_KEY", "secret");
    let plain = outcome::of(plain);
    assert_eq!(plain.code, 1, "nobody is there, which was found by asking: {}", plain.stderr);
}

#[test]
fn a_probe_sends_no_key() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.extend(byte);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        String::from_utf8(asked).unwrap()
    });
    assert_eq!(with_key("secret", &["health", "--admin", &address]).code, 0);
    let asked = asked.join().unwrap();
    assert!(asked.starts_with("GET /health/ready") && !asked.contains("secret"), "{asked}");
}

#[test]
fn commands_change_weights_over_tls_and_the_audit_log_says_who_did() {
    let (files, authority) = (Folder::new(), Authority::new());
    write_identity(&files, &authority.identity("localhost"));
    let (writer, reader) = (key(), key());
    let folder = files.0.display().to_string();
    let upstream = Upstream::new();
    let url = upstream.url();
    let text = format!(
        "listen: [{{ address: 127.0.0.1:0 }}]\naudit: {{ path: FOLDER/audit.jsonl }}\n\
         admin:\n  address: 127.0.0.1:0\n  tls: {{ certificate: FOLDER/tls.crt, key: {{ file: FOLDER/tls.key }} }}\n\
         \x20 keys: [{{ id: shifts, role: writer, sha256: \"{}\" }}, {{ id: sees, role: reader, sha256: \"{}\" }}]\n\
         pools: {{ p: {{ endpoints: [{{ url: \"{url}\" }}] }}, q: {{ endpoints: [{{ url: \"{url}\" }}] }} }}\n\
         routes: {{ m: {{ targets: [{{ pool: p, weight: 0.5 }}, {{ pool: q, weight: 0.5 }}] }} }}\n",
        writer.1, reader.1
    );
    let text = text.replace("FOLDER", &folder);
    let mut run = command();
    run.arg("run").arg("--config").arg(files.write("weir.yaml", &text));
    let weir = Weir::start_as_is(run, None);
    let port = weir.admin.rsplit_once(':').unwrap().1.to_owned();
    let ca = files.write("ca.pem", &authority.pem());
    let router = |key: &str, arguments: &[&str]| {
        let mut command = command();
        command.arg("router").args(arguments).args(["--admin", &format!("https://localhost:{port}")]);
        command.env("WEIR_ADMIN_KEY", key).env("WEIR_ADMIN_CA", &ca);
        outcome::of(command)
    };
    let adjust = ["adjust", "--model", "p", "--weight", "0.7"];
    let refused = router(&reader.0, &adjust);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("this needs the role writer"), "{}", refused.stderr);
    for arguments in [&adjust[..], &["deploy"]] {
        let done = router(&writer.0, arguments);
        assert_eq!(done.code, 0, "{}", done.stderr);
    }
    let log = std::fs::read_to_string(files.0.join("audit.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let made: Vec<_> = lines
        .filter(|line| line["actor"] == "shifts" && line["role"] == "writer" && line["from"] == "127.0.0.1")
        .map(|line| line["action"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(made, ["adjust", "deploy"], "{log}");
    for key in [&writer, &reader] {
        assert!(!log.contains(&key.0) && !weir.log().contains(&key.0));
    }
}
