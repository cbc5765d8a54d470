//! HTTP/2 with prior knowledge: the same service as in HTTP/1.1, and no way to flood it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should fail")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use support::client::chat;
use support::config::{ASK, ASK_STREAM, one_pool};
use support::events::{finish, is_error_event, token};
use support::eventually;
use support::http2::{
    CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, Raw,
    SETTINGS, WINDOW_UPDATE, fields, frame, post_head,
};
use support::refusal::{ANTHROPIC, DIALECTS, OPENAI};
use support::upstream::{LAST_CHUNK, SSE_HEAD, Upstream, chunk};
use support::weir::Weir;

/// `SETTINGS_INITIAL_WINDOW_SIZE`.
const INITIAL_WINDOW: u16 = 4;
const FLOODED: &str = "weir_limit_hits_total{limit=\"flood\"}";

fn hits(weir: &Weir, limit: &str) -> u64 {
    let value = weir.metric(&format!("weir_limit_hits_total{{limit=\"{limit}\"}}"));
    format!("{value}").parse().unwrap()
}

/// An upstream that sends `events` events and ends its stream well.
fn streaming(events: usize) -> Upstream {
    Upstream::with(move |got, socket| {
        let path = got.line.split(' ').nth(1).unwrap().to_owned();
        let mut write = |bytes: &[u8]| socket.write_all(bytes).is_ok();
        write(SSE_HEAD)
            && (0..events).all(|_| write(&chunk(&token(&path, "word "))))
            && write(&chunk(finish(&path)))
            && write(LAST_CHUNK)
    })
}

fn wait_for_end(socket: &mut TcpStream) {
    while socket.read(&mut [0]).is_ok_and(|length| length > 0) {}
}

#[test]
fn a_body_that_its_caller_broke_off_goes_nowhere_whatever_the_reset_is_called() {
    let upstream = Upstream::new();
    let pool = one_pool(&[upstream.url()], "");
    let weir = Weir::configured(&format!("{pool}\npassthrough: [{{ prefix: /chain, pool: p }}]\n"));
    assert_eq!(chat(&weir.data, ASK).status, 200);
    for (stream, reason) in [(1, 0_u32), (3, 8)] {
        let id = format!("broken-{stream}");
        let mut head = post_head("/chain/invoke");
        head.extend(fields(&[("x-request-id", &id)]));
        let mut raw = Raw::to(&weir.data, &[]);
        let frames = [
            frame(HEADERS, END_HEADERS, 1, &head),
            frame(DATA, 0, 1, b"half"),
            frame(RST_STREAM, 0, 1, &reason.to_be_bytes()),
        ];
        assert!(raw.send(&frames.concat()));
        assert_eq!(weir.call_line(&id)["end"], "client_gone");
    }
    assert_eq!(upstream.got().len(), 1);
}

#[test]
fn a_call_goes_up_as_one_of_http1_would() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut client = Client::to(&weir.data);
    for path in DIALECTS {
        let headers = [
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("te", "trailers"),
            ("x-request-id", "two"),
            ("x-more", "kept"),
        ];
        let answer = client.send("POST", path, &headers, ASK);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-request-id"), Some("two"));
        assert!(answer.header("server-timing").is_some() && answer.whole);
        for name in ["connection", "transfer-encoding", "keep-alive"] {
            assert_eq!(answer.header(name), None, "{name}");
        }
        let got = upstream.got().pop().unwrap();
        assert_eq!(got.line, format!("POST {path} HTTP/1.1"));
        assert_eq!(got.body, ASK.as_bytes());
        let count = |name: &str| got.headers.iter().filter(|(found, _)| found == name).count();
        let expected = [
            ("host", upstream.address.as_str()),
            ("x-forwarded-host", "weir.test"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-for", "127.0.0.1"),
            ("cookie", "a=1; b=2"),
            ("x-more", "kept"),
            ("content-length", "27"),
        ];
        for (name, value) in expected {
            assert_eq!((got.header(name), count(name)), (Some(value), 1), "{name}");
        }
        assert_eq!((count("te"), count("transfer-encoding")), (0, 0));
    }
    let line = weir.call_line("two");
    assert_eq!(
        (&line["end"], &line["status"], &line["bytes_in"]),
        (&"complete".into(), &200.into(), &27.into())
    );
}

