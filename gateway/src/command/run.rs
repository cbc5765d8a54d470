//! `weir run`: the gateway.

use super::{Stop, load, serve};
use crate::cli::Run;
use crate::reload::Source;

pub(crate) fn run(arguments: &Run) -> Result<(), Stop> {
    let source = Source::of(arguments);
    let (config, passed_over) = load::of_run(arguments)?;
    serve::live(async {
        let running = serve::start(config, source).await?;
        running.announce();
        running.warn(&passed_over);
        running.until_stopped().await
    })
}
