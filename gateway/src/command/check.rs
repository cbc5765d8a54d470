//! `weir check`: every problem of configuration files at once.

use std::io::Write;

use super::{Stop, load};
use crate::cli::Check;

pub(crate) fn check(arguments: &Check) -> Result<(), Stop> {
    let mut faults = Vec::new();
    for path in &arguments.files {
        match load::of_file(path) {
            Ok(loaded) => {
                let mut out = std::io::stdout().lock();
                for warning in &loaded.warnings {
                    writeln!(out, "{}:{warning} (warning)", path.display()).unwrap_or_default();
                }
                let (pools, routes) = (loaded.config.pools.len(), loaded.config.routes.len());
                writeln!(out, "{}: ok, pools: {pools}, routes: {routes}", path.display()).unwrap_or_default();
            }
            Err(fault) => faults.push(fault.to_string()),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Stop::Usage(faults.join("\n"))) }
}
