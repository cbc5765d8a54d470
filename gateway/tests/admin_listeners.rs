//! Where operators are listened for: a Unix-domain socket in place of a port, and the metrics for a scraper.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use support::client::{Connection, get, post, request};
use support::config::one_pool;
use support::eventually;
use support::outcome;
use support::socket::dead_address;
use support::upstream::Upstream;
use support::weir::{Folder, Weir, command};

/// What an operator's socket answers.
fn ask(socket: &Path, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut answer = String::new();
    let asked = UnixStream::connect(socket).and_then(|mut stream| {
        let headers = [headers, &[("connection", "close")]].concat();
        // Whatever the name: no browser gets here.
        let bytes =
            String::from_utf8_lossy(&request(method, path, &headers, b"")).replace("localhost", "weir");
        stream.write_all(bytes.as_bytes())?;
        stream.read_to_string(&mut answer)
    });
    assert!(asked.is_ok(), "{asked:?}");
    answer
}

fn run(files: &Folder, admin: &str) -> Weir {
    let upstream = Upstream::new();
    let config =
        format!("listen: [{{ address: 127.0.0.1:0 }}]\nadmin: {admin}\n{}", one_pool(&[upstream.url()], ""));
    let mut command = command();
    command.arg("run").arg("--config").arg(files.write("weir.yaml", &config));
    Weir::start_as_is(command, None)
}

#[test]
fn operators_come_through_a_socket_in_the_file_system() {
    let files = Folder::new();
    let socket = files.0.join("admin.sock");
    let admin = format!("unix:{}", socket.display());
    let mut weir = run(&files, &format!("{{ address: \"{admin}\" }}"));
    assert_eq!(weir.admin, admin);
    for (method, path) in [
        ("GET", "/metrics"),
        ("GET", "/health/ready"),
        ("GET", "/admin/v1/routes"),
        ("POST", "/admin/v1/reload"),
    ] {
        let answer = ask(&socket, method, path, &[]);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
    }
    let refused = ask(&socket, "GET", "/metrics", &[("origin", "http://weir")]);
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    let health = outcome::weir(&["health", "--admin", &admin]);
    assert_eq!((health.code, health.stdout.as_str()), (0, "ready\n"));
    weir.signal("INT");
    assert_eq!(weir.wait(), 0);
    assert!(!socket.exists(), "nothing is left behind");
}

#[test]
fn a_scraper_gets_the_metrics_and_nothing_else() {
    let files = Folder::new();
    let address = dead_address();
    let weir = run(&files, &format!("{{ address: 127.0.0.1:0, metrics: {{ address: \"{address}\" }} }}"));
    let metrics =
        support::client::send(&address, b"GET /metrics HTTP/1.1\r\nhost: weir.monitoring:9902\r\n\r\n");
    assert_eq!(metrics.status, 200);
    assert!(metrics.text().contains("weir_build_info"), "{}", metrics.text());
    for path in ["/", "/health", "/admin/v1/config", "/admin/v1/routes"] {
        assert_eq!(get(&address, path).status, 404, "{path}");
    }
    assert_eq!(post(&address, "/admin/v1/reload", &[], b"").status, 404);
    assert_eq!(get(&weir.admin, "/metrics").status, 200, "operators have them too");
}

#[test]
fn whoever_reaches_the_metrics_cannot_take_the_sockets_of_callers() {
    let files = Folder::new();
    let address = dead_address();
    let weir = run(&files, &format!("{{ address: 127.0.0.1:0, metrics: {{ address: \"{address}\" }} }}"));
    let sockets = || std::fs::read_dir(format!("/proc/{}/fd", weir.pid())).unwrap().count();
    let before = sockets();
    // Each begins a head and never ends it.
    let mut slow: Vec<_> = (0..60).map(|_| Connection::to(&address)).collect();
    for connection in &mut slow {
        connection.send("GET /metr");
    }
    eventually("connections", || (sockets() > before).then_some(()));
    assert_eq!(get(&weir.admin, "/metrics").status, 200, "operators have a room of their own");
    assert!(sockets() <= before + 20, "{} of {before}", sockets());
    drop(slow);
    assert_eq!(get(&address, "/metrics").status, 200);
}
