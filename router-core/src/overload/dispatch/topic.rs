//! A topic as the dispatcher sees it: where its calls may go, whose turn it is, how much of it waits.

use super::call::Targets;
use super::plan::{QueueBounds, Target, Topic, WhenFull};
use super::predict::Pace;
use super::slab::NONE;
use crate::overload::lag::{Gauge, Service};
use crate::route::Rotation;

/// A topic's state.
#[derive(Debug)]
pub(super) struct TopicState {
    pub(super) name: String,
    pub(super) targets: Vec<Target>,
    pub(super) when_full: WhenFull,
    pub(super) bounds: QueueBounds,
    /// Targets with a weight.
    pub(super) weighted: Targets,
    /// Turns, one for each set of targets that calls came with: a target that never takes part must not lose its
    /// credit by every turn of the others.
    pub(super) rotations: Vec<(Targets, Rotation)>,
    pub(super) queued: u32,
    pub(super) queued_tokens: u64,
    pub(super) pace: Pace,
    pub(super) service: Service,
    pub(super) gauge: Gauge,
    /// As of the last time that levels were told.
    pub(super) saturation: f64,
}

/// Sets of targets that are told apart; one for each dialect, in practice.
const ROTATIONS_MOST: usize = 16;

impl TopicState {
    pub(super) fn new(topic: Topic) -> Self {
        let weights = topic.targets.iter().take(Targets::MOST).map(|target| target.weight);
        let mut weighted = Targets::NONE;
        for (index, _) in weights.enumerate().filter(|(_, weight)| *weight > 0) {
            weighted = weighted.with(index);
        }
        Self {
            name: topic.name,
            targets: topic.targets,
            when_full: topic.when_full,
            bounds: topic.queue,
            weighted,
            rotations: Vec::new(),
            queued: 0,
            queued_tokens: 0,
            pace: Pace::new(),
            service: Service::default(),
            gauge: Gauge::default(),
            saturation: 0.0,
        }
    }

    /// The rotation over these targets; none is needed for one.
    pub(super) fn rotation(&mut self, targets: Targets) -> u32 {
        if targets.single().is_some() {
            return NONE;
        }
        if let Some(at) = self.rotations.iter().position(|(over, _)| *over == targets) {
            return u32::try_from(at).unwrap_or(NONE);
        }
        if self.rotations.len() >= ROTATIONS_MOST {
            return 0;
        }
        let weight = |(index, target): (usize, &Target)| {
            if targets.contains(index) { target.weight } else { 0 }
        };
        let weights = self.targets.iter().enumerate().map(weight).collect();
        self.rotations.push((targets, Rotation::new(weights)));
        u32::try_from(self.rotations.len() - 1).unwrap_or(NONE)
    }
}
