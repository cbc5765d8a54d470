//! The command: its ready line, its exits, and the mode without an engine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

/// A running command; ends with the test.
struct Running(Child, String);

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(&[&["--listen", "127.0.0.1:0"], arguments].concat()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("modelsim ready: http://").unwrap_or_else(|| panic!("{line}"));
        Self(child, address.to_owned())
    }

    fn exchange(&self, requests: &[&str]) -> String {
        let mut stream = TcpStream::connect(&self.1).unwrap();
        for (at, request) in requests.iter().enumerate() {
            let close = if at + 1 == requests.len() { "connection: close\r\n" } else { "" };
            let (head, body) = request.split_once("\n").unwrap();
            let length = body.len();
            write!(stream, "{head}\r\nhost: sim\r\n{close}content-length: {length}\r\n\r\n{body}").unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelsim"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

#[test]
fn the_command_serves_what_its_options_say() {
    let server =
        Running::start(&["--model", "letters", "--preset", "b", "--replicas", "2", "--speed", "100"]);
    let chat = "POST /v1/chat/completions HTTP/1.1\n";
    let body = r#"{"model":"letters+tokens-5","messages":[{"role":"user","content":"hello"}]}"#;
    let answer = server.exchange(&[&format!("{chat}{body}")]);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"completion_tokens\":5"), "{answer}");
    let answer = server.exchange(&[&format!("{chat}{}", body.replace("letters", "other"))]);
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[test]
fn the_instant_mode_answers_at_once_whole_and_streamed() {
    let chat = |body: &str| format!("POST /v1/chat/completions HTTP/1.1\n{body}");
    for gap in ["0", "1"] {
        let server = Running::start(&["--instant", "--instant-events", "7", "--instant-gap-ms", gap]);
        let (whole, stream) = (chat(r#"{"model":"m"}"#), chat(r#"{"stream": true}"#));
        let answer = server.exchange(&[&whole, &stream, &whole]);
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
        assert_eq!(answer.matches("chat.completion.chunk").count(), 7 + 1);
        assert_eq!(answer.matches("data: [DONE]\n\n\r\n0\r\n\r\n").count(), 1);
        assert_eq!(answer.matches("\"object\":\"chat.completion\"").count(), 2);
    }
}

#[test]
fn a_port_in_use_is_exit_1_and_bad_usage_exit_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let in_use = output(&["--listen", &address]);
    let told = String::from_utf8_lossy(&in_use.stderr).into_owned();
    assert_eq!(in_use.status.code(), Some(1), "{told}");
    assert!(told.contains(&address) && told.lines().count() == 1, "{told}");
    for bad in [
        &["--fault", "explode"][..],
        &["--speed", "0", "--listen", "127.0.0.1:0"],
        &["--slots", "0", "--listen", "127.0.0.1:0"],
        &["--replicas", "0"],
        &["--instant", "--seed", "3"],
        &["--instant-events", "3"],
        &["--nonsense"],
    ] {
        assert_eq!(output(bad).status.code(), Some(2), "{bad:?}");
    }
}
