//! `weir check`: every problem of configuration files at once.

use std::path::Path;

use super::{Stop, load, print};
use crate::admin;
use crate::cli::Check;
use crate::path::accept::tls::Identities;
use crate::snapshot::{KeysError, try_keys};

pub(crate) fn check(arguments: &Check) -> Result<(), Stop> {
    let mut faulty = 0;
    for path in &arguments.files {
        let (text, sound) = verdict(path);
        faulty += usize::from(!sound);
        print(format!("{text}\n").as_bytes())?;
    }
    match faulty {
        0 => Ok(()),
        1 => Err(Stop::Usage("1 file cannot be used".into())),
        _ => Err(Stop::Usage(format!("{faulty} files cannot be used"))),
    }
}

/// What there is to say of a file, and whether it can be used.
fn verdict(path: &Path) -> (String, bool) {
    match load::of_file(path) {
        Ok(loaded) => {
            let mut text = String::new();
            for warning in &loaded.warnings {
                text += &format!("{}:{warning} (warning)\n", path.display());
            }
            // What cannot serve has been warned of.
            let tls = Identities::build(&loaded.config).map_or_else(|_| Vec::new(), |all| all.advice());
            for advice in tls.into_iter().chain(admin::advice(&loaded.config.admin)) {
                text += &format!("{}: {advice} (warning)\n", path.display());
            }
            let (pools, routes) = (loaded.config.pools.len(), loaded.config.routes.len());
            let keys_file = loaded.config.identity.keys_file.as_ref();
            // One that is not there has been warned of.
            if let Some(Err(KeysError::Wrong(problems))) =
                keys_file.map(|path| try_keys(path, &loaded.config, drop))
            {
                return (text + &problems, false);
            }
            text += &format!("{}: ok, pools: {pools}, routes: {routes}", path.display());
            (text, true)
        }
        Err(fault) => (fault.to_string(), false),
    }
}
