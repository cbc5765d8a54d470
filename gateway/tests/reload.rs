//! A configuration that is read again: all of it comes into force, or nothing, and no call notices.

mod support;

use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::client::{Answer, Connection, chat, get, post, request};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::socket::dead_address;
use support::upstream::{FINISH, LAST_CHUNK, SSE_HEAD, Upstream, chunk, completion, delta};
use support::weir::{Folder, Weir, command};
use support::{eventually, pause};

/// A Weir whose file a test may change.
struct Changing {
    weir: Weir,
    files: Folder,
}

impl Changing {
    fn new(config: &str) -> Self {
        let files = Folder::new();
        let path = files.write("weir.yaml", config);
        let mut command = command();
        command.arg("run").arg("--config").arg(path);
        Self { weir: Weir::start(command, None), files }
    }

    fn write(&self, config: &str) {
        self.files.write("weir.yaml", config);
    }

    fn reload(&self) -> Answer {
        post(&self.weir.admin, "/admin/v1/reload", &[], b"")
    }

    fn revision(&self) -> f64 {
        self.weir.metric("weir_config_revision")
    }
}

/// One route of this name before one pool.
fn route(name: &str, upstream: &Upstream) -> String {
    one_pool(&[upstream.url()], "").replace("{ m: {", &format!("{{ {name}: {{"))
}

fn ask(model: &str) -> String {
    ASK.replace(r#""m""#, &format!("{model:?}"))
}

#[test]
fn an_operator_reloads_and_hears_how_it_went() {
    let upstream = Upstream::new();
    let changing = Changing::new(&route("before", &upstream));
    assert_eq!(chat(&changing.weir.data, ask("after")).status, 404);
    assert!((changing.revision() - 1.0).abs() < f64::EPSILON);

    changing.write(&route("after", &upstream));
    let answer = changing.reload();
    assert_eq!((answer.status, answer.json()["revision"].as_i64()), (200, Some(2)));
    assert_eq!(chat(&changing.weir.data, ask("after")).status, 200);
    assert_eq!(chat(&changing.weir.data, ask("before")).status, 404);
    assert!(get(&changing.weir.admin, "/admin/v1/config").text().contains("after"));
    assert_eq!(upstream.connections(), 1, "the connection to a pool that stays is kept");
    eventually("the log", || {
        changing.weir.log().contains("configuration revision 2 is in force").then_some(())
    });
}

#[test]
fn a_bad_file_leaves_the_old_configuration_and_says_why() {
    let upstream = Upstream::new();
    let changing = Changing::new(&route("m", &upstream));
    changing.write("pools: {}\nroutse: {}\n");
    let answer = changing.reload();
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (422, Some("invalid_config")));
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("weir.yaml:2:1: routse: unknown key `routse`"), "{message}");
    assert!(changing.weir.metric("weir_config_last_reload_success") < 0.5);
    assert!((changing.revision() - 1.0).abs() < f64::EPSILON);
    assert_eq!(chat(&changing.weir.data, ASK).status, 200);
    eventually("the log", || changing.weir.log().contains("unknown key `routse`").then_some(()));

    changing.write(&route("m", &upstream));
    assert_eq!(changing.reload().status, 200);
    assert!(changing.weir.metric("weir_config_last_reload_success") > 0.5);
}

#[test]
fn a_secret_that_is_gone_is_a_reason_too() {
    let upstream = Upstream::new();
    let changing = Changing::new(&one_pool(&[upstream.url()], ""));
    changing.write(&one_pool(&[upstream.url()], ", key: { file: /nonexistent/key }"));
    let answer = changing.reload();
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("/nonexistent/key"), "{}", answer.text());
    assert_eq!(chat(&changing.weir.data, ASK).status, 200);
}

#[test]
fn a_secret_that_has_changed_is_read_again() {
    let upstream = Upstream::new();
    let secrets = Folder::new();
    let key = secrets.write("key", "first");
    let changing =
        Changing::new(&one_pool(&[upstream.url()], &format!(", key: {{ file: {} }}", key.display())));
    assert_eq!(chat(&changing.weir.data, ASK).status, 200);
    secrets.write("key", "second");
    assert_eq!(changing.reload().status, 200);
    assert_eq!(chat(&changing.weir.data, ASK).status, 200);
    let sent: Vec<_> =
        upstream.got().iter().map(|got| got.header("authorization").unwrap_or_default().to_owned()).collect();
    assert_eq!(sent, ["Bearer first", "Bearer second"]);
}

