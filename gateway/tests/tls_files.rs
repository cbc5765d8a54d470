//! Certificates and keys as files: what is said of bad ones, how they are exchanged while Weir runs, and the operators'
//! listeners.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use support::client::{Connection, request};
use support::config::{ASK, one_pool};
use support::eventually;
use support::outcome::{self, Outcome};
use support::refusal::OPENAI;
use support::secure::{Authority, SecureStream, connect};
use support::secured::{Secured, config, write_identity, write_key};
use support::socket::dead_address;
use support::upstream::Upstream;
use support::weir::{Folder, Weir, command};

/// The certificate that a connection was made with.
fn certificate(connection: &Connection<SecureStream>) -> Vec<u8> {
    connection.inner().conn.peer_certificates().unwrap()[0].to_vec()
}

fn call(connection: &mut Connection<SecureStream>) -> u16 {
    connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
    connection.answer().status
}

const RENEWED: &str = "weir_tls_certificates_last_reload_success";

#[test]
fn a_new_certificate_comes_into_force_and_no_call_fails() {
    let upstream = Upstream::new();
    let secured = Secured::before(&upstream);
    let mut open = secured.connect();
    let before = certificate(&open);
    let (done, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    assert_eq!(secured.post(OPENAI, &[], ASK).status, 200);
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        write_identity(&secured.files, &secured.authority.identity("localhost"));
        let renewed = eventually("the new certificate", || {
            assert_eq!(call(&mut open), 200);
            Some(certificate(&secured.connect())).filter(|now| *now != before)
        });
        let enough = calls.load(Ordering::SeqCst) + 20;
        eventually("more calls", || (calls.load(Ordering::SeqCst) >= enough).then_some(()));
        done.store(true, Ordering::SeqCst);
        assert_eq!(certificate(&secured.connect()), renewed);
    });
    assert_eq!(call(&mut open), 200, "the connection is older than the certificate, and stays");
    assert_eq!(certificate(&open), before);
    assert!(secured.weir.metric("weir_config_revision") < 1.5, "the configuration is the same");
    eventually("the log", || {
        secured.weir.log().contains("listen[0].tls: the certificate in force").then_some(())
    });
}

#[test]
fn a_bad_certificate_leaves_the_one_before() {
    let upstream = Upstream::new();
    let secured = Secured::before(&upstream);
    let before = certificate(&secured.connect());
    assert!(secured.weir.metric(RENEWED) > 0.5);
    // Of another key.
    secured.files.write("tls.crt", &secured.authority.identity("localhost").certificate);
    eventually("a refusal", || (secured.weir.metric(RENEWED) < 0.5).then_some(()));
    assert_eq!(certificate(&secured.connect()), before);
    eventually("the log", || {
        let log = secured.weir.log();
        log.contains("cannot serve, the certificate stays: the key does not belong to the certificate")
            .then_some(())
    });
    // Nor does all of the configuration come into force with it.
    let reload = || support::client::post(&secured.weir.admin, "/admin/v1/reload", &[], b"");
    let refused = reload();
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("listen[0].tls"), "{}", refused.text());
    assert_eq!(secured.post(OPENAI, &[], ASK).status, 200);

    write_identity(&secured.files, &secured.authority.identity("localhost"));
    eventually("the new certificate", || (certificate(&secured.connect()) != before).then_some(()));
    eventually("the metric", || (secured.weir.metric(RENEWED) > 0.5).then_some(()));
    assert_eq!(reload().status, 200);
}

#[test]
fn a_certificate_that_could_not_be_read_is_tried_again() {
    let upstream = Upstream::new();
    let secured = Secured::before(&upstream);
    let before = certificate(&secured.connect());
    secured.weir.limit_files("0");
    write_identity(&secured.files, &secured.authority.identity("localhost"));
    eventually("the complaint", || secured.weir.log().contains("tls.crt: Too many open files").then_some(()));
    secured.weir.limit_files("1024");
    eventually("the new certificate", || (certificate(&secured.connect()) != before).then_some(()));
    eventually("the metric", || (secured.weir.metric(RENEWED) > 0.5).then_some(()));
}

