//! The command line: what it takes, what it refuses and with which exit code, and what it says where.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use support::client::{chat, get};
use support::config::{ASK, one_pool};
use support::outcome::{self, Outcome, weir};
use support::pause;
use support::socket::dead_address;
use support::upstream::{Upstream, answer};
use support::weir::{Folder, Weir, command};

/// Asserts a refusal: this exit code, nothing on stdout, and one line on stderr that holds every word.
fn assert_one_line(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    for word in words {
        assert!(outcome.stderr.contains(word), "no {word:?} in: {}", outcome.stderr);
    }
}

/// `weir run` with these arguments, refused.
fn run(arguments: &[&str]) -> Outcome {
    weir(&[&["run"], arguments].concat())
}

const UP: [&str; 2] = ["--upstream", "http://127.0.0.1:1"];

#[test]
fn run_takes_a_file_or_upstreams_and_says_so() {
    assert_one_line(&run(&[]), 2, &["--config", "--upstream"]);
    assert_one_line(
        &run(&["--config", "weir.yaml", UP[0], UP[1]]),
        2,
        &["--config", "--upstream", "not both"],
    );
    let key_without_upstream = run(&["--config", "weir.yaml", "--upstream-key-env", "KEY"]);
    assert_one_line(&key_without_upstream, 2, &["--upstream-key-env", "pools.NAME.key"]);
}

#[test]
fn run_refuses_upstreams_that_cannot_be() {
    let mixed = run(&["--upstream", "http://127.0.0.1:1=0.5", "--upstream", "http://127.0.0.1:2"]);
    assert_one_line(&mixed, 2, &["--upstream", "weight"]);
    let weightless = run(&["--upstream", "http://127.0.0.1:1=0", "--upstream", "http://127.0.0.1:2=0"]);
    assert_one_line(&weightless, 2, &["--upstream", "above 0"]);
    assert_one_line(&run(&[UP[0], UP[1], UP[0], UP[1]]), 2, &["127.0.0.1:1", "twice"]);
    for url in [
        "127.0.0.1:1",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1:99999",
        "http://a b",
        "http://h/v1/messages",
    ] {
        assert_one_line(&run(&["--upstream", url]), 2, &["--upstream: "]);
    }
}

#[test]
fn a_secret_on_the_command_line_is_not_repeated() {
    let url = run(&["--upstream", "http://user:hunter2@127.0.0.1/?key=hunter2"]);
    assert_one_line(&url, 2, &["--upstream"]);
    assert!(!url.stderr.contains("hunter2"), "{}", url.stderr);
    let key = run(&[UP[0], UP[1], "--upstream-key-env", "sk-hunter2"]);
    assert_one_line(&key, 2, &["--upstream-key-env", "never the key"]);
    assert!(!key.stderr.contains("hunter2"), "{}", key.stderr);
}

#[test]
fn run_refuses_a_key_that_is_not_set() {
    let missing = run(&[UP[0], UP[1], "--upstream-key-env", "WEIR_TEST_NOT_SET"]);
    assert_one_line(&missing, 2, &["pools.upstream.key", "WEIR_TEST_NOT_SET"]);
}