#[test]
fn probes_lists_and_refusals_are_the_same() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&format!("limits: {{ body: 2KiB }}\n{}", one_pool(&[upstream.url()], "")));
    let mut client = Client::to(&weir.data);
    assert_eq!(client.send("GET", "/health/ready", &[], "").body, "ok\n");
    assert_eq!(client.send("GET", "/v1/models", &[], "").json()["data"][0]["id"], "m");
    let large = format!("{ASK:<2049}");
    let cases = [
        ("POST", OPENAI, "{", 400),
        ("POST", OPENAI, r#"{"model":"x"}"#, 404),
        ("POST", OPENAI, large.as_str(), 413),
        ("POST", "/nothing", ASK, 404),
        ("GET", OPENAI, "", 405),
        ("TRACE", OPENAI, "", 405),
    ];
    for (method, path, body, status) in cases {
        let answer = client.send(method, path, &[], body);
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.json()["error"]["code"].is_string(), "{method} {path}");
    }
    let answer = client.send("POST", ANTHROPIC, &[], "{");
    assert_eq!((answer.status, &answer.json()["type"]), (400, &"error".into()));
    assert_eq!(client.send("POST", OPENAI, &[("host", "other.test")], ASK).status, 400);
    assert_eq!(client.send("POST", OPENAI, &[("host", "weir.test")], ASK).status, 200);
    assert_eq!(upstream.got().len(), 1);
}

#[test]
fn a_head_that_is_too_large_is_refused_in_the_callers_dialect() {
    let upstream = Upstream::new();
    let config = format!("limits: {{ head: 8KiB, uri: 1KiB }}\n{}", one_pool(&[upstream.url()], ""));
    let weir = Weir::configured(&config);
    let mut client = Client::to(&weir.data);
    let answer = client.send("POST", &format!("{OPENAI}?{}", "x".repeat(1024)), &[], ASK);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (414, &"uri_too_long".into()));
    let answer = client.send("POST", ANTHROPIC, &[("x-long", &"x".repeat(8 * 1024))], ASK);
    assert_eq!((answer.status, &answer.json()["type"]), (431, &"error".into()));
    let names: Vec<String> = (0..101).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(client.send("POST", OPENAI, &many, ASK).status, 431);
    assert_eq!(client.send("POST", OPENAI, &[], ASK).status, 200, "the connection goes on");
    assert_eq!((hits(&weir, "uri"), hits(&weir, "head")), (1, 2));
}

#[test]
fn a_long_stream_that_is_read_is_never_taken_for_a_flood() {
    const EVENTS: usize = 30_000;
    let upstream = streaming(EVENTS);
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut client = Client::to(&weir.data);
    for path in DIALECTS {
        let answer = client.send("POST", path, &[], ASK_STREAM);
        assert!(answer.status == 200 && answer.whole && answer.body.ends_with(finish(path)));
        assert_eq!(answer.body.len(), EVENTS * token(path, "word ").len() + finish(path).len());
    }
}

/// As clumsily as a caller can: windows are widened after each frame, and a ping asks if all is well.
#[test]
fn a_caller_that_widens_its_windows_at_each_frame_is_no_flood() {
    let upstream = streaming(5_000);
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut raw = Raw::to(&weir.data, &[]);
    raw.send(&frame(HEADERS, END_HEADERS, 1, &post_head(OPENAI)));
    raw.send(&frame(DATA, END_STREAM, 1, ASK_STREAM.as_bytes()));
    loop {
        let (kind, flags, stream, payload) = raw.next().expect("the connection stands");
        assert_ne!(kind, GOAWAY);
        if kind == DATA && flags & END_STREAM != 0 {
            break;
        }
        if kind == DATA {
            let more = u32::try_from(payload.len()).unwrap().to_be_bytes();
            let mut bytes = frame(WINDOW_UPDATE, 0, 0, &more);
            bytes.extend(frame(WINDOW_UPDATE, 0, stream, &more));
            bytes.extend(frame(PING, 0, 0, &[0; 8]));
            assert!(raw.send(&bytes));
        }
    }
    assert_eq!(hits(&weir, "flood"), 0);
}

