//! Where a server tells of its own queue, what others have in it holds calls back; one that does not tell is a server
//! without gauges.

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use support::client::{chat, get, post};
use support::config::{ASK, one_pool};
use support::upstream::{Got, Upstream, answer, completion};
use support::weir::{Folder, Weir, command};
use support::{eventually, pause};

const ON: &str = ", gauges: {}";

/// A model server whose metrics page a test writes.
struct Server {
    upstream: Upstream,
    page: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    fn new() -> Self {
        let page = Arc::new(Mutex::new(vllm(0)));
        let shown = page.clone();
        let upstream = Upstream::with(move |request: &Got, socket: &mut TcpStream| {
            let page = request.line.starts_with("GET ");
            let bytes = if page { shown.lock().unwrap().clone() } else { completion() };
            socket.write_all(&bytes).is_ok()
        });
        Self { upstream, page }
    }

    fn shows(&self, page: Vec<u8>) {
        *self.page.lock().unwrap() = page;
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

/// Nothing waits longer than a moment, so that what is held back hears of it.
fn configured(server: &Server, more: &str) -> String {
    one_pool(&[server.upstream.url()], more).replace("targets:", "queue: { wait: 300ms }, targets:")
}

/// A Weir that has one call let past others' queue behind it, so that further ones wait.
fn held(server: &Server, config: &str) -> Weir {
    server.shows(vllm(1_000));
    let weir = Weir::configured(config);
    server.told();
    assert_eq!(chat(&weir.data, ASK).status, 200, "one goes past any queue");
    weir
}

#[test]
fn others_in_the_servers_queue_hold_calls_back_until_they_are_gone() {
    let server = Server::new();
    let weir = held(&server, &configured(&server, ON));
    let refused = eventually("a call that is held back", || {
        let answer = chat(&weir.data, ASK);
        (answer.status == 429).then_some(answer)
    });
    assert_eq!(refused.json()["error"]["type"], "overloaded_error");
    let calls = server.calls();
    assert_eq!(chat(&weir.data, ASK).status, 429);
    assert_eq!(server.calls(), calls, "nothing of it came to the server");

    server.shows(vllm(0));
    server.told();
    (0..5).for_each(|_| assert_eq!(chat(&weir.data, ASK).status, 200));
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
    assert_eq!(server.asked().len(), 0);
    let asked = exporter.asked().remove(0);
    assert_eq!((&*asked.line, asked.header("authorization")), ("GET /x/m HTTP/1.1", None));
    eventually("a call that is held back", || (chat(&weir.data, ASK).status == 429).then_some(()));
}

#[test]
fn a_server_that_stops_telling_is_one_without_gauges() {
    let pages = [
        ("status", answer("404 Not Found", &[], b"vllm:num_requests_waiting 1000\n")),
        ("unreadable", answer("200 OK", &[], b"vllm:num_requests_waiting NaN\n")),
        ("unreadable", answer("200 OK", &[], &vec![b'#'; 2 << 20])),
        ("unreachable", b"nonsense\r\n\r\n".to_vec()),
        ("timeout", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".to_vec()),
    ];
    for (reason, page) in pages {
        let server = Server::new();
        let weir = held(&server, &configured(&server, ON));
        server.shows(page);
        eventually("calls again", || (chat(&weir.data, ASK).status == 200).then_some(()));
        (0..5).for_each(|_| assert_eq!(chat(&weir.data, ASK).status, 200, "{reason}"));
        let failures = format!(
            "weir_gauges_failures_total{{endpoint=\"{}\",reason=\"{reason}\"}}",
            server.upstream.address
        );
        assert!(weir.metric(&failures) > 0.5, "{failures}");
        let warning = format!("{} does not tell of its queue", server.upstream.address);
        eventually("the log", || weir.log().contains(&warning).then_some(()));

        server.shows(vllm(0));
        let back = format!("{} tells of its queue again", server.upstream.address);
        eventually("the log", || weir.log().contains(&back).then_some(()));
        assert_eq!(weir.log().matches(&warning).count(), 1, "said once");
    }
}

#[test]
fn a_reload_turns_it_on_and_off() {
    let server = Server::new();
    server.shows(vllm(1_000));
    let files = Folder::new();
    let path = files.write("weir.yaml", &configured(&server, ""));
    let mut command = command();
    command.arg("run").arg("--config").arg(path);
    let weir = Weir::start(command, None);
    let reload = |more| {
        files.write("weir.yaml", &configured(&server, more));
        assert_eq!(post(&weir.admin, "/admin/v1/reload", &[], b"").status, 200);
    };
    (0..5).for_each(|_| assert_eq!(chat(&weir.data, ASK).status, 200));
    assert_eq!(server.asked().len(), 0, "nobody is asked unless told to");

    reload(ON);
    assert!(get(&weir.admin, "/admin/v1/config").text().contains("\"gauges\":{}"));
    server.told();
    eventually("a call that is held back", || (chat(&weir.data, ASK).status == 429).then_some(()));

    reload("");
    eventually("calls again", || (chat(&weir.data, ASK).status == 200).then_some(()));
    let asked = server.asked().len();
    pause(std::time::Duration::from_millis(2_500));
    assert_eq!(server.asked().len(), asked);
}
