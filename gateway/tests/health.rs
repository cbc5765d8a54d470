//! `weir health` where there is something odd about whom it asks.

mod support;

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use support::config::one_pool;
use support::upstream::Upstream;
use support::weir::{Folder, Weir, command};
use support::{outcome, pause};

#[test]
fn it_waits_no_longer_for_who_answers_byte_by_byte() {
    let dripping = Upstream::with(|_, socket| {
        while socket.write_all(b"H").is_ok() {
            pause(Duration::from_millis(200));
        }
        false
    });
    let asked = outcome::weir(&["health", "--admin", &dripping.url()]);
    assert_eq!(asked.code, 1);
    assert!(asked.stderr.contains("no answer within 2s"), "{}", asked.stderr);
}

#[test]
fn it_waits_no_longer_for_a_socket_that_nobody_serves() {
    let files = Folder::new();
    let path = files.0.join("admin.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    // Whoever comes once the queue is full waits to be let in.
    let queue = path.clone();
    std::thread::spawn(move || {
        (0..10_000).map_while(|_| UnixStream::connect(&queue).ok()).collect::<Vec<_>>()
    });
    let asked = outcome::weir(&["health", "--admin", &format!("unix:{}", path.display())]);
    assert_eq!(asked.code, 1);
    assert!(asked.stderr.contains("no answer within 2s"), "{}", asked.stderr);
}

#[test]
fn a_variable_that_is_set_to_nothing_is_as_good_as_not_set() {
    let mut health = command();
    health.arg("health").env("WEIR_ADMIN", "");
    let asked = outcome::of(health);
    // Whether or not somebody is there: it is asked.
    assert_ne!(asked.code, 2, "{}", asked.stderr);
}

#[test]
fn a_name_is_asked_at_each_of_its_addresses() {
    let config =
        format!("admin: {{ address: localhost:0 }}\n{}", one_pool(&["http://127.0.0.1:1".into()], ""));
    let weir = Weir::configured(&config);
    let admin = weir.admin.replace("127.0.0.1", "localhost");
    let asked = outcome::weir(&["health", "--admin", &admin]);
    assert_eq!((asked.code, asked.stdout.as_str()), (0, "ready\n"), "{}", asked.stderr);
}