#[test]
fn a_cut_stream_says_so_and_its_connection_goes_on() {
    let upstream = Upstream::with(|got, socket| {
        let path = got.line.split(' ').nth(1).unwrap();
        socket.write_all(&[SSE_HEAD, &chunk(&token(path, "Dear"))].concat()).unwrap_or_default();
        false
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut client = Client::to(&weir.data);
    for path in DIALECTS {
        let answer = client.send("POST", path, &[("x-request-id", "cut")], ASK_STREAM);
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        let events: Vec<_> = text.split_inclusive("\n\n").collect();
        assert!(answer.status == 200 && is_error_event(path, events[1]) && events.len() == 2, "{text}");
    }
    assert_eq!(weir.call_line("cut")["end"], "upstream_cut");
}

#[test]
fn who_resets_a_call_stops_the_work_for_it_and_for_nothing_else() {
    let upstream = Upstream::with(|_, socket| {
        socket.write_all(&[SSE_HEAD, &chunk(&token(OPENAI, "Dear"))].concat()).unwrap_or_default();
        wait_for_end(socket);
        false
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut raw = Raw::to(&weir.data, &[]);
    for (stream, id) in [(1, "first"), (3, "second")] {
        let head = [post_head(OPENAI), fields(&[("x-request-id", id)])].concat();
        raw.send(&frame(HEADERS, END_HEADERS, stream, &head));
        raw.send(&frame(DATA, END_STREAM, stream, ASK_STREAM.as_bytes()));
        assert_eq!(raw.next_of(DATA).unwrap().2, stream);
    }
    raw.send(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()));
    assert_eq!(weir.call_line("first")["end"], "client_gone");
    eventually("one connection fewer", || (upstream.gone() == 1).then_some(()));
    assert_eq!(weir.inflight(), 1);
    drop(raw);
    assert_eq!(weir.call_line("second")["end"], "client_gone");
    eventually("no call in flight", || (weir.inflight() == 0).then_some(()));
}

#[test]
fn who_resets_a_call_while_its_body_is_coming_is_not_refused_but_gone() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut raw = Raw::to(&weir.data, &[]);
    let head = [post_head(OPENAI), fields(&[("x-request-id", "leaving")])].concat();
    raw.send(&frame(HEADERS, END_HEADERS, 1, &head));
    raw.send(&frame(DATA, 0, 1, b"{"));
    // Seen by the call before it ends.
    raw.send(&frame(PING, 0, 0, &[1; 8]));
    while raw.next_of(PING).unwrap().1 == 0 {}
    raw.send(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()));
    assert_eq!(weir.call_line("leaving")["end"], "client_gone");
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn an_answer_that_is_not_taken_ends_alone() {
    let upstream = streaming(2_000);
    let weir =
        Weir::configured(&format!("limits: {{ client_stall: 300ms }}\n{}", one_pool(&[upstream.url()], "")));
    let mut raw = Raw::to(&weir.data, &[(INITIAL_WINDOW, 1000)]);
    let head = [post_head(OPENAI), fields(&[("x-request-id", "stalls")])].concat();
    raw.send(&frame(HEADERS, END_HEADERS, 1, &head));
    raw.send(&frame(DATA, END_STREAM, 1, ASK_STREAM.as_bytes()));
    let (_, _, stream, _) = raw.next_of(RST_STREAM).expect("the stream is reset");
    assert_eq!((stream, hits(&weir, "client_stall")), (1, 1));
    let line = weir.call_line("stalls");
    assert_eq!((&line["end"], &line["reason"]), (&"client_gone".into(), &"client_stall".into()), "{line}");
    eventually("no call in flight", || (weir.inflight() == 0).then_some(()));
    raw.send(&frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        3,
        &fields(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "weir.test"),
            (":path", "/health/live"),
        ]),
    ));
    assert_eq!(raw.next_of(HEADERS).expect("the connection goes on").2, 3);
}

#[test]
fn a_silent_upstream_is_no_fault_of_the_callers() {
    let upstream = Upstream::with(|_, socket| {
        socket.write_all(&[SSE_HEAD, &chunk(&token(OPENAI, "Dear"))].concat()).unwrap_or_default();
        support::pause(std::time::Duration::from_millis(1_500));
        socket.write_all(&[&chunk(finish(OPENAI))[..], LAST_CHUNK].concat()).is_ok()
    });
    let config = "limits: { client_stall: 200ms, idle: 200ms, header_read: 200ms, body_read: 200ms }";
    let weir = Weir::configured(&format!("{config}\n{}", one_pool(&[upstream.url()], "")));
    let answer = Client::to(&weir.data).send("POST", OPENAI, &[], ASK_STREAM);
    assert!(answer.whole && answer.body.ends_with(finish(OPENAI)));
    let answer = chat(&weir.data, ASK_STREAM);
    assert!(answer.whole && answer.body.ends_with(finish(OPENAI)));
}