#[test]
fn run_refuses_addresses_that_it_cannot_listen_on() {
    for listen in ["8080", "nowhere", "weir.example:8080", "unix:run/weir.sock", "127.0.0.1:70000"] {
        assert_one_line(&run(&[UP[0], UP[1], "--listen", listen]), 2, &["--listen: "]);
    }
    for admin in ["0.0.0.0:9901", "[::]:9901", "10.0.0.1:9901"] {
        assert_one_line(&run(&[UP[0], UP[1], "--admin", admin]), 2, &["--admin: ", "loopback"]);
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for [busy, free] in [["--listen", "--admin"], ["--admin", "--listen"]] {
        let outcome = run(&[UP[0], UP[1], busy, &taken, free, "127.0.0.1:0"]);
        assert_one_line(&outcome, 1, &[&format!("cannot listen on {taken}: "), "in use"]);
    }
}

#[test]
fn run_names_the_file_the_line_and_the_sum() {
    let files = Folder::new();
    let missing = files.0.join("missing.yaml").display().to_string();
    assert_one_line(&run(&["--config", &missing]), 2, &[&missing]);
    let heavy = files.write(
        "heavy.yaml",
        "pools: { a: { endpoints: [{ url: http://127.0.0.1:1 }] }, b: { endpoints: [{ url: http://127.0.0.1:2 }] } }\n\
         routes:\n  m:\n    targets:\n      - { pool: a, weight: 0.6 }\n      - { pool: b, weight: 0.5 }\n",
    );
    let heavy = heavy.display().to_string();
    assert_one_line(&run(&["--config", &heavy]), 2, &[&format!("{heavy}:5:7: routes.m.targets: "), "1.1"]);
}

#[test]
fn the_ready_line_names_ports_that_answer() {
    let weir = Weir::before(&[Upstream::new().url()]);
    assert!(!weir.data.ends_with(":0") && !weir.admin.ends_with(":0"));
    for address in [&weir.data, &weir.admin] {
        for path in ["/health", "/health/live", "/health/ready"] {
            assert_eq!(get(address, path).status, 200, "{address}{path}");
        }
    }
}

#[test]
fn several_addresses_for_clients_all_serve() {
    let upstream = Upstream::new();
    let files = Folder::new();
    let listen =
        "listen: [{ address: 127.0.0.1:0 }, { address: \"localhost:0\" }]\nadmin: { address: 127.0.0.1:0 }\n";
    let file = files.write("weir.yaml", &format!("{listen}{}", one_pool(&[upstream.url()], "")));
    let mut command = command();
    command.arg("run").arg("--config").arg(file);
    let weir = Weir::start_as_is(command, Some(files));
    let addresses: Vec<_> = weir.data.split(",").map(|url| url.trim_start_matches("http://")).collect();
    assert_eq!(addresses.len(), 2);
    assert_ne!(addresses[0], addresses[1]);
    for address in addresses {
        assert_eq!(chat(address, ASK).status, 200, "{address}");
    }
}

#[test]
fn every_flag_has_an_environment_variable() {
    let upstream = Upstream::new();
    let doors = [("WEIR_LISTEN", "127.0.0.1:0"), ("WEIR_ADMIN", "127.0.0.1:0")];

    let mut by_upstream = command();
    by_upstream.arg("run").envs(doors).env("WEIR_UPSTREAM", upstream.url());
    by_upstream.env("WEIR_UPSTREAM_KEY_ENV", "WEIR_TEST_KEY").env("WEIR_TEST_KEY", "sk-of-the-provider");
    let weir = Weir::start_as_is(by_upstream, None);
    assert_eq!(chat(&weir.data, ASK).status, 200);
    assert_eq!(upstream.got()[0].header("authorization"), Some("Bearer sk-of-the-provider"));

    let files = Folder::new();
    let mut by_file = command();
    by_file.arg("run").envs(doors);
    by_file.env("WEIR_CONFIG", files.write("weir.yaml", &one_pool(&[upstream.url()], "")));
    let weir = Weir::start_as_is(by_file, Some(files));
    assert_eq!(chat(&weir.data, ASK).status, 200);

    let mut health = command();
    health.arg("health").env("WEIR_ADMIN", format!("http://{}", weir.admin));
    assert_eq!(outcome::of(health).code, 0);

    let mut busy = command();
    busy.args(["run", UP[0], UP[1], "--listen", "127.0.0.1:0"]).env("WEIR_ADMIN", &weir.admin);
    assert_one_line(&outcome::of(busy), 1, &[&weir.admin]);
}

#[test]
fn several_upstreams_share_the_calls() {
    let upstreams = [Upstream::new(), Upstream::new(), Upstream::new()];
    let mut command = command();
    command.arg("run").env("WEIR_UPSTREAM", upstreams.each_ref().map(Upstream::url).join(","));
    let weir = Weir::start(command, None);
    for _ in 0..90 {
        let answer = chat(&weir.data, ASK);
        assert_eq!((answer.status, answer.header("x-weir-target")), (200, Some("upstream")));
    }
    let shares = upstreams.each_ref().map(|upstream| upstream.got().len());
    assert_eq!(shares.iter().sum::<usize>(), 90);
    assert!(shares.iter().all(|&share| share > 0), "{shares:?}");
}

#[test]
fn weighted_upstreams_share_the_calls_by_weight() {
    let upstreams = [Upstream::new(), Upstream::new(), Upstream::new()];
    let [a, b, c] = upstreams.each_ref().map(Upstream::url);
    let weir = Weir::before(&[format!("{a}=3"), format!("{b}=1"), format!("{c}=1.0")]);
    for _ in 0..10 {
        assert_eq!(chat(&weir.data, ASK).status, 200);
    }
    assert_eq!(upstreams.each_ref().map(|upstream| upstream.got().len()), [6, 2, 2]);
    assert_eq!(
        chat(&weir.data, ASK).header("x-weir-target").map(|label| label.starts_with("upstream-")),
        Some(true)
    );
}

#[test]
fn check_passes_good_files() {
    let files = Folder::new();
    let good = files.write("good.yaml", &one_pool(&["http://127.0.0.1:1".into()], ""));
    let good = good.display().to_string();
    let outcome = weir(&["check", &good]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert_eq!(outcome.stdout, format!("{good}: ok, pools: 1, routes: 1\n"));
}

#[test]
fn check_passes_a_secret_or_file_that_is_not_there_with_a_warning() {
    for (more, place) in [
        (", key: { env: WEIR_TEST_NOT_SET }", "pools.p.key"),
        (", key: { file: /nowhere/key }", "pools.p.key"),
        (", ca: /nowhere/ca.pem", "pools.p.ca"),
    ] {
        let files = Folder::new();
        let text = one_pool(&["https://127.0.0.1:1".into()], more);
        let file = files.write("weir.yaml", &text).display().to_string();
        let outcome = weir(&["check", &file]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let [warning, ok] = outcome.stdout.lines().collect::<Vec<_>>()[..] else {
            panic!("{}", outcome.stdout)
        };
        assert!(warning.starts_with(&format!("{file}:1:")) && warning.contains(place), "{warning}");
        assert!(warning.ends_with("(warning)") && ok.contains(": ok"), "{warning} {ok}");
    }
}

#[test]
fn check_reads_no_more_than_a_file_may_have() {
    let outcome = weir(&["check", "/dev/zero"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stdout.contains("/dev/zero:1:1: the file is larger than 4 MiB"), "{}", outcome.stdout);
}

#[test]
fn a_variable_that_is_set_to_nothing_is_as_good_as_not_set() {
    let upstream = Upstream::new();
    let mut command = command();
    command.args(["run", "--upstream", &upstream.url()]).envs([
        ("WEIR_CONFIG", ""),
        ("WEIR_LISTEN", ""),
        ("WEIR_ADMIN", ""),
        ("WEIR_UPSTREAM_KEY_ENV", ""),
    ]);
    let weir = Weir::start(command, None);
    assert_eq!(chat(&weir.data, r#"{"model":"m"}"#).status, 200);
}

/// One mistake a line from the fifth on, and two on the last: ten.
const MISTAKES: &str = "\
listen:
  - address: 127.0.0.1:8080
pools:
  a:
    endpoints: [{ url: ftp://127.0.0.1 }]
    balance: dice
routes:
  m:
    targets:
      - { pool: b, weight: 0.6 }
      - { pool: a, weight: 0.5, wieght: 1 }
admin: { address: 0.0.0.0:9901 }
limits: { body: lots }
drain: soon
log: { format: xml, headers: [authorization] }
";

#[test]
fn check_names_every_mistake_with_its_place() {
    let files = Folder::new();
    let bad = files.write("bad.yaml", MISTAKES).display().to_string();
    let good = files.write("good.yaml", &one_pool(&["http://127.0.0.1:1".into()], "")).display().to_string();
    let missing = files.0.join("missing.yaml").display().to_string();

    let outcome = weir(&["check", &bad]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (2, "1 file cannot be used\n"));
    let expected = [
        "5:24: pools.a.endpoints[0].url: ",
        "6:14: pools.a.balance: ",
        "10:7: routes.m.targets: weights sum to 1.1",
        "10:17: routes.m.targets[0].pool: no pool `b`",
        "11:33: routes.m.targets[1].wieght: ",
        "12:19: admin.address: ",
        "13:17: limits.body: ",
        "14:8: drain: ",
        "15:16: log.format: ",
        "15:31: log.headers[0]: ",
    ];
    let lines: Vec<_> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{}", outcome.stdout);
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(&format!("{bad}:{start}")), "{line}\nshould start with {start}");
    }

    let all = weir(&["check", &missing, &good, &bad]);
    assert_eq!((all.code, all.stderr.as_str()), (2, "2 files cannot be used\n"));
    assert!(all.stdout.contains(&format!("{good}: ok, pools: 1, routes: 1\n")), "{}", all.stdout);
    assert_eq!(all.stdout.lines().count(), 12, "{}", all.stdout);
    assert!(all.stdout.starts_with(&missing), "{}", all.stdout);
    assert_eq!(run(&["--config", &bad]).stderr, outcome.stdout, "`run` refuses with the same words");
}

#[test]
fn health_says_ready() {
    let weir = Weir::before(&[Upstream::new().url()]);
    for admin in [weir.admin.clone(), format!("http://{}", weir.admin), format!("http://{}/", weir.admin)] {
        let outcome = outcome::weir(&["health", "--admin", &admin]);
        assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (0, "ready\n", ""));
    }
}

#[test]
fn health_says_what_is_not_ready() {
    let nobody = dead_address();
    assert_one_line(&weir(&["health", "--admin", &nobody]), 1, &[&nobody]);
    let other = Upstream::with(|_, socket| socket.write_all(&answer("404 Not Found", &[], b"")).is_ok());
    assert_one_line(&weir(&["health", "--admin", &other.url()]), 1, &["404", "admin listener?"]);
    let silent = Upstream::with(|_, _| false);
    assert_one_line(&weir(&["health", "--admin", &silent.url()]), 1, &[&silent.address]);
    let hanging = Upstream::with(|_, _| {
        pause(Duration::from_secs(60));
        false
    });
    assert_one_line(
        &weir(&["health", "--admin", &hanging.url()]),
        1,
        &[&hanging.address, "no answer within 2s"],
    );
}

#[test]
fn health_asks_at_a_unix_socket_too() {
    let files = Folder::new();
    let path = files.0.join("admin.sock");
    let admin = format!("unix:{}", path.display());
    assert_one_line(&weir(&["health", "--admin", &admin]), 1, &[&path.display().to_string()]);
    let socket = UnixListener::bind(&path).unwrap();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = socket.accept().unwrap();
        let mut asked = Vec::new();
        let mut byte = [0];
        while !asked.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            asked.extend(byte);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        asked
    });
    let outcome = weir(&["health", "--admin", &admin]);
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (0, "ready\n", ""));
    assert!(served.join().unwrap().starts_with(b"GET /health/ready HTTP/1.1\r"));
}

#[test]
fn health_refuses_what_is_no_address() {
    for admin in [
        "ftp://127.0.0.1:9901",
        "http://127.0.0.1:9901/metrics",
        "http://",
        "9901",
        "127.0.0.1:http",
        "unix:admin.sock",
    ] {
        assert_one_line(&weir(&["health", "--admin", admin]), 2, &["--admin", "http://HOST:PORT"]);
    }
}

#[test]
fn help_and_version_are_there() {
    let version = weir(&["--version"]);
    let expected = concat!("weir ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((version.code, version.stdout.as_str(), version.stderr.as_str()), (0, expected, ""));
    let help = weir(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    let alone = weir(&[]);
    assert_eq!((alone.code, alone.stdout.as_str()), (2, ""));
    for command in ["run", "demo", "check", "health", "schema", "completions"] {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{}", help.stdout);
        assert!(alone.stderr.contains(&format!("\n  {command} ")), "{}", alone.stderr);
    }
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = weir(&["completions", shell]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{shell}");
        for word in ["run", "demo", "check", "health", "schema", "upstream-key-env"] {
            assert!(outcome.stdout.contains(word), "{shell} does not know {word}");
        }
    }
    assert_eq!(weir(&["completions", "tcsh"]).code, 2);
}

#[test]
fn bash_completes_commands_and_flags() {
    let files = Folder::new();
    let script = files.write("weir.bash", &weir(&["completions", "bash"]).stdout).display().to_string();
    let bash = |arguments: &[&str]| {
        let mut command = std::process::Command::new("bash");
        command.args(["--norc", "--noprofile"]).args(arguments);
        outcome::of(command)
    };
    assert_eq!(bash(&["-n", &script]).code, 0, "a sound script");
    // What bash offers for the last of these words.
    let offered = |words: &str| {
        let ask = format!(
            "source '{script}'; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=(); \
             _weir weir \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let outcome = bash(&["-c", &ask]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome.stdout.trim().to_owned()
    };
    assert_eq!(offered("weir ru"), "run");
    assert_eq!(offered("weir run --upstream-"), "--upstream-key-env");
    assert_eq!(offered("weir schema --format m"), "markdown");
    assert_eq!(offered("weir completions ba"), "bash");
}

#[test]
fn what_no_command_knows_is_refused() {
    for arguments in [
        &["--nope"][..],
        &["serve"],
        &["run", "--nope"],
        &["check"],
        &["health", "extra"],
        &["schema", "--format", "xml"],
        &["completions"],
    ] {
        let outcome = weir(arguments);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
    }
}

#[test]
fn an_address_that_gives_way_to_a_flag_is_named_in_the_log() {
    let weir = Weir::configured(&format!(
        "listen: [{{ address: \"127.0.0.1:0\" }}, {{ address: \"[::1]:0\" }}]\n{}",
        one_pool(&["http://127.0.0.1:1".into()], "")
    ));
    support::eventually("the warning", || weir.log().contains("listen: the file's addresses").then_some(()));
    assert!(!weir.log().contains("admin.address"), "{}", weir.log());
}
