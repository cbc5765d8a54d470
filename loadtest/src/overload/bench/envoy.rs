//! Envoy with its adaptive concurrency filter: the gradient controller on response times, as the example in Envoy's
//! documentation sets it up.

use std::net::SocketAddr;
use std::path::Path;

use crate::rig::envoy_config;

/// The config of the other measurements with the filter before its router.
pub(super) fn config(dir: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
    envoy_config(dir, listen, upstream).replace(ROUTER, &format!("{FILTER}{ROUTER}"))
}

const ROUTER: &str = "          - name: envoy.filters.http.router\n";

const FILTER: &str = r#"          - name: envoy.filters.http.adaptive_concurrency
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency
              gradient_controller_config:
                sample_aggregate_percentile: { value: 50 }
                concurrency_limit_params: { concurrency_update_interval: 0.1s }
                min_rtt_calc_params: { jitter: { value: 10 }, interval: 60s, request_count: 50 }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_stands_before_the_router() {
        let address = SocketAddr::from(([127, 0, 0, 1], 4711));
        let config = config(Path::new("/tmp/here"), address, address);
        let filter = config.find("http.adaptive_concurrency\n").unwrap();
        assert!(filter < config.find(ROUTER).unwrap(), "{config}");
    }
}
