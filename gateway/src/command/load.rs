//! From arguments and files to a checked configuration.

use std::path::Path;

use router_core::config::{Admin, Config, Listen, Loaded, UpstreamArgument, from_upstreams, load};

use super::Stop;
use crate::cli::{DoorArguments, Run};

/// The configuration that `weir run` was asked for.
pub(super) fn of_run(arguments: &Run) -> Result<Config, Stop> {
    let mut config = match (&arguments.config, arguments.upstreams.is_empty()) {
        (Some(_), false) => {
            return Err(Stop::Usage("weir run takes --config or --upstream, not both".into()));
        }
        (None, true) => {
            return Err(Stop::Usage("weir run needs --config FILE or at least one --upstream URL".into()));
        }
        (Some(_), true) if arguments.upstream_key_env.is_some() => {
            return Err(Stop::Usage(
                "--upstream-key-env goes with --upstream; in a file it is pools.NAME.key".into(),
            ));
        }
        (Some(path), true) => of_file(path)?.config,
        (None, false) => of_upstreams(arguments)?,
    };
    place_doors(&mut config, &arguments.doors)?;
    Ok(config)
}

/// The configuration in a file.
pub(super) fn of_file(path: &Path) -> Result<Loaded, Stop> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Stop::Usage(format!("{}: cannot be read: {error}", path.display())))?;
    load(&text, &|name| std::env::var(name).ok()).map_err(|problems| {
        let lines: Vec<String> =
            problems.iter().map(|problem| format!("{}:{problem}", path.display())).collect();
        Stop::Usage(lines.join("\n"))
    })
}

fn of_upstreams(arguments: &Run) -> Result<Config, Stop> {
    let upstreams: Result<Vec<_>, String> =
        arguments.upstreams.iter().map(|argument| UpstreamArgument::parse(argument)).collect();
    upstreams
        .and_then(|upstreams| from_upstreams(&upstreams, arguments.upstream_key_env.as_deref()))
        .map_err(|problem| Stop::Usage(format!("--upstream: {problem}")))
}

/// Puts the addresses from the command line in place of the configured ones.
pub(super) fn place_doors(config: &mut Config, doors: &DoorArguments) -> Result<(), Stop> {
    if let Some(listen) = &doors.listen {
        config.listen =
            vec![Listen::parse(listen).map_err(|problem| Stop::Usage(format!("--listen: {problem}")))?];
    }
    if let Some(admin) = &doors.admin {
        config.admin = Admin::parse(admin).map_err(|problem| Stop::Usage(format!("--admin: {problem}")))?;
    }
    Ok(())
}
