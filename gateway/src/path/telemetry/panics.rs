//! Panics: mistakes of Weir's own. Each ends one call, and is to be heard of.

use std::panic::PanicHookInfo;

use super::{Level, Shared};

/// What is done about every panic of the process: it is counted, and logged by where it was; not by what it
/// said, which may hold a caller's words.
pub(crate) fn hook(telemetry: Shared) -> impl Fn(&PanicHookInfo<'_>) + Send + Sync + 'static {
    move |panic| {
        telemetry.metrics.panics.inc();
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        telemetry.event(Level::Error, format!("panic at {place}"));
    }
}
