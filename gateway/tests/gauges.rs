//! Where a server tells of its own queue, what others have in it holds calls back; one that does not tell is a server
//! without gauges.

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use support::client::{Connection, get, post, request};
use support::config::{ASK, one_pool};
use support::refusal::OPENAI;
use support::upstream::{Got, Upstream, answer, completion};
use support::weir::{Folder, Weir, command};
use support::{eventually, pause};

const ON: &str = ", gauges: {}";

/// A model server whose metrics page a test writes. It is busy: calls get an answer when it is told to.
struct Server {
    upstream: Upstream,
    page: Arc<Mutex<Vec<u8>>>,
    busy: Arc<AtomicBool>,
}

impl Server {
    fn new() -> Self {
        let (page, busy) = (Arc::new(Mutex::new(vllm(0))), Arc::new(AtomicBool::new(true)));
        let (shown, answers) = (page.clone(), busy.clone());
        let upstream = Upstream::with(move |request: &Got, socket: &mut TcpStream| {
            if request.line.starts_with("GET ") {
                return socket.write_all(&shown.lock().unwrap_or_else(PoisonError::into_inner)).is_ok();
            }
            while answers.load(Ordering::SeqCst) {
                pause(Duration::from_millis(5));
            }
            socket.write_all(&completion()).is_ok()
        });
        Self { upstream, page, busy }
    }

    fn shows(&self, page: Vec<u8>) {
        *self.page.lock().unwrap_or_else(PoisonError::into_inner) = page;
    }

    fn asked(&self) -> Vec<Got> {
        self.upstream.got().into_iter().filter(|got| got.line.starts_with("GET ")).collect()
    }

    /// Waits until the server has shown what it shows now to Weir.
    fn told(&self) {
        let before = self.asked().len();
        // The second one is asked for when the first has been read.
        eventually("Weir has asked twice", || (self.asked().len() >= before + 2).then_some(()));
    }

    fn calls(&self) -> usize {
        self.upstream.got().len() - self.asked().len()
    }
}

/// A page as vLLM writes it.
fn vllm(waiting: u32) -> Vec<u8> {
    let page = format!(
        "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{{engine=\"0\",model_name=\"m\"}} 8.0\n\
         # TYPE vllm:num_requests_waiting gauge\n\
         vllm:num_requests_waiting{{engine=\"0\",model_name=\"m\"}} {waiting}.0\n"
    );
    answer("200 OK", &[("content-type", "text/plain; version=0.0.4")], page.as_bytes())
}

fn configured(server: &Server, more: &str) -> String {
    one_pool(&[server.upstream.url()], more)
}

fn send(weir: &Weir) -> Connection {
    let mut connection = Connection::to(&weir.data);
    connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
    connection
}

/// A call that has gone past others' queue, and one that waits in Weir behind that queue.
struct Held {
    calls: [Connection; 2],
}

impl Held {
    fn by(server: &Server, weir: &Weir) -> Self {
        let first = send(weir);
        eventually("one goes past any queue", || (server.calls() == 1).then_some(()));
        let second = send(weir);
        eventually("a call that waits", || (weir.metric_sum("weir_queued") > 0.5).then_some(()));
        server.told();
        assert_eq!(server.calls(), 1, "the other one waits still");
        Self { calls: [first, second] }
    }

    /// The one that waited starts, and both are answered.
    fn go_on(self, server: &Server) {
        eventually("the call starts", || (server.calls() == 2).then_some(()));
        server.busy.store(false, Ordering::SeqCst);
        for mut call in self.calls {
            assert_eq!(call.answer().status, 200);
        }
    }
}

#[test]
fn others_in_the_servers_queue_hold_calls_back_until_they_are_gone() {
    let server = Server::new();
    server.shows(vllm(1_000));
    let weir = Weir::configured(&configured(&server, ON));
    server.told();
    let held = Held::by(&server, &weir);
    // Ours is among those that wait there.
    server.shows(vllm(1));
    held.go_on(&server);
    assert!(weir.metric_sum("weir_gauges_failures_total") < 0.5);
}

#[test]
fn a_server_is_asked_in_its_own_right() {
    let server = Server::new();
    let more = ", gauges: {}, key: { env: PROVIDER_KEY }";
    let _weir = Weir::configured_with(&configured(&server, more), &[("PROVIDER_KEY", "sk-1")]);
    server.told();
    let asked = server.asked().remove(0);
    assert_eq!(asked.line, "GET /metrics HTTP/1.1");
    assert_eq!(asked.header("host"), Some(&*server.upstream.address));
    assert_eq!(asked.header("authorization"), Some("Bearer sk-1"));
    assert_eq!(server.upstream.connections(), 1, "its connection is kept");
}

#[test]
fn a_page_elsewhere_gets_no_key() {
    let (server, exporter) = (Server::new(), Server::new());
    let more =
        format!(", key: {{ env: PROVIDER_KEY }}, gauges: {{ url: '{}/x/m' }}", exporter.upstream.url());
    exporter.shows(vllm(1_000));
    let weir = Weir::configured_with(&configured(&server, &more), &[("PROVIDER_KEY", "sk-1")]);
    exporter.told();
    let asked = exporter.asked().remove(0);
    assert_eq!((&*asked.line, asked.header("authorization")), ("GET /x/m HTTP/1.1", None));
    let first = send(&weir);
    eventually("one goes past any queue", || (server.calls() == 1).then_some(()));
    let second = send(&weir);
    eventually("a call that waits", || (weir.metric_sum("weir_queued") > 0.5).then_some(()));
    assert_eq!(server.asked().len(), 0);
    exporter.shows(vllm(0));
    Held { calls: [first, second] }.go_on(&server);
}

