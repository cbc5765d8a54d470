//! Weights that operators change while Weir runs: staged first, then put into force all at once, and taken back again.
//! Decides and remembers; what it says is put into force by the gateway.
//!
//! Every change of what is in force has the next number, the revision, whoever made it. What was deployed stays over
//! a new file, except on routes whose targets or weights the file changed: there the file has the last word, also over
//! what is staged and what could be rolled back to.

mod refusal;
mod rescale;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

pub use refusal::Refusal;
use rescale::rescaled;

use crate::config::{Config, WEIGHT_SUM};

/// So many deployments can be rolled back, one after the other: an incident has fewer.
const PAST_MOST: usize = 32;

/// One target of a route and its share in millionths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetWeight {
    /// `pool/model`, or `pool`.
    pub label: String,
    /// Its share in millionths.
    pub weight: u32,
}

/// The weights of a route, in the order of its targets; they sum to [`WEIGHT_SUM`].
pub type Weights = Vec<TargetWeight>;

/// Where the weights in force come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration says so.
    File,
    /// They were deployed, as this revision.
    RunTime(u64),
}

/// What a new file made void.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voided {
    /// Routes whose deployed weights gave way to the file's.
    pub deployed: Vec<String>,
    /// Routes whose staged weights are gone, since they were made of others.
    pub staged: Vec<String>,
}

/// What was in force before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Past {
    revision: u64,
    deployed: BTreeMap<String, Deployed>,
}

/// Weights that were deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Deployed {
    weights: Weights,
    /// The revision that brought them.
    since: u64,
}

/// The weights of all routes: in the file, in force, staged and earlier.
///
/// # Example
///
/// ```
/// use router_core::route::staging::Staging;
/// let pool = |name| format!("{name}: {{endpoints: [{{url: http://{name}}}]}}");
/// let pools = ["a", "b", "c"].map(pool).join(", ");
/// let targets = "{pool: a, weight: 0.6}, {pool: b, weight: 0.2}, {pool: c, weight: 0.2}";
/// let text = format!("pools: {{{pools}}}\nroutes: {{r: {{targets: [{targets}]}}}}");
/// let mut config = router_core::config::load(&text, &|_| None).unwrap().config;
/// let mut staging = Staging::new(&config, 1);
/// staging.stage("r", "a", 700_000).unwrap();
/// staging.deploy().unwrap();
/// staging.overlay(&mut config);
/// let weights: Vec<u32> = config.routes[0].targets.iter().map(|target| target.weight).collect();
/// assert_eq!((weights, staging.revision()), (vec![700_000, 150_000, 150_000], 2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staging {
    /// In the file's order.
    file: Vec<(String, Weights)>,
    deployed: BTreeMap<String, Deployed>,
    staged: BTreeMap<String, Weights>,
    /// The latest last.
    past: VecDeque<Past>,
    revision: u64,
    /// Changes of what is staged since this revision is in force.
    edits: u64,
}

impl Staging {
    /// The weights of a configuration that is in force as this revision.
    #[must_use]
    pub fn new(config: &Config, revision: u64) -> Self {
        Self {
            file: written(config),
            deployed: BTreeMap::new(),
            staged: BTreeMap::new(),
            past: VecDeque::new(),
            revision,
            edits: 0,
        }
    }

    /// The revision that is in force.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What a change is to be asked of (`If-Match`), so that it is refused if anything was changed since: the revision,
    /// and how often what is staged was changed since, if it was.
    #[must_use]
    pub fn tag(&self) -> String {
        if self.edits == 0 { self.revision.to_string() } else { format!("{}+{}", self.revision, self.edits) }
    }

    /// Whether the file of `other` is the same in all that this is about.
    #[must_use]
    pub fn has_file_of(&self, other: &Self) -> bool {
        self.file == other.file
    }

    /// The weights of a route that are in force, and where they come from.
    #[must_use]
    pub fn in_force(&self, route: &str) -> Option<(&[TargetWeight], Origin)> {
        if let Some(deployed) = self.deployed.get(route) {
            return Some((&deployed.weights, Origin::RunTime(deployed.since)));
        }
        let (_, weights) = self.file.iter().find(|(name, _)| name == route)?;
        Some((weights, Origin::File))
    }

    /// The weights of a route that the next deployment puts into force, if they are others.
    #[must_use]
    pub fn staged(&self, route: &str) -> Option<&[TargetWeight]> {
        self.staged.get(route).map(Vec::as_slice)
    }