/// Kubernetes mounts a Secret as links through a link `..data`, and points that elsewhere.
#[test]
fn a_secret_that_is_swapped_is_read_again() {
    let upstream = Upstream::new();
    let (files, authority) = (Folder::new(), Authority::new());
    for version in ["..1", "..2"] {
        let folder = Folder(files.0.join(version));
        std::fs::create_dir(&folder.0).unwrap();
        write_identity(&folder, &authority.identity("localhost"));
        std::mem::forget(folder);
    }
    symlink("..1", files.0.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), files.0.join(name)).unwrap();
    }
    let path = files.write("weir.yaml", &config(&files, &upstream, "", ""));
    let mut command = command();
    command.arg("run").arg("--config").arg(path);
    let weir = Weir::start_as_is(command, None);
    let caller = authority.client(&[], None);
    let shown = || certificate(&Connection::on(connect(&weir.data, caller.clone()).unwrap()));
    let before = shown();
    symlink("..2", files.0.join("..data_tmp")).unwrap();
    std::fs::rename(files.0.join("..data_tmp"), files.0.join("..data")).unwrap();
    eventually("the other certificate", || (shown() != before).then_some(()));
}

#[test]
fn tls_comes_and_goes_with_the_configuration() {
    let upstream = Upstream::new();
    let secured = Secured::before(&upstream);
    let mut open = secured.connect();
    let with = config(&secured.files, &upstream, "", "");
    let (_, without) = with.split_once("\nadmin").unwrap();
    let plain = format!("listen: [{{ address: 127.0.0.1:0 }}]\nadmin{without}");
    secured.files.write("weir.yaml", &plain);
    let reload = || support::client::post(&secured.weir.admin, "/admin/v1/reload", &[], b"").status;
    assert_eq!(reload(), 200);
    assert_eq!(support::client::chat(&secured.weir.data, ASK).status, 200);
    assert_eq!(call(&mut open), 200);
    secured.files.write("weir.yaml", &with);
    assert_eq!(reload(), 200);
    assert_eq!(call(&mut secured.connect()), 200);
    assert_eq!(support::client::chat(&secured.weir.data, ASK).status, 400);
}

fn check(files: &Folder, config: &str) -> Outcome {
    let path = files.write("checked.yaml", config);
    outcome::weir(&["check", path.to_str().unwrap()])
}

