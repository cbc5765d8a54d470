//! The points of a measurement: which callers come when, what could be attained for them, and what must come out.
//!
//! Each is a scenario of the simulation, which draws the callers, searches what is attainable for them, and says what
//! the same limiter does there.

use std::time::Duration;

use loadtest::overload::sim::{Call, Line, Scenario, calls, judge};

use super::options::{Against, Front, Kind, Limit, Options};
use crate::rig::RigError;

/// Callers, and what is known of them before anybody answered.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) kind: Kind,
    pub(super) load: f64,
    pub(super) scenario: Scenario,
    pub(super) calls: Vec<Call>,
    /// The best fixed limit, and its answers inside the objective per second.
    pub(super) attainable: (u32, f64),
    /// What the fronts reach in the simulation, with the same callers.
    simulated: Vec<(Front, Line)>,
    /// How much a bar is lowered by.
    slack: f64,
}

/// What must come out of a point for Weir.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bars {
    /// Goodput as a share of the attainable.
    pub(super) goodput: f64,
    /// Share of enterprise's calls inside their objective.
    pub(super) enterprise: f64,
}

impl Point {
    /// All points that the options ask for.
    ///
    /// # Errors
    ///
    /// Says that a scenario makes no sense.
    pub(super) fn all(options: &Options) -> Result<Vec<Self>, RigError> {
        let mut points = Vec::new();
        for &kind in &options.only {
            let loads: &[f64] = match kind {
                Kind::Steady => &options.loads,
                Kind::Strict => &[3.0],
                Kind::Step => &[0.9],
                Kind::Burst => &[1.0],
                Kind::Flash => &[0.6],
            };
            for &load in loads {
                points.push(Self::new(options, kind, load)?);
            }
        }
        Ok(points)
    }

    fn new(options: &Options, kind: Kind, load: f64) -> Result<Self, RigError> {
        let mut fronts = options.fronts();
        // The attainable level comes with any of them.
        fronts.push(Front::Against(Against::Nothing));
        fronts.retain(|front| simulated(*front).is_some());
        let text = scenario(options, kind, load, &fronts);
        let scenario = Scenario::parse(&text).map_err(|error| RigError::Usage(error.to_string()))?;
        let calls = calls(&scenario, load, options.seed);
        let lines = judge(&scenario, options.seed);
        let attainable = lines.iter().find_map(|line| line.attainable).unwrap_or_default();
        let simulated = fronts.into_iter().zip(lines).collect();
        let slack = if options.short { SHORT_SLACK } else { 0.0 };
        Ok(Self { kind, load, scenario, calls, attainable, simulated, slack })
    }

    /// Steady callers of short answers for a server that answers `capacity` of them a second; what they can hope for
    /// is not known yet.
    ///
    /// # Errors
    ///
    /// Says that the scenario makes no sense.
    pub(super) fn short_answers(options: &Options, capacity: f64, load: f64) -> Result<Self, RigError> {
        let Options { warm_up, seconds, seed, .. } = options;
        // How fast tokens come is the server's affair: a small machine is slow.
        let text = format!(
            "about: short answers\nserver: {{kind: Unlimited}}\ncapacity: {capacity}\nprompts: {{mean: 60}}\n\
             answers: {{mean: 40}}\nobjective: {{inter_token: 1s}}\nwarm_up: {warm_up}s\n\
             measured: {seconds}s\nexpect: []\n"
        );
        let scenario = Scenario::parse(&text).map_err(|error| RigError::Usage(error.to_string()))?;
        let calls = calls(&scenario, load, *seed);
        let (attainable, simulated) = ((0, 0.0), Vec::new());
        Ok(Self { kind: Kind::Steady, load, scenario, calls, attainable, simulated, slack: 0.0 })
    }

    /// Its name in the tables.
    pub(super) fn name(&self) -> String {
        match self.kind {
            Kind::Steady => format!("{} ×", self.load),
            kind => format!("{} {} ×", kind.name(), self.load),
        }
    }