    /// All routes, in the file's order.
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        self.file.iter().map(|(route, _)| route.as_str())
    }

    /// Refuses a change that was asked of something older than this.
    ///
    /// # Errors
    ///
    /// [`Refusal::Stale`].
    pub fn expect(&self, tag: &str) -> Result<(), Refusal> {
        let current = self.tag();
        if tag == current { Ok(()) } else { Err(Refusal::Stale { given: tag.to_owned(), current }) }
    }

    /// Stages a weight for one target. The route's others share the rest in the proportions that they have, staged
    /// ones included.
    ///
    /// # Errors
    ///
    /// What there is not, or why the others cannot be rescaled.
    pub fn stage(&mut self, route: &str, target: &str, weight: u32) -> Result<(), Refusal> {
        let mut weights = self.next(route)?;
        let Some(index) = weights.iter().position(|one| one.label == target) else {
            return Err(unknown_target(route, target, &weights));
        };
        if weights.len() == 1 {
            return Err(Refusal::SingleTarget { route: route.to_owned() });
        }
        let before: Vec<u32> = weights.iter().map(|one| one.weight).collect();
        let Some(after) = rescaled(&before, index, weight.min(WEIGHT_SUM)) else {
            let others = weights.iter().enumerate().filter(|(other, _)| *other != index);
            let others = others.map(|(_, one)| one.label.clone()).collect();
            return Err(Refusal::NoProportion { route: route.to_owned(), others });
        };
        weights.iter_mut().zip(after).for_each(|(one, weight)| one.weight = weight);
        self.put(route, weights);
        Ok(())
    }

    /// Stages all weights of a route, each target's by its label.
    ///
    /// # Errors
    ///
    /// What there is not or is missing, or that the sum is not 1.
    pub fn stage_all(&mut self, route: &str, given: &[TargetWeight]) -> Result<(), Refusal> {
        let mut weights = self.next(route)?;
        if let Some(one) = given.iter().find(|one| weights.iter().all(|known| known.label != one.label)) {
            return Err(unknown_target(route, &one.label, &weights));
        }
        for one in &mut weights {
            let found = given.iter().find(|given| given.label == one.label);
            one.weight = found.map_or(0, |given| given.weight);
        }
        if sum(&weights) != u64::from(WEIGHT_SUM) {
            return Err(Refusal::Sum { route: route.to_owned() });
        }
        self.put(route, weights);
        Ok(())
    }

    /// Forgets what is staged on a route.
    ///
    /// # Errors
    ///
    /// That there is no such route, or nothing staged on it.
    pub fn discard(&mut self, route: &str) -> Result<(), Refusal> {
        self.next(route)?;
        self.staged.remove(route).ok_or(Refusal::NothingStaged)?;
        self.edits += 1;
        Ok(())
    }

    /// Puts everything that is staged into force, as the next revision.
    ///
    /// # Errors
    ///
    /// That nothing is staged.
    pub fn deploy(&mut self) -> Result<(), Refusal> {
        if self.staged.is_empty() {
            return Err(Refusal::NothingStaged);
        }
        self.past.push_back(Past { revision: self.revision, deployed: self.deployed.clone() });
        if self.past.len() > PAST_MOST {
            self.past.pop_front();
        }
        self.begin_revision();
        let since = self.revision;
        for (route, weights) in std::mem::take(&mut self.staged) {
            self.deployed.insert(route, Deployed { weights, since });
        }
        self.check_invariants();
        Ok(())
    }

    /// Puts the weights of before the last deployment that is still in force into force again, as the next revision;
    /// the number that they had. What is staged is forgotten: it was made of what is being left.
    ///
    /// # Errors
    ///
    /// That there is nothing to go back to.
    pub fn rollback(&mut self) -> Result<u64, Refusal> {
        while let Some(past) = self.past.pop_back() {
            // A new file may have left nothing of what that deployment changed.
            if same_weights(&past.deployed, &self.deployed) {
                continue;
            }
            self.deployed = past.deployed;
            self.staged.clear();
            self.begin_revision();
            self.check_invariants();
            return Ok(past.revision);
        }
        Err(Refusal::NothingEarlier)
    }

    /// What a rollback would put into force, and the number that it had; `None` if there is nothing to go back to.
    #[must_use]
    pub fn earlier(&self) -> Option<(u64, Self)> {
        let mut back = self.clone();
        let restored = back.rollback().ok()?;
        Some((restored, back))
    }

    /// Another configuration comes into force, as the next revision.
    pub fn reload(&mut self, config: &Config) -> Voided {
        let before = std::mem::replace(&mut self.file, written(config));
        let same = |route: &str| {
            let old = before.iter().find(|(name, _)| name == route).map(|(_, weights)| weights);
            let new = self.file.iter().find(|(name, _)| name == route).map(|(_, weights)| weights);
            // In whatever order.
            let holds = |all: &Weights, one: &TargetWeight| all.contains(one);
            old.zip(new)
                .is_some_and(|(old, new)| old.len() == new.len() && new.iter().all(|one| holds(old, one)))
        };
        let mut voided = Voided::default();
        self.deployed.retain(|route, _| same(route) || !note(&mut voided.deployed, route));
        self.staged.retain(|route, _| same(route) || !note(&mut voided.staged, route));
        for past in &mut self.past {
            past.deployed.retain(|route, _| same(route));
        }
        self.revision += 1;
        self.edits = 0;
        self.reorder();
        self.check_invariants();
        voided
    }

    /// Puts the weights in force into a configuration, whatever weights it has: the file's, or those of before.
    pub fn overlay(&self, config: &mut Config) {
        for index in 0..config.routes.len() {
            let Some((weights, _)) = self.in_force(&config.routes[index].name) else { continue };
            for target in 0..config.routes[index].targets.len() {
                let label = config.target_label(&config.routes[index].targets[target]);
                if let Some(one) = weights.iter().find(|one| one.label == label) {
                    config.routes[index].targets[target].weight = one.weight;
                }
            }
        }
    }

    /// What the next deployment would put into force on a route.
    fn next(&self, route: &str) -> Result<Weights, Refusal> {
        let in_force = self.in_force(route).map(|(weights, _)| weights);
        self.staged(route).or(in_force).map(<[_]>::to_vec).ok_or_else(|| Refusal::UnknownRoute {
            route: route.to_owned(),
            known: self.file.iter().map(|(name, _)| name.clone()).collect(),
        })
    }

    /// Stages weights; what is in force anyway is not staged.
    fn put(&mut self, route: &str, weights: Weights) {
        if self.in_force(route).is_some_and(|(in_force, _)| in_force == weights) {
            self.staged.remove(route);
        } else {
            self.staged.insert(route.to_owned(), weights);
        }
        self.edits += 1;
        self.check_invariants();
    }

    fn begin_revision(&mut self) {
        self.revision += 1;
        self.edits = 0;
    }

    /// Has targets stand in the order of the file.
    fn reorder(&mut self) {
        let file = &self.file;
        let place = |route: &str, label: &str| {
            let (_, weights) = file.iter().find(|(name, _)| name == route)?;
            weights.iter().position(|one| one.label == label)
        };
        let past = self.past.iter_mut().flat_map(|past| &mut past.deployed);
        let deployed = self.deployed.iter_mut().chain(past);
        let all = deployed.map(|(route, deployed)| (route, &mut deployed.weights)).chain(&mut self.staged);
        for (route, weights) in all {
            weights.sort_by_key(|one| place(route, &one.label));
        }
    }

    fn check_invariants(&self) {
        let whole = |weights: &Weights| sum(weights) == u64::from(WEIGHT_SUM);
        debug_assert!(self.deployed.values().all(|one| whole(&one.weights)), "deployed weights sum to 1");
        debug_assert!(self.staged.values().all(whole), "staged weights sum to 1");
        debug_assert!(self.past.len() <= PAST_MOST, "what is remembered is bounded");
    }
}

/// The weights of a configuration, by route.
fn written(config: &Config) -> Vec<(String, Weights)> {
    let of = |route: &crate::config::Route| {
        let targets = route.targets.iter();
        targets.map(|one| TargetWeight { label: config.target_label(one), weight: one.weight }).collect()
    };
    config.routes.iter().map(|route| (route.name.clone(), of(route))).collect()
}

fn same_weights(one: &BTreeMap<String, Deployed>, other: &BTreeMap<String, Deployed>) -> bool {
    let weights = |(route, deployed): (&String, &Deployed)| (route.clone(), deployed.weights.clone());
    one.len() == other.len() && one.iter().map(weights).eq(other.iter().map(weights))
}

fn unknown_target(route: &str, target: &str, weights: &[TargetWeight]) -> Refusal {
    Refusal::UnknownTarget {
        route: route.to_owned(),
        target: target.to_owned(),
        known: weights.iter().map(|one| one.label.clone()).collect(),
    }
}

fn sum(weights: &[TargetWeight]) -> u64 {
    weights.iter().map(|one| u64::from(one.weight)).sum()
}

/// Always true.
fn note(list: &mut Vec<String>, route: &str) -> bool {
    list.push(route.to_owned());
    true
}