#[test]
fn a_caller_that_asks_for_nothing_is_asked_to_go() {
    let upstream = Upstream::new();
    let config =
        format!("limits: {{ header_read: 300ms, idle: 300ms }}\n{}", one_pool(&[upstream.url()], ""));
    let weir = Weir::configured(&config);
    let mut raw = Raw::to(&weir.data, &[]);
    assert!(raw.next_of(GOAWAY).is_some());
    eventually("the count", || (hits(&weir, "header_read") == 1).then_some(()));
    let mut client = Client::to(&weir.data);
    assert_eq!(client.send("POST", OPENAI, &[], ASK).status, 200);
    eventually("the end of the connection", || (!client.is_open()).then_some(()));
    assert_eq!(hits(&weir, "idle"), 1);
}

#[test]
fn draining_asks_to_go_after_the_next_call_and_finishes_what_has_begun() {
    let upstream = streaming(3);
    let mut weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut raw = Raw::to(&weir.data, &[]);
    raw.send(&frame(PING, 0, 0, &[1; 8]));
    raw.next_of(PING);
    weir.signal("TERM");
    eventually("not ready", || {
        (support::client::get(&weir.data, "/health/ready").status == 503).then_some(())
    });
    raw.send(&frame(HEADERS, END_HEADERS, 1, &post_head(OPENAI)));
    raw.send(&frame(DATA, END_STREAM, 1, ASK_STREAM.as_bytes()));
    let (mut goaway, mut ended) = (false, false);
    while let Some((kind, flags, ..)) = raw.next() {
        // Its answer, without which Weir would not let go.
        if kind == PING && flags == 0 {
            raw.send(&frame(PING, 1, 0, &[0x0b, 0x7b, 0xa2, 0xf0, 0x8b, 0x9b, 0xfe, 0x54]));
        }
        goaway |= kind == GOAWAY;
        ended |= kind == DATA && flags & END_STREAM != 0;
    }
    assert!(goaway && ended);
    assert_eq!(weir.wait(), 0);
}

#[test]
fn a_stream_that_is_broken_off_at_the_end_says_so() {
    let upstream = Upstream::with(|_, socket| {
        socket.write_all(&[SSE_HEAD, &chunk(&token(OPENAI, "Dear"))].concat()).unwrap_or_default();
        wait_for_end(socket);
        false
    });
    let mut weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut raw = Raw::to(&weir.data, &[]);
    let head = [post_head(OPENAI), fields(&[("x-request-id", "stopped")])].concat();
    raw.send(&frame(HEADERS, END_HEADERS, 1, &head));
    raw.send(&frame(DATA, END_STREAM, 1, ASK_STREAM.as_bytes()));
    assert_eq!(raw.next_of(DATA).unwrap().3, token(OPENAI, "Dear"));
    weir.signal("INT");
    assert!(raw.next_of(GOAWAY).is_some());
    weir.signal("INT");
    let last = String::from_utf8(raw.next_of(DATA).expect("last words").3).unwrap();
    assert!(last.contains(r#""code":"draining""#), "{last}");
    assert_eq!(weir.call_line("stopped")["end"], "stopped");
    assert_eq!(weir.wait(), 0);
}

/// The bytes of each turn.
type Turns = Box<dyn FnMut(u32) -> Vec<u8>>;

/// Sends the bytes of each turn until the connection ends; how many turns there were.
fn flood(weir: &Weir, mut next: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let mut raw = Raw::to(&weir.data, &[]);
    let mut reader = raw.reader();
    let drain = std::thread::spawn(move || {
        let mut calm = false;
        while let Some((kind, ..)) = reader.next() {
            calm |= kind == GOAWAY;
        }
        calm
    });
    let sent = (0..2_000_000).find(|turn| !raw.send(&next(*turn)));
    let sent = sent.unwrap_or_else(|| panic!("it goes on"));
    drain.join().unwrap();
    sent
}

#[test]
fn floods_are_cut_and_counted_and_others_are_served_meanwhile() {
    let upstream = Upstream::with(|_, socket| {
        wait_for_end(socket);
        false
    });
    let served = Upstream::new();
    let weir = Weir::configured(&format!(
        "pools: {{ p: {{ endpoints: [{{ url: \"{}\" }}] }}, q: {{ endpoints: [{{ url: \"{}\" }}] }} }}\n\
         routes: {{ silent: {{ targets: [{{ pool: p }}] }}, m: {{ targets: [{{ pool: q }}] }} }}\n",
        upstream.url(),
        served.url()
    ));
    let call = |turn: u32, body: &[u8]| {
        let stream = 2 * turn + 1;
        let mut bytes = frame(HEADERS, END_HEADERS, stream, &post_head(OPENAI));
        bytes.extend(frame(DATA, if body.is_empty() { 0 } else { END_STREAM }, stream, body));
        (stream, bytes)
    };
    let floods: [(&str, Turns); 9] = [
        ("PING", Box::new(|_| frame(PING, 0, 0, &[0; 8]))),
        ("SETTINGS", Box::new(|_| frame(SETTINGS, 0, 0, &[]))),
        ("PRIORITY", Box::new(|_| frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]))),
        ("WINDOW_UPDATE", Box::new(|_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()))),
        ("unknown", Box::new(|_| frame(99, 0, 0, &[0; 100]))),
        (
            "empty DATA",
            Box::new(|turn| match turn {
                0 => frame(HEADERS, END_HEADERS, 1, &post_head(OPENAI)),
                _ => frame(DATA, 0, 1, &[]),
            }),
        ),
        (
            "CONTINUATION",
            Box::new(|turn| match turn {
                0 => frame(HEADERS, 0, 1, &post_head(OPENAI)),
                _ => frame(CONTINUATION, 0, 1, &[]),
            }),
        ),
        (
            "rapid reset",
            Box::new(move |turn| {
                let (stream, mut bytes) = call(turn, br#"{"model":"silent"}"#);
                bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
                bytes
            }),
        ),
        (
            "provoked resets",
            Box::new(move |turn| {
                let (stream, mut bytes) = call(turn, b"");
                bytes.extend(frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes()));
                bytes
            }),
        ),
    ];
    let before_kib = weir.rss_kib();
    for (name, next) in floods {
        let before = weir.metric(FLOODED);
        let turns = flood(&weir, next);
        eventually(&format!("the count of {name}"), || (weir.metric(FLOODED) > before).then_some(()));
        println!("{name}: {turns} turns");
        assert_eq!(chat(&weir.data, ASK).status, 200);
    }
    let growth_kib = weir.rss_kib().saturating_sub(before_kib);
    assert!(growth_kib < 64 * 1024, "{growth_kib} KiB more");
    eventually("no call in flight", || (weir.inflight() == 0).then_some(()));
}

