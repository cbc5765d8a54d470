//! The dispatcher's rules one by one, and what holds after any history.

mod gauges;
mod history;
mod merge;
mod order;
mod places;
mod prediction;
mod reload;
mod rig;
mod shares;
mod signals;
mod verify;