#[test]
fn sighup_reloads_and_open_streams_keep_what_they_started_with() {
    let finish = Arc::new(AtomicBool::new(false));
    let told = finish.clone();
    let upstream = Upstream::with(move |got, socket| {
        if !got.body.ends_with(br#""stream":true}"#) {
            return socket.write_all(&completion()).is_ok();
        }
        let mut alive = socket.write_all(SSE_HEAD).is_ok();
        while alive && !told.load(Ordering::SeqCst) {
            alive = socket.write_all(&chunk(&delta("word "))).is_ok();
            pause(Duration::from_millis(10));
        }
        alive && socket.write_all(&chunk(FINISH)).is_ok() && socket.write_all(LAST_CHUNK).is_ok()
    });
    let changing = Changing::new(&one_pool(&[upstream.url()], ""));
    let mut stream = Connection::to(&changing.weir.data);
    stream.send(request("POST", "/v1/chat/completions", &[], ASK_STREAM.as_bytes()));
    let head = stream.head();
    assert!(stream.chunk().is_some());

    let other = Upstream::new();
    let renamed = one_pool(&[other.url()], "").replace("{ m: {", "{ n: {");
    changing.write(&renamed.replace("{ p: {", "{ q: {").replace("pool: p", "pool: q"));
    changing.weir.signal("HUP");
    eventually("the other configuration", || {
        (chat(&changing.weir.data, ask("n")).status == 200).then_some(())
    });
    assert!(stream.chunk().is_some(), "the stream goes on");
    finish.store(true, Ordering::SeqCst);
    let mut rest = Vec::new();
    assert!(stream.chunks(&mut rest) && rest.ends_with(b"data: [DONE]\n\n"));
    let line = changing.weir.call_line(head.header("x-request-id").unwrap());
    assert_eq!(
        (&line["end"], &line["route"], &line["target"]),
        (&"complete".into(), &"m".into(), &"p".into())
    );
    // The connection outlives the configuration under which it was made.
    stream.send(request("POST", "/v1/chat/completions", &[], ask("n").as_bytes()));
    assert_eq!(stream.answer().status, 200);
}

#[test]
fn a_file_that_changes_is_read_again_by_itself() {
    let upstream = Upstream::new();
    let changing = Changing::new(&route("before", &upstream));
    changing.write(&route("after", &upstream));
    eventually("the new route", || (chat(&changing.weir.data, ask("after")).status == 200).then_some(()));
    // What is in force is logged a moment later.
    eventually("the log", || changing.weir.log().contains("(the file has changed)").then_some(()));
}

#[test]
fn a_file_that_is_put_right_again_is_no_fault_any_more() {
    let upstream = Upstream::new();
    let changing = Changing::new(&route("m", &upstream));
    let succeeded = || changing.weir.metric("weir_config_last_reload_success") > 0.5;
    changing.write("pools: {}\n");
    eventually("a refusal", || (!succeeded()).then_some(()));
    changing.write(&route("m", &upstream));
    eventually("a file that is as it was", || succeeded().then_some(()));
    assert!((changing.revision() - 1.0).abs() < f64::EPSILON, "nothing has changed");
}

/// Kubernetes mounts a `ConfigMap` as links through a link `..data`, and points that elsewhere.
#[test]
fn a_config_map_that_is_swapped_is_read_again() {
    let upstream = Upstream::new();
    let mount = Folder::new();
    for (version, name) in [("..1", "before"), ("..2", "after")] {
        std::fs::create_dir(mount.0.join(version)).unwrap();
        mount.write(&format!("{version}/weir.yaml"), &route(name, &upstream));
    }
    symlink("..1", mount.0.join("..data")).unwrap();
    symlink("..data/weir.yaml", mount.0.join("weir.yaml")).unwrap();
    let mut command = command();
    command.arg("run").arg("--config").arg(mount.0.join("weir.yaml"));
    let weir = Weir::start(command, None);
    assert_eq!(chat(&weir.data, ask("before")).status, 200);

    symlink("..2", mount.0.join("..data_tmp")).unwrap();
    std::fs::rename(mount.0.join("..data_tmp"), mount.0.join("..data")).unwrap();
    eventually("the new route", || (chat(&weir.data, ask("after")).status == 200).then_some(()));
}