    /// What a front reaches in the simulation, which knows of no strict order.
    pub(super) fn simulated(&self, front: Front) -> Option<&Line> {
        let line = self.simulated.iter().find(|(simulated, _)| *simulated == front);
        line.filter(|_| self.kind != Kind::Strict).map(|(_, line)| line)
    }

    /// Whether it is a point of the curve by load.
    pub(super) fn is_steady(&self) -> bool {
        self.kind == Kind::Steady
    }

    /// What Weir's own limiter must reach.
    pub(super) fn bars(&self) -> Bars {
        let goodput = match self.kind {
            Kind::Steady | Kind::Strict => 0.93,
            Kind::Step | Kind::Burst | Kind::Flash => 0.90,
        };
        let peak = match (self.scenario.bursts, self.scenario.flash) {
            (Some(bursts), _) => bursts.on,
            (_, Some(flash)) => flash.times,
            _ => 1.0,
        };
        let capacity = if self.scenario.outage.is_some() { 0.5 } else { 1.0 };
        let demand = self.load * peak * ENTERPRISE_CALLS / capacity;
        let fits = demand <= 0.9 * ENTERPRISE_SHARE || (self.kind == Kind::Strict && demand < 0.9);
        let enterprise = if fits { 0.98 } else { 0.80 };
        Bars { goodput: goodput - self.slack, enterprise: enterprise - self.slack }
    }

    /// Between the first and the last caller that counts.
    pub(super) fn window(&self) -> std::ops::Range<Duration> {
        self.scenario.warm_up.0..self.scenario.measured_until()
    }
}

/// The front as the simulation calls it, and whether it has the dispatcher's queue.
const fn simulated(front: Front) -> Option<(&'static str, bool)> {
    match front {
        Front::Weir(Limit::Fixed(_)) | Front::Gate(_) => None,
        Front::Weir(limit) => Some((limit.name(), true)),
        Front::Against(Against::Envoy) => Some(("gradient", false)),
        Front::Against(Against::Nothing) => Some(("none", false)),
    }
}

fn scenario(options: &Options, kind: Kind, load: f64, fronts: &[Front]) -> String {
    let Options { warm_up, seconds, .. } = options;
    let third = warm_up + seconds / 3;
    let change = match kind {
        Kind::Steady | Kind::Strict => String::new(),
        Kind::Step => {
            let until = warm_up + seconds * 2 / 3;
            format!("outage: {{at: {third}s, until: {until}s, replicas: {}}}\n", REPLICAS / 2)
        }
        Kind::Burst => "bursts: {on: 2.5, on_for: 5s, off: 0.5, off_for: 15s}\n".to_owned(),
        // As long as in the research when a point lasts 90 s.
        Kind::Flash => format!("flash: {{at: {third}s, until: {}s, times: 5}}\n", third + seconds * 2 / 9),
    };
    let expect: String = fronts
        .iter()
        .filter_map(|front| simulated(*front))
        .map(|(name, queue)| {
            format!("  - {{algorithm: {name}, queue: {queue}, loads: [{load}], at_least: 0}}\n")
        })
        .collect();
    format!(
        "about: {kind}\nserver: {{kind: A, replicas: {REPLICAS}}}\ncapacity: {CAPACITY}\n{change}\
         warm_up: {warm_up}s\nmeasured: {seconds}s\nexpect:\n{expect}"
    )
}

/// Answers per second of the simulated model server, which has so many replicas.
const CAPACITY: f64 = 27.8;
pub(super) const REPLICAS: usize = 4;

/// In the short form a burst of a second is a tenth of enterprise's calls, and the start is not quite over when the
/// first of them count.
const SHORT_SLACK: f64 = 0.08;

/// Of all calls, and of a full pool.
const ENTERPRISE_CALLS: f64 = 0.2;
const ENTERPRISE_SHARE: f64 = 0.5;
