//! The `weir` binary, run as users run it.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::eventually;

/// A running Weir; killed when dropped.
pub struct Weir {
    child: Child,
    /// `host:port` for clients.
    pub data: String,
    /// `host:port` for operators.
    pub admin: String,
    log: Arc<Mutex<String>>,
    /// Kept until Weir ends.
    _files: Option<Folder>,
}

/// A folder that goes with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!(
            "weir-test-{}-{:x}",
            std::process::id(),
            rand::random::<u64>()
        ));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

/// A `weir` command with an environment of its own.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WEIR_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

impl Weir {
    /// `weir run --upstream URL…` on free ports.
    pub fn before(upstreams: &[String]) -> Self {
        let mut command = command();
        command.arg("run");
        for upstream in upstreams {
            command.args(["--upstream", upstream]);
        }
        Self::start(command, None)
    }

    /// `weir run --config` with this text, on free ports.
    pub fn configured(config: &str) -> Self {
        Self::configured_with(config, &[])
    }

    /// The same with environment variables.
    pub fn configured_with(config: &str, environment: &[(&str, &str)]) -> Self {
        let files = Folder::new();
        let path = files.write("weir.yaml", config);
        let mut command = command();
        command.arg("run").arg("--config").arg(path).envs(environment.iter().copied());
        Self::start(command, Some(files))
    }

    /// Starts `command` on free ports and waits for its ready line.
    pub fn start(mut command: Command, files: Option<Folder>) -> Self {
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).stdout(Stdio::null());
        Self::start_as_is(command, files)
    }

    /// Starts `command`, which says itself where to listen, and waits for its ready line.
    pub fn start_as_is(mut command: Command, files: Option<Folder>) -> Self {
        command.stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut ready = String::new();
        stderr.read_line(&mut ready).unwrap();
        let words: Vec<&str> = ready.split_whitespace().collect();
        let ["weir", "ready:", "data", data, "admin", admin] = words[..] else {
            stderr.read_to_string(&mut ready).unwrap();
            panic!("not ready: {ready}");
        };
        let plain = |url: &str| url.trim_start_matches("http://").trim_start_matches("https://").to_owned();
        let (data, admin) = (plain(data), plain(admin));
        let log = Arc::new(Mutex::new(String::new()));
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = lines.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, data, admin, log, _files: files }
    }

    /// All log lines so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The log line of a call, once it is written.
    pub fn call_line(&self, request_id: &str) -> serde_json::Value {
        eventually("the call's log line", || {
            let log = self.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            lines.into_iter().find(|line| line["request_id"] == request_id)
        })
    }

    /// A metric's value by its name and labels as they stand in the exposition, 0 if it is not there.
    pub fn metric(&self, name_and_labels: &str) -> f64 {
        let text = super::client::get(&self.admin, "/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix(name_and_labels)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }

    /// Attempts that have not ended, as the pools' endpoints count them; the metric must agree.
    pub fn inflight(&self) -> i64 {
        let pools = super::client::get(&self.admin, "/admin/v1/pools").json();
        let endpoints =
            pools["pools"].as_array().unwrap().iter().flat_map(|pool| pool["endpoints"].as_array().unwrap());
        let counted: i64 = endpoints.map(|endpoint| endpoint["inflight"].as_i64().unwrap()).sum();
        let metrics = super::client::get(&self.admin, "/metrics").text();
        let gauges = metrics.lines().filter(|line| line.starts_with("weir_inflight{"));
        let gauged: i64 = gauges.map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap()).sum();
        // Counted a moment apart: the larger one is what a test may not yet go on with.
        counted.max(gauged)
    }

    /// The sum of a metric over all its labels.
    pub fn metric_sum(&self, name: &str) -> f64 {
        let text = super::client::get(&self.admin, "/metrics").text();
        let values =
            text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once("} "));
        values.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets Weir have no more open files than this.
    pub fn limit_files(&self, most: &str) {
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &self.pid().to_string(), &format!("--nofile={most}:")]);
        assert!(prlimit.status().unwrap().success());
    }

    /// Resident memory in KiB.
    pub fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end; its exit code.
    pub fn wait(&mut self) -> i32 {
        let status = eventually("the end of the process", || self.child.try_wait().unwrap());
        status.code().unwrap_or(-1)
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}
