//! `weir demo`: the product on one machine, with three simulated model servers behind it.

use std::io::Write;

use loadtest::modelsim::{self, Handle, Settings};
use router_core::config::{Config, Endpoint};
use tokio::net::TcpListener;

use super::{Stop, load, serve};
use crate::cli::Demo;

/// The configuration that everybody starts from.
const CONFIG: &str = include_str!("../../../config/weir.yaml");

pub(crate) fn demo(arguments: &Demo) -> Result<(), Stop> {
    serve::live(async {
        let mut config = router_core::config::load(CONFIG, &|_| None)
            .map_err(|problems| Stop::Failed(problems.iter().map(ToString::to_string).collect()))?
            .config;
        load::place_doors(&mut config, &arguments.doors)?;
        let servers = simulate(&mut config).await?;
        let running = serve::start(config, None).await?;
        running.announce();
        tour(&running.data(), &running.admin(), &servers).map_err(|error| Stop::Failed(error.to_string()))?;
        running.until_stopped().await
    })
}

/// Starts one simulated model server for each pool, on free ports, and points the pool at it.
async fn simulate(config: &mut Config) -> Result<Vec<(String, Handle)>, Stop> {
    let failed = |error: std::io::Error| Stop::Failed(format!("cannot start a model server: {error}"));
    let mut servers = Vec::new();
    for pool in &mut config.pools {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        // Each writes other letters.
        let settings = Settings { seed: servers.len() as u64, ..Settings::default() };
        let server = modelsim::serve(listener, settings).map_err(failed)?;
        pool.endpoints = vec![Endpoint {
            tls: false,
            host: server.address().ip().to_string(),
            port: server.address().port(),
            path_prefix: String::new(),
        }];
        servers.push((pool.name.clone(), server));
    }
    Ok(servers)
}

/// What to try.
fn tour(data: &str, admin: &str, servers: &[(String, Handle)]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "Three simulated model servers stand behind the route letter-writer:")?;
    for (pool, server) in servers {
        writeln!(out, "  {pool:<7} {}", server.url())?;
    }
    writeln!(
        out,
        r#"
Try, in another terminal:

  # one answer; x-weir-target says who gave it: 6, 2 and 2 of every ten
  curl -si {data}/v1/chat/completions -H 'content-type: application/json' \
    -d '{{"model":"letter-writer","max_tokens":40,"messages":[{{"role":"user","content":"Write a short letter."}}]}}'

  # the same as it is made, through Anthropic's API
  curl -sN {data}/v1/messages -H 'content-type: application/json' -H 'anthropic-version: 2023-06-01' \
    -d '{{"model":"letter-writer","stream":true,"max_tokens":40,"messages":[{{"role":"user","content":"Hello"}}]}}'

  # the canary: this header goes to full/gpt-4o
  curl -si {data}/v1/chat/completions -H 'content-type: application/json' -H 'x-api-version: v2' \
    -d '{{"model":"letter-writer","max_tokens":5,"messages":[{{"role":"user","content":"Hello"}}]}}' | grep x-weir-target

  # a stream that its model server breaks off: an error event, and no [DONE]
  curl -sN {data}/v1/chat/completions -H 'content-type: application/json' -H 'x-sim-fault: cut=5' \
    -d '{{"model":"letter-writer","stream":true,"messages":[{{"role":"user","content":"Hello"}}]}}' | tail -3

  # what operators see
  curl -s {admin}/metrics | grep weir_requests_total
  curl -s {admin}/admin/v1/routes

Stop it with Ctrl-C. Each call is logged below."#
    )
}
