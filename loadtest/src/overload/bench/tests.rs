//! What can be said of the measurement without sockets, and a caller on one.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use loadtest::modelsim::{Settings, serve};
use loadtest::overload::sim::{Call, Ending, calls};
use tokio::net::TcpListener;

use super::caller::{Crowd, Wishes};
use super::drive::{Target, drive};
use super::options::{Front, Kind, Limit, Options};
use super::points::Point;
use super::report::{Row, tables};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn options(line: &str) -> Options {
    Cli::try_parse_from(["overload"].into_iter().chain(line.split_whitespace())).unwrap().options
}

#[test]
fn limits_are_named_as_in_the_config_and_fixed_needs_its_number() {
    let named = options("--algorithm first_token_window,gradient,gradient2,aimd,fixed=7").algorithm;
    assert_eq!(named.last(), Some(&Limit::Fixed(7)));
    for wrong in ["fixed", "fixed=0", "fixed=x", "vegas"] {
        assert!(Cli::try_parse_from(["overload", "--algorithm", wrong]).is_err(), "{wrong}");
    }
}

#[test]
fn weir_is_measured_unless_something_takes_its_place() {
    assert_eq!(options("").fronts(), [Front::Weir(Limit::FirstTokenWindow)]);
    assert_eq!(options("--against envoy").fronts().len(), 1);
    assert_eq!(options("--against envoy,nothing --algorithm first_token_window,aimd").fronts().len(), 4);
}

#[test]
fn enterprise_is_promised_what_its_share_allows() {
    let bars = |kind, load: &str| {
        let line = format!("--only {kind} --loads {load} --seconds 9 --warm-up 1");
        let points = Point::all(&options(&line)).unwrap();
        let bars = points[0].bars();
        (bars.goodput, bars.enterprise)
    };
    assert_eq!(bars("steady", "2"), (0.93, 0.98));
    assert_eq!(bars("steady", "3"), (0.93, 0.80));
    assert_eq!(bars("strict", "1"), (0.93, 0.98));
    assert_eq!(bars("step", "1"), (0.90, 0.98));
    assert_eq!(bars("flash", "1"), (0.90, 0.80));
}

#[test]
fn the_simulation_says_what_can_be_attained_and_what_weir_does() {
    let points = Point::all(&options("--loads 3 --only steady,strict --seconds 20")).unwrap();
    let (limit, goodput) = points[0].attainable;
    assert!((100..250).contains(&limit) && (25.0..31.0).contains(&goodput), "{goodput}/s at {limit}");
    let front = Front::Weir(Limit::FirstTokenWindow);
    assert!(points[0].simulated(front).is_some_and(|line| line.share.is_some()));
    assert!(points[1].simulated(front).is_none(), "the simulation knows of no strict order");
    assert_eq!(points[1].kind, Kind::Strict);
}

/// A model server that answers fast, and callers of ten seconds.
async fn served(line: &str) -> (Point, super::drive::Drive) {
    let mut point = Point::all(&options(line)).unwrap().remove(0);
    point.scenario.warm_up.0 = Duration::ZERO;
    point.scenario.measured.0 = Duration::from_secs(1);
    point.calls = calls(&point.scenario, point.load, 3);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings { replicas: 4, speed: 50.0, ..Settings::default() };
    let server = serve(listener, settings).unwrap();
    let target = Target { gateway: server.address(), server: server.address(), wishes: Wishes::Header };
    let drive = drive(target, &point.scenario, &point.calls).await.unwrap();
    (point, drive)
}

#[tokio::test]
async fn callers_get_the_answers_that_they_ask_for() {
    let (point, drive) = served("--loads 1 --only steady --seconds 9 --warm-up 1").await;
    let window = point.window();
    let counted: Vec<_> = drive.outcome.arrived(&window).collect();
    assert!(counted.len() > 5, "{}", counted.len());
    for (call, life) in counted {
        assert!(matches!(life.ended, Some((_, Ending::Whole))), "{call:?} {life:?}");
        assert!(life.started < life.first_token, "{life:?}");
    }
    assert!(drive.flaws.is_empty(), "{:?}", drive.flaws);
    let row = Row::new(Front::Weir(Limit::FirstTokenWindow), &point, &drive, None);
    let text = tables(&[row]);
    assert!(text.contains("| weir | 1 × |") && text.contains("| enterprise |"), "{text}");
}

#[tokio::test]
async fn callers_whom_nobody_answers_leave_or_fail() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let point = Point::all(&options("--loads 1 --only steady --seconds 9 --warm-up 1")).unwrap().remove(0);
    let mut scenario = point.scenario.clone();
    scenario.patience.0 = Duration::from_millis(50);
    let call = Call { at: Duration::ZERO, ..point.calls[0] };
    let ended = |address: SocketAddr| {
        let crowd = Crowd::new(address, &scenario, Wishes::Header);
        async move { crowd.call(&call).await.ended.map(|(_, ending)| ending) }
    };
    assert_eq!(ended(address).await, Some(Ending::Left), "accepted by the system, answered by nobody");
    drop(listener);
    assert_eq!(ended(address).await, Some(Ending::Failed));
}

#[test]
fn the_picture_has_a_line_for_each_front() {
    let svg = super::plot::svg(&[]);
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
}
