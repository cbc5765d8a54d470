//! What is in front of the model server: started anew for every point.

use std::net::SocketAddr;

use loadtest::overload::sim::Objective;

use super::SEGMENTS;
use super::envoy;
use super::options::{Against, Front, Kind, Limit};
use super::points::Point;
use crate::rig::{Binaries, Daemon, RigError, Workdir, free_address};

/// Starts a front; nothing for [`Against::Nothing`].
///
/// # Errors
///
/// Says why it does not run.
pub(super) async fn start(
    front: Front,
    point: &Point,
    server: SocketAddr,
    binaries: &Binaries,
    dir: &Workdir,
) -> Result<Option<Daemon>, RigError> {
    match front {
        Front::Against(Against::Nothing) => Ok(None),
        Front::Against(Against::Envoy) => {
            let listen = free_address()?;
            let config = envoy::config(dir.path(), listen, server);
            binaries.envoy_by(&config, listen, dir).await.map(Some)
        }
        Front::Weir(_) | Front::Gate(_) => {
            let path = dir.file("weir.yaml");
            std::fs::write(&path, config(front, point.kind, &point.scenario.objective, server))
                .map_err(RigError::io("writing weir.yaml"))?;
            binaries.weir_by(&path, dir).await.map(Some)
        }
    }
}

/// Everything that is not said here is a default.
fn config(front: Front, kind: Kind, objective: &Objective, server: SocketAddr) -> String {
    let (concurrency, queue) = match front {
        Front::Gate(limit) => (fixed(limit), ", queue: { wait: 0s }"),
        Front::Weir(Limit::Fixed(limit)) => (fixed(limit), ""),
        Front::Weir(limit) => (format!("{{ algorithm: {} }}", limit.name()), ""),
        Front::Against(_) => (String::new(), ""),
    };
    let objective = format!(
        "{{ first_token: {}ms, inter_token: {}ms }}",
        objective.first_token.0.as_millis(),
        objective.inter_token.0.as_millis()
    );
    let segments: String = SEGMENTS
        .iter()
        .map(|(name, share)| {
            let order = if kind == Kind::Strict && *name == "enterprise" { "strict" } else { "fair" };
            format!("  {name}: {{ share: {share}, order: {order}, objective: {objective} }}\n")
        })
        .collect();
    format!(
        "listen: [{{ address: 127.0.0.1:0, trust_headers: true }}]\n\
         admin: {{ address: 127.0.0.1:0 }}\n\
         segments:\n{segments}anonymous: b2c\n\
         pools:\n  sim: {{ endpoints: [{{ url: http://{server} }}], concurrency: {concurrency} }}\n\
         routes:\n  letters: {{ targets: [{{ pool: sim }}]{queue} }}\n"
    )
}

fn fixed(limit: u32) -> String {
    format!("{{ algorithm: fixed, limit: {limit} }}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use router_core::config::load;

    #[test]
    fn weir_takes_every_config() {
        let server = SocketAddr::from(([127, 0, 0, 1], 4711));
        let limits =
            [Limit::FirstTokenWindow, Limit::Gradient, Limit::Gradient2, Limit::Aimd, Limit::Fixed(3)];
        let fronts = limits.map(Front::Weir).into_iter().chain([Front::Gate(120)]);
        for (front, kind) in fronts.flat_map(|front| [(front, Kind::Steady), (front, Kind::Strict)]) {
            let text = config(front, kind, &Objective::default(), server);
            let problems = load(&text, &|_| None).err();
            assert!(problems.is_none(), "{problems:?}\n{text}");
        }
    }
}
