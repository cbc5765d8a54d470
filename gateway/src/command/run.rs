//! `weir run`: the gateway.

use super::{Stop, load, serve};
use crate::cli::Run;

pub(crate) fn run(arguments: &Run) -> Result<(), Stop> {
    let (config, passed_over) = load::of_run(arguments)?;
    serve::live(async {
        let running = serve::start(config).await?;
        running.announce();
        running.warn(&passed_over);
        running.until_stopped().await
    })
}
