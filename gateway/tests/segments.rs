//! Who a caller is, and what it asks for in its headers: named by a proxy that is trusted, else taken for anybody; what
//! Weir cannot read it says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use support::client::post;
use support::config::{ASK, one_pool};
use support::refusal::{DIALECTS, OPENAI, assert_refused};
use support::upstream::Upstream;
use support::weir::{Folder, Weir, command};

const SEGMENT: &str = "x-weir-segment";

/// Segments `gold` and `free`, the latter for everybody, behind a listener that believes its callers or does not.
fn weir(upstream: &Upstream, trust_headers: bool) -> Weir {
    let files = Folder::new();
    let text = format!(
        "{}segments: {{ gold: {{ share: 5 }}, free: {{}} }}\nanonymous: free\n\
         listen: [{{ address: '127.0.0.1:0', trust_headers: {trust_headers} }}]\nadmin: {{ address: '127.0.0.1:0' }}\n",
        one_pool(&[upstream.url()], "")
    );
    let path = files.write("weir.yaml", &text);
    let mut command = command();
    command.arg("run").arg("--config").arg(path);
    Weir::start_as_is(command, Some(files))
}

fn admitted(weir: &Weir, segment: &str) -> f64 {
    weir.metric(&format!("weir_admission_total{{outcome=\"admitted\",route=\"m\",segment=\"{segment}\"}}"))
}

#[test]
fn a_trusted_proxy_names_its_callers_segment() {
    let upstream = Upstream::new();
    let weir = weir(&upstream, true);
    for (named, times) in [(Some("gold"), 2), (Some("free"), 1), (None, 1)] {
        for _ in 0..times {
            let headers: Vec<_> = named.map(|name| (SEGMENT, name)).into_iter().collect();
            assert_eq!(post(&weir.data, OPENAI, &headers, ASK).status, 200);
        }
    }
    assert_eq!([admitted(&weir, "gold"), admitted(&weir, "free")], [2.0, 2.0]);
    assert!(upstream.got().iter().all(|got| got.header(SEGMENT).is_none()), "it is for Weir alone");
    for path in DIALECTS {
        let refused = post(&weir.data, path, &[(SEGMENT, "silver")], ASK);
        assert!(assert_refused(&refused, path, 400, "invalid_header").contains(SEGMENT));
    }
}

#[test]
fn from_anybody_else_the_name_counts_for_nothing() {
    let upstream = Upstream::new();
    let weir = weir(&upstream, false);
    for named in ["gold", "silver", ""] {
        assert_eq!(post(&weir.data, OPENAI, &[(SEGMENT, named)], ASK).status, 200, "{named}");
    }
    assert_eq!([admitted(&weir, "gold"), admitted(&weir, "free")], [0.0, 3.0]);
}

#[test]
fn a_wish_that_cannot_be_read_is_refused_by_its_name() {
    let upstream = Upstream::new();
    let weir = weir(&upstream, false);
    let wrong = [
        ("x-weir-deadline-ms", "abc"),
        ("x-weir-deadline-ms", "-5"),
        ("x-weir-deadline-ms", "0"),
        ("x-weir-priority", "urgent"),
    ];
    for (header, value) in wrong {
        for path in DIALECTS {
            let message =
                assert_refused(&post(&weir.data, path, &[(header, value)], ASK), path, 400, "invalid_header");
            assert!(message.contains(header), "{message}");
        }
    }
    assert!(upstream.got().is_empty());
    let fine =
        [("x-weir-deadline-ms", "60000"), ("x-weir-priority", "batch"), ("x-stainless-timeout", "None")];
    assert_eq!(post(&weir.data, OPENAI, &fine, ASK).status, 200);
}
