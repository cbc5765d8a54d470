//! Unix-domain sockets: callers on the same machine without a port.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use support::client::request;
use support::config::{ASK, one_pool};
use support::refusal::OPENAI;
use support::upstream::Upstream;
use support::weir::{Folder, Weir, command};
use support::{eventually, outcome};

/// The answer to a call whose connection closes after it.
fn call(socket: &Path, headers: &[(&str, &str)]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    let headers = [headers, &[("connection", "close")]].concat();
    stream.write_all(&request("POST", OPENAI, &headers, ASK.as_bytes())).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn start(upstream: &Upstream, files: &Folder, socket: &Path) -> Weir {
    let config = format!(
        "listen: [{{ address: \"127.0.0.1:0\" }}, {{ address: \"unix:{}\" }}]\nadmin: {{ address: \"127.0.0.1:0\" }}\n{}",
        socket.display(),
        one_pool(&[upstream.url()], "")
    );
    let mut command = command();
    command.arg("run").arg("--config").arg(files.write("weir.yaml", &config));
    Weir::start_as_is(command, None)
}

#[test]
fn calls_come_through_a_socket_in_the_file_system() {
    let (upstream, files) = (Upstream::new(), Folder::new());
    let socket = files.0.join("weir.sock");
    let mut weir = start(&upstream, &files, &socket);
    assert!(weir.data.ends_with(&format!(",unix:{}", socket.display())), "{}", weir.data);
    let answer = call(&socket, &[("x-forwarded-for", "10.0.0.1")]);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let got = upstream.got().remove(0);
    assert_eq!(
        (got.header("x-forwarded-for"), got.header("x-forwarded-host")),
        (Some("unix:"), Some("localhost"))
    );
    weir.signal("INT");
    assert_eq!(weir.wait(), 0);
    assert!(!socket.exists(), "nothing is left behind");
}

#[test]
fn http2_is_spoken_there_too() {
    let (upstream, files) = (Upstream::new(), Folder::new());
    let socket = files.0.join("weir.sock");
    let _weir = start(&upstream, &files, &socket);
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[3], 4, "settings");
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let (upstream, files) = (Upstream::new(), Folder::new());
    let socket = files.0.join("weir.sock");
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let weir = start(&upstream, &files, &socket);
    assert!(call(&socket, &[]).starts_with("HTTP/1.1 200"));

    let config = files.0.join("weir.yaml");
    let second = outcome::weir(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(second.code, 1, "{}", second.stderr);
    assert!(second.stderr.contains("cannot listen on unix:"), "{}", second.stderr);
    assert!(call(&socket, &[]).starts_with("HTTP/1.1 200"), "the first still serves");
    drop(weir);

    // A file that is no socket is somebody's.
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "mine").unwrap();
    assert_eq!(outcome::weir(&["run", "--config", config.to_str().unwrap()]).code, 1);
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "mine");
}

#[test]
fn a_file_that_another_process_has_put_there_stays() {
    let (upstream, files) = (Upstream::new(), Folder::new());
    let socket = files.0.join("weir.sock");
    let mut weir = start(&upstream, &files, &socket);
    std::fs::remove_file(&socket).unwrap();
    let theirs = UnixListener::bind(&socket).unwrap();
    weir.signal("INT");
    eventually("the end", || (weir.wait() == 0).then_some(()));
    assert!(socket.exists());
    drop(theirs);
}
