//! From arguments and files to a checked configuration.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use router_core::config::{
    Address, Admin, Config, Listen, Loaded, Problem, TEXT_BYTES_MAX, Tls, UpstreamArgument, from_upstreams,
    load_with_files,
};

use super::Stop;
use crate::cli::{DoorArguments, Run};
use crate::snapshot;

/// The file that `weir run` was asked for. An environment variable that is set to nothing is as good as not set:
/// compose files leave them so.
pub(crate) fn file(arguments: &Run) -> Option<&Path> {
    arguments.config.as_deref().filter(|path| !path.is_empty()).map(Path::new)
}

/// The configuration that `weir run` was asked for, and what of it is passed over.
pub(crate) fn of_run(arguments: &Run) -> Result<(Config, Vec<&'static str>), Stop> {
    let file = file(arguments);
    let upstreams: Vec<&str> =
        arguments.upstreams.iter().map(String::as_str).filter(|argument| !argument.is_empty()).collect();
    let key_env = arguments.upstream_key_env.as_deref().filter(|name| !name.is_empty());
    let mut config = match (file, upstreams.is_empty()) {
        (Some(_), false) => {
            let both = "weir run takes a file (--config, WEIR_CONFIG) or upstreams (--upstream, WEIR_UPSTREAM), not both";
            return Err(Stop::Usage(both.into()));
        }
        (None, true) => {
            return Err(Stop::Usage("weir run needs --config FILE or at least one --upstream URL".into()));
        }
        (Some(_), true) if key_env.is_some() => {
            return Err(Stop::Usage(
                "--upstream-key-env goes with --upstream; in a file it is pools.NAME.key".into(),
            ));
        }
        (Some(path), true) => {
            let loaded = of_file(path)?;
            if !loaded.warnings.is_empty() {
                return Err(Stop::Usage(report(path, &loaded.warnings)));
            }
            loaded.config
        }
        (None, false) => of_upstreams(&upstreams, key_env)?,
    };
    let passed_over = place_doors(&mut config, &arguments.doors)?;
    Ok((config, passed_over))
}

/// The configuration in a file.
pub(super) fn of_file(path: &Path) -> Result<Loaded, Stop> {
    let text =
        read(path).map_err(|error| Stop::Usage(format!("{}: cannot be read: {error}", path.display())))?;
    load_with_files(&text, &|name| std::env::var(name).ok(), &snapshot::try_file)
        .map_err(|problems| Stop::Usage(report(path, &problems)))
}

/// No more of it than can be right: who names `/dev/zero` is told so while there is still memory.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // One byte more, by which the reader of the text knows.
    File::open(path)?.take(TEXT_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// One line for each problem, with the file's name.
fn report(path: &Path, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| format!("{}:{problem}", path.display())).collect();
    lines.join("\n")
}

fn of_upstreams(arguments: &[&str], key_env: Option<&str>) -> Result<Config, Stop> {
    let upstreams: Result<Vec<_>, String> =
        arguments.iter().map(|argument| UpstreamArgument::parse(argument)).collect();
    upstreams
        .and_then(|upstreams| from_upstreams(&upstreams, key_env))
        .map_err(|problem| Stop::Usage(format!("--upstream: {problem}")))
}

/// Puts the addresses from the command line in place of the configured ones. Says which settings of a file
/// that were not the defaults are passed over by that.
pub(super) fn place_doors(config: &mut Config, doors: &DoorArguments) -> Result<Vec<&'static str>, Stop> {
    let mut passed_over = Vec::new();
    if let Some(listen) = doors.listen.as_deref().filter(|address| !address.is_empty()) {
        let mut wanted =
            Listen::parse(listen).map_err(|problem| Stop::Usage(format!("--listen: {problem}")))?;
        wanted.tls = shared_tls(&config.listen)?;
        over_tcp("--listen", &wanted.address, wanted.tls.as_ref())?;
        let before = std::mem::replace(&mut config.listen, vec![wanted]);
        if before != config.listen && before != [Listen::default()] {
            passed_over.push("listen: the file's addresses give way to --listen or WEIR_LISTEN");
        }
    }
    if let Some(admin) = doors.admin.as_deref().filter(|address| !address.is_empty()) {
        let wanted = config.admin.parse_address(admin);
        let wanted = wanted.map_err(|problem| Stop::Usage(format!("--admin: {problem}")))?;
        over_tcp("--admin", &wanted, config.admin.tls.as_ref())?;
        // Where metrics are served too is another address, which stays.
        let before = std::mem::replace(&mut config.admin.address, wanted);
        if before != config.admin.address && before != Admin::default().address {
            passed_over.push("admin.address: the file's address gives way to --admin or WEIR_ADMIN");
        }
    }
    Ok(passed_over)
}

/// What the file's listeners speak TLS with, for the one in their place: whoever asked for TLS gets no listener without
/// it.
fn shared_tls(listen: &[Listen]) -> Result<Option<Tls>, Stop> {
    let first = listen.first().and_then(|listen| listen.tls.as_ref());
    if listen.iter().any(|listen| listen.tls.as_ref() != first) {
        let problem = "--listen or WEIR_LISTEN: the file's listeners differ in `tls`, so it is not clear what this one is to have; set the addresses in the file";
        return Err(Stop::Usage(problem.into()));
    }
    Ok(first.cloned())
}

fn over_tcp(flag: &str, address: &Address, tls: Option<&Tls>) -> Result<(), Stop> {
    match (address, tls) {
        (Address::Unix(_), Some(_)) => {
            Err(Stop::Usage(format!("{flag}: the file asks for `tls`, which is not spoken on {address}")))
        }
        _ => Ok(()),
    }
}