#[test]
fn what_is_wrong_with_files_is_said_before_anybody_connects() {
    let upstream = Upstream::new();
    let (files, authority) = (Folder::new(), Authority::new());
    write_identity(&files, &authority.identity("localhost"));
    write_key(&files, "other.key", &authority.identity("localhost").key);
    write_key(
        &files,
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    files.write("words", "no certificate here\n");
    files.write("empty", "");
    let whole = config(&files, &upstream, ", client_ca: FOLDER/tls.crt", "");
    let sound = check(&files, &whole);
    assert_eq!((sound.code, sound.stdout.lines().count()), (0, 1), "{}", sound.stdout);
    let cases = [
        ("certificate: FOLDER/tls.crt", "FOLDER/missing", ".certificate: FOLDER/missing: No such file"),
        (
            "certificate: FOLDER/tls.crt",
            "FOLDER/words",
            ".certificate: FOLDER/words: holds no certificate (PEM)",
        ),
        (
            "certificate: FOLDER/tls.crt",
            "FOLDER/tls.key",
            ".certificate: FOLDER/tls.key: holds no certificate (PEM)",
        ),
        ("certificate: FOLDER/tls.crt", "/dev/zero", ".certificate: /dev/zero: is larger than 1 MiB"),
        ("file: FOLDER/tls.key", "FOLDER/missing", ".key: FOLDER/missing: No such file"),
        ("file: FOLDER/tls.key", "FOLDER/words", ".key: FOLDER/words: holds no private key (PEM)"),
        ("file: FOLDER/tls.key", "FOLDER/other.key", ".key: the key does not belong to the certificate"),
        ("file: FOLDER/tls.key", "FOLDER/locked.key", ".key: FOLDER/locked.key: the key is encrypted"),
        ("client_ca: FOLDER/tls.crt", "FOLDER/empty", ".client_ca: FOLDER/empty: holds no certificate"),
    ];
    let folder = files.0.display().to_string();
    for (key, value, said) in cases {
        let (name, _) = key.split_once(": ").unwrap();
        let placed = |text: &str| text.replace("FOLDER", &folder);
        let text = whole.replace(&placed(key), &placed(&format!("{name}: {value}")));
        assert!(text != whole, "{key}");
        let checked = check(&files, &text);
        assert_eq!(checked.code, 0, "a file may come later: {}", checked.stdout);
        let expected = placed(&format!("listen[0].tls{said}"));
        assert!(checked.stdout.contains(&expected), "{expected}: {}", checked.stdout);
        assert!(
            checked.stdout.contains("`weir run` refuses to start without it (warning)"),
            "{}",
            checked.stdout
        );
        assert_eq!(checked.stdout.lines().count(), 2, "each once: {}", checked.stdout);
        let run = outcome::weir(&["run", "--config", files.0.join("checked.yaml").to_str().unwrap()]);
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
    }
}

#[test]
fn what_is_no_fault_is_a_warning() {
    let upstream = Upstream::new();
    let secured = Secured::before(&upstream);
    let files = &secured.files;
    write_identity(files, &secured.authority.identity_until("localhost", 2001));
    std::fs::set_permissions(files.0.join("tls.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let checked = check(files, &config(files, &upstream, "", ""));
    assert_eq!(checked.code, 0);
    for said in [
        "listen[0].tls.certificate: the certificate has expired on 2001-01-01T00:00:00Z",
        "chmod o-r would do",
    ] {
        assert!(checked.stdout.contains(said), "{}", checked.stdout);
        eventually("the log", || secured.weir.log().contains(said).then_some(()));
    }
    let expiry = "weir_tls_certificate_expiry_timestamp_seconds{listener=\"listen[0]\"}";
    assert!((secured.weir.metric(expiry) - 978_307_200.0).abs() < 1.0);
}

#[test]
fn an_address_from_the_command_line_keeps_the_files_tls() {
    let upstream = Upstream::new();
    let (files, authority) = (Folder::new(), Authority::new());
    write_identity(&files, &authority.identity("localhost"));
    let one = config(&files, &upstream, "", "");
    let path = files.write("weir.yaml", &one);
    let run = || {
        let mut command = command();
        command.arg("run").arg("--config").arg(&path);
        command
    };
    let weir = Weir::start(run(), None);
    let mut connection = Connection::on(connect(&weir.data, authority.client(&[], None)).unwrap());
    assert_eq!(call(&mut connection), 200);

    let ends = |arguments: &[&str]| {
        let mut command = run();
        command.args(arguments);
        let outcome = outcome::of(command);
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
        outcome.stderr
    };
    let socket = format!("unix:{}", files.0.join("s").display());
    assert!(ends(&["--listen", &socket]).contains("`tls`, which is not spoken on unix:"));
    files.write("weir.yaml", &one.replacen("[{", "[{ address: 127.0.0.2:0 }, {", 1));
    assert!(ends(&["--listen", "127.0.0.1:0"]).contains("differ in `tls`"));
}

#[test]
fn operators_and_scrapers_come_over_tls_too() {
    let upstream = Upstream::new();
    let (files, authority) = (Folder::new(), Authority::new());
    write_identity(&files, &authority.identity("localhost"));
    let ca = files.write("ca.pem", &authority.pem());
    let metrics = dead_address();
    let tls = "{ certificate: FOLDER/tls.crt, key: { file: FOLDER/tls.key } }"
        .replace("FOLDER", &files.0.display().to_string());
    let text = format!(
        "listen: [{{ address: 127.0.0.1:0 }}]\n\
         admin: {{ address: 127.0.0.1:0, tls: {tls}, metrics: {{ address: \"{metrics}\", tls: {tls} }} }}\n{}",
        one_pool(&[upstream.url()], "")
    );
    let mut command = command();
    command.arg("run").arg("--config").arg(files.write("weir.yaml", &text));
    let weir = Weir::start_as_is(command, None);
    let caller = authority.client(&["h2", "http/1.1"], None);
    for address in [&weir.admin, &metrics] {
        let mut connection = Connection::on(connect(address, caller.clone()).unwrap());
        assert_eq!(connection.inner().conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        connection.send(request("GET", "/metrics", &[], b""));
        assert!(connection.answer().text().contains("weir_build_info"));
        assert_eq!(support::client::get(address, "/metrics").status, 400, "never in the clear");
    }
    let (_, port) = weir.admin.rsplit_once(':').unwrap();
    let admin = format!("https://localhost:{port}");
    let trusting = outcome::weir(&["health", "--admin", &admin, "--ca", ca.to_str().unwrap()]);
    assert_eq!((trusting.code, trusting.stdout.as_str()), (0, "ready\n"), "{}", trusting.stderr);
    let other = files.write("other.pem", &Authority::new().pem());
    let strange = outcome::weir(&["health", "--admin", &admin, "--ca", other.to_str().unwrap()]);
    assert_eq!(strange.code, 1);
    assert!(strange.stderr.contains("invalid peer certificate"), "{}", strange.stderr);
    let plain = outcome::weir(&["health", "--admin", &format!("http://localhost:{port}")]);
    assert_eq!((plain.code, plain.stdout.as_str()), (1, ""), "{}", plain.stderr);
}