/// A field of 4 KB in the table, and heads that repeat it thousands of times.
#[test]
fn a_head_that_unfolds_into_megabytes_costs_nothing() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    assert_eq!(chat(&weir.data, ASK).status, 200);
    let before_kib = weir.rss_kib();
    for _ in 0..8 {
        let mut raw = Raw::to(&weir.data, &[]);
        let field = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'x'; 4000]].concat();
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &[post_head(OPENAI), field].concat()));
        for turn in 1..20 {
            let bomb = [post_head(OPENAI), vec![0xbe; 16_000]].concat();
            if !raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 2 * turn + 1, &bomb)) {
                break;
            }
        }
        // Refused, or ended altogether.
        raw.send(&frame(PING, 0, 0, &[3; 8]));
        while raw.next().is_some_and(|(kind, flags, ..)| kind != GOAWAY && (kind != PING || flags == 0)) {}
    }
    let growth_kib = weir.rss_kib().saturating_sub(before_kib);
    assert!(growth_kib < 64 * 1024, "{growth_kib} KiB more");
    assert_eq!(upstream.got().len(), 1);
    assert_eq!(Client::to(&weir.data).send("POST", OPENAI, &[], ASK).status, 200);
}

/// Each reset only once its call has reached the upstream, so that no queue of h2's sees them.
#[test]
fn calls_that_are_given_up_as_soon_as_they_are_made_are_a_flood_too() {
    let upstream = Upstream::with(|_, socket| {
        wait_for_end(socket);
        false
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut raw = Raw::to(&weir.data, &[]);
    let made = (0..1_000_u32).find(|turn| {
        let stream = 2 * turn + 1;
        raw.send(&frame(HEADERS, END_HEADERS, stream, &post_head(OPENAI)));
        raw.send(&frame(DATA, END_STREAM, stream, ASK.as_bytes()));
        let mut pinged = frame(PING, 0, 0, &[2; 8]);
        pinged.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        let reached = || (upstream.got().len() > *turn as usize).then_some(());
        if weir.metric(FLOODED) < 0.5 {
            eventually("the call or the cut", || {
                reached().or_else(|| (weir.metric(FLOODED) > 0.5).then_some(()))
            });
        }
        !raw.send(&pinged) || weir.metric(FLOODED) > 0.5
    });
    assert!(made.is_some_and(|made| made > 20), "{made:?}");
    raw.stream().shutdown(Shutdown::Both).unwrap_or_default();
}