fn stops_telling(reason: &str, page: Vec<u8>) {
    let server = Server::new();
    server.shows(vllm(1_000));
    let weir = Weir::configured(&configured(&server, ON));
    server.told();
    let held = Held::by(&server, &weir);
    server.shows(page);
    held.go_on(&server);
    let address = &server.upstream.address;
    let failures = format!("weir_gauges_failures_total{{endpoint=\"{address}\",reason=\"{reason}\"}}");
    eventually(&failures, || (weir.metric(&failures) > 0.5).then_some(()));
    let warning = format!("{address} does not tell of its queue");
    eventually("the log", || weir.log().contains(&warning).then_some(()));

    server.shows(vllm(0));
    let back = format!("{address} tells of its queue again");
    eventually("the log", || weir.log().contains(&back).then_some(()));
    assert_eq!(weir.log().matches(&warning).count(), 1, "said once");
}

#[test]
fn a_server_without_the_page_is_one_without_gauges() {
    stops_telling("status", answer("404 Not Found", &[], b"vllm:num_requests_waiting 1000\n"));
}

#[test]
fn so_is_one_whose_page_cannot_be_read() {
    stops_telling("unreadable", answer("200 OK", &[], b"vllm:num_requests_waiting NaN\n"));
}

#[test]
fn and_one_whose_page_does_not_end() {
    stops_telling("unreadable", answer("200 OK", &[], &vec![b'#'; 2 << 20]));
}

#[test]
fn and_one_that_speaks_no_http() {
    stops_telling("unreachable", b"nonsense\r\n\r\n".to_vec());
}

#[test]
fn and_one_that_does_not_get_done() {
    stops_telling("timeout", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".to_vec());
}

/// A Weir whose file can be changed.
fn reloadable(config: &str) -> (Weir, Folder) {
    let files = Folder::new();
    let path = files.write("weir.yaml", config);
    let mut command = command();
    command.arg("run").arg("--config").arg(path).env("ONE_KEY", "sk-1").env("OTHER_KEY", "sk-2");
    (Weir::start(command, None), files)
}

fn reload(weir: &Weir, files: &Folder, config: &str) {
    files.write("weir.yaml", config);
    assert_eq!(post(&weir.admin, "/admin/v1/reload", &[], b"").status, 200);
}

#[test]
fn a_reload_turns_it_on_and_off() {
    let server = Server::new();
    server.shows(vllm(1_000));
    let (weir, files) = reloadable(&configured(&server, ""));
    let reload = |more| reload(&weir, &files, &configured(&server, more));
    pause(Duration::from_millis(1_500));
    assert_eq!(server.asked().len(), 0, "nobody is asked unless told to");

    reload(ON);
    assert!(get(&weir.admin, "/admin/v1/config").json()["pools"]["p"]["gauges"].is_object());
    server.told();
    let held = Held::by(&server, &weir);

    reload("");
    held.go_on(&server);
    let asked = server.asked().len();
    pause(Duration::from_millis(1_500));
    assert_eq!(server.asked().len(), asked);
}

/// A page that takes a while is read however often the configuration is.
#[test]
fn a_server_that_stays_is_asked_as_before_over_reloads() {
    let server = Server::new();
    server.shows(vllm(1_000));
    let (weir, files) = reloadable(&configured(&server, ON));
    server.told();
    // Held while it is written: the page does not get done before the reloads have.
    let page = server.page.lock().unwrap();
    let asked = server.asked().len();
    eventually("Weir asks", || (server.asked().len() > asked).then_some(()));
    for more in ["non_streaming: stream", "usage: always", "batch: { reserve: 0.3 }"] {
        reload(&weir, &files, &configured(&server, &format!("{ON}, {more}")));
    }
    drop(page);
    let held = Held::by(&server, &weir);
    // One that a machine which stood still cost is told of.
    let lost = weir.metric_sum("weir_gauges_failures_total");
    let connections = server.upstream.connections() as f64 - lost;
    assert!(connections < 2.5, "{connections} beside those lost, of the page and of the first call");
    server.shows(vllm(1));
    held.go_on(&server);
}

#[test]
fn a_reload_changes_who_is_asked_and_how() {
    let (stays, goes) = (Server::new(), Server::new());
    let urls = [stays.upstream.url(), goes.upstream.url()];
    let keyed = |urls: &[String], key: &str| one_pool(urls, &format!("{ON}, key: {{ env: {key} }}"));
    let (weir, files) = reloadable(&keyed(&urls, "ONE_KEY"));
    goes.told();
    reload(&weir, &files, &keyed(&urls[..1], "OTHER_KEY"));
    let asked =
        |key: &str| stays.asked().iter().filter(|got| got.header("authorization") == Some(key)).count();
    // One of either may have been on its way.
    eventually("the other key", || (asked("Bearer sk-2") >= 1).then_some(()));
    let (before, gone) = (asked("Bearer sk-1"), goes.asked().len());
    let now = asked("Bearer sk-2");
    eventually("the other key, again and again", || (asked("Bearer sk-2") >= now + 2).then_some(()));
    assert_eq!((asked("Bearer sk-1"), goes.asked().len()), (before, gone), "nobody is asked as before");
}