#[test]
fn listeners_come_and_go_and_those_that_stay_stay_open() {
    let upstream = Upstream::new();
    let [stays, goes, comes] = [(); 3].map(|()| dead_address());
    let with = |addresses: [&str; 2]| {
        let [one, two] = addresses.map(|address| format!("{{ address: \"{address}\" }}"));
        format!(
            "listen: [{one}, {two}]\nadmin: {{ address: 127.0.0.1:0 }}\n{}",
            one_pool(&[upstream.url()], "")
        )
    };
    let files = Folder::new();
    let path = files.write("weir.yaml", &with([&stays, &goes]));
    let mut command = command();
    command.arg("run").arg("--config").arg(path);
    let weir = Weir::start_as_is(command, None);
    let mut kept = Connection::to(&stays);
    let mut idle = Connection::to(&goes);
    for connection in [&mut kept, &mut idle] {
        connection.send(request("POST", "/v1/chat/completions", &[], ASK.as_bytes()));
        assert_eq!(connection.answer().status, 200);
    }

    files.write("weir.yaml", &with([&stays, &comes]));
    assert_eq!(post(&weir.admin, "/admin/v1/reload", &[], b"").status, 200);
    assert_eq!(chat(&comes, ASK).status, 200);
    assert!(idle.is_closed());
    eventually("a closed door", || std::net::TcpStream::connect(&goes).is_err().then_some(()));
    kept.send(request("POST", "/v1/chat/completions", &[], ASK.as_bytes()));
    assert_eq!(kept.answer().status, 200);

    // An address that is taken: nothing of the file comes into force.
    let taken = std::net::TcpListener::bind(&goes).unwrap();
    files.write("weir.yaml", &with([&stays, &goes]).replace("{ m: {", "{ n: {"));
    let answer = post(&weir.admin, "/admin/v1/reload", &[], b"");
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains(&format!("cannot listen on {goes}")), "{}", answer.text());
    drop(taken);

    // One that Weir would have to leave first.
    let wider = stays.replace("127.0.0.1", "0.0.0.0");
    files.write("weir.yaml", &with([&wider, &comes]));
    let text = post(&weir.admin, "/admin/v1/reload", &[], b"").text();
    assert!(
        text.contains(&format!("Weir itself still listens on {stays}, so this needs a restart")),
        "{text}"
    );
    for address in [&stays, &comes] {
        assert_eq!(chat(address, ASK).status, 200);
    }
}

#[test]
fn a_smaller_room_is_smaller_once_the_callers_beyond_it_have_left() {
    let upstream = Upstream::new();
    let with = |connections| {
        format!("limits: {{ connections: {connections} }}\n{}", one_pool(&[upstream.url()], ""))
    };
    let changing = Changing::new(&with(3));
    let connect = || {
        let mut connection = Connection::to(&changing.weir.data);
        connection.send(request("POST", "/v1/chat/completions", &[], ASK.as_bytes()));
        connection
    };
    let mut connections = [(); 3].map(|()| connect()).map(|mut connection| {
        assert_eq!(connection.answer().status, 200);
        Some(connection)
    });
    changing.write(&with(1));
    assert_eq!(changing.reload().status, 200);
    connections[0] = None;
    connections[1] = None;
    let mut waits = connect();
    eventually("a caller that waits", || {
        (changing.weir.metric("weir_limit_hits_total{limit=\"connections\"}") > 0.5).then_some(())
    });
    assert_eq!(upstream.got().len(), 3);
    connections[2] = None;
    assert_eq!(waits.answer().status, 200);
}

#[test]
fn who_asks_for_a_reload_while_it_drains_hears_that_it_does_not() {
    let upstream = Upstream::new();
    let changing = Changing::new(&one_pool(&[upstream.url()], ""));
    changing.weir.signal("TERM");
    eventually("draining", || (get(&changing.weir.admin, "/health/ready").status == 503).then_some(()));
    let answer = changing.reload();
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (503, Some("draining")));
    changing.weir.signal("HUP");
    eventually("the log", || changing.weir.log().contains("(SIGHUP): Weir is about to stop").then_some(()));
}

#[test]
fn what_needs_a_restart_says_so() {
    let upstream = Upstream::new();
    let files = Folder::new();
    let with = |admin: &str| {
        format!(
            "listen: [{{ address: 127.0.0.1:0 }}]\nadmin: {{ address: \"{admin}\" }}\n{}",
            route("m", &upstream)
        )
    };
    let path = files.write("weir.yaml", &with("127.0.0.1:0"));
    let mut command = command();
    command.arg("run").arg("--config").arg(path);
    let weir = Weir::start_as_is(command, None);
    files.write("weir.yaml", &with(&dead_address()));
    let answer = post(&weir.admin, "/admin/v1/reload", &[], b"");
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (409, Some("needs_restart")));
    assert!(answer.text().contains("admin.address: a change from 127.0.0.1:0 to"), "{}", answer.text());
}

#[test]
fn without_a_file_there_is_nothing_to_reload() {
    let upstream = Upstream::new();
    let weir = Weir::before(&[upstream.url()]);
    let answer = post(&weir.admin, "/admin/v1/reload", &[], b"");
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (409, Some("no_file")));
    weir.signal("HUP");
    eventually("the log", || weir.log().contains("(SIGHUP): there is no configuration file").then_some(()));
    assert_eq!(chat(&weir.data, ASK).status, 200);
}
