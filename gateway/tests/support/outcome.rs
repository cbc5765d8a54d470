//! Commands that end by themselves.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use super::{eventually, weir};

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `weir` with these arguments to its end.
pub fn weir(arguments: &[&str]) -> Outcome {
    let mut command = weir::command();
    command.args(arguments);
    of(command)
}

/// Runs a command to its end.
pub fn of(mut command: Command) -> Outcome {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    let (stdout, stderr) = (read(child.0.stdout.take()), read(child.0.stderr.take()));
    let status = eventually("the end of the command", || child.0.try_wait().unwrap());
    Outcome {
        code: status.code().unwrap_or(-1),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

/// Reads to the end on a thread of its own: a full pipe would stop the command.
fn read(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.unwrap().read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
