//! Turns the tree of a file into a checked [`Config`], or into the list of everything that is wrong with it.
//!
//! Nothing stops at the first mistake: a value that is wrong is reported and a harmless one goes on in its
//! place, so that what follows is checked too. The result is used only if nothing was reported. A reader
//! ([`Reader`]) knows how to take fields, lists and texts out of the tree; the sections of the file say
//! which ones they want.

mod audit;
mod callers;
mod concurrency;
mod doors;
mod identity;
mod jwt;
mod keys;
mod limits;
mod operators;
mod passthrough;
mod pools;
mod quota;
mod reader;
mod routes;
mod secret;
mod segments;
mod service;
mod timeouts;
mod tls;
mod values;

use std::path::Path;

pub use quota::quota;

use super::problem::{FileUse, Loaded, Problem};
use super::{Config, Passthrough, reference, tree};
pub use callers::load_keys;
use concurrency::Users;
use reader::{At, Reader};

/// Reads a configuration. `env` looks up the variables that `${NAME}` stands for.
///
/// # Errors
///
/// Every problem of the text, each once, ordered by where it stands.
pub fn load(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Vec<Problem>> {
    load_with_files(text, env, &|_, _| Ok(()))
}

/// The same, with a look at the files that the configuration names: `files` says what is wrong with one that is
/// used so, and that becomes a warning at its place.
///
/// # Errors
///
/// Every problem of the text, each once, ordered by where it stands.
pub fn load_with_files(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    files: &dyn Fn(&Path, FileUse<'_>) -> Result<(), String>,
) -> Result<Loaded, Vec<Problem>> {
    let mut problems = Vec::new();
    let root = tree::parse(text, &mut problems);
    let mut reader = Reader::new(env, files, problems);
    let config = root.and_then(|root| config(&mut reader, &At::root(&root)));
    let (problems, warnings) = reader.finish();
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded { config, warnings }),
        _ => Err(problems),
    }
}

fn config(reader: &mut Reader<'_>, root: &At<'_>) -> Option<Config> {
    let fields = reader.fields(root, &reference::TOP)?;
    let listen = doors::listen(reader, &fields);
    let mut admin = doors::admin(reader, &fields, &listen);
    let limits = limits::limits(reader, &fields);
    let drain = service::drain(reader, &fields);
    let log = service::log(reader, &fields);
    let audit = audit::audit(reader, &fields);
    let mut pools = pools::pools(reader, &fields);
    let mut segments = segments::segments(reader, &fields);
    let routes = routes::routes(reader, &fields, pools.as_deref(), &segments);
    let passthrough = passthrough::passthrough(reader, &fields, pools.as_deref());
    let topics = routes.iter().map(|route| route.name.clone());
    let topics = topics.chain(passthrough.iter().map(Passthrough::topic)).collect();
    callers::keys(reader, &fields, &mut segments, topics);
    admin.keys = operators::keys(reader, &fields, &segments);
    let anonymous = segments::anonymous(reader, &fields, &segments);
    let identity = identity::identity(reader, &fields, &segments);
    let users = Users { routes: &routes, passthrough: &passthrough };
    concurrency::settle(reader, &fields, pools.as_deref_mut().unwrap_or_default(), &users);
    Some(Config {
        listen,
        admin,
        limits,
        drain,
        log,
        audit,
        pools: pools.unwrap_or_default(),
        routes,
        passthrough,
        segments,
        anonymous,
        identity,
    })
}
