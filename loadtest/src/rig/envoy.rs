//! Envoy as a peer: one route, limits out of the way, and an access log with the fields that Weir's has. One worker,
//! by a flag.

use std::net::SocketAddr;
use std::path::Path;

/// The config. Everything that Envoy writes stays in `dir`.
pub(crate) fn config(dir: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
    TEMPLATE
        .replace("DIR", &dir.display().to_string())
        .replace("LISTEN_HOST", &listen.ip().to_string())
        .replace("LISTEN_PORT", &listen.port().to_string())
        .replace("MODEL_HOST", &upstream.ip().to_string())
        .replace("MODEL_PORT", &upstream.port().to_string())
}

/// Its circuit breakers allow 1,024 by default, and a route's timeout of 15 s would end streams.
const TEMPLATE: &str = r#"static_resources:
  listeners:
  - address: { socket_address: { address: LISTEN_HOST, port_value: LISTEN_PORT } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          stream_idle_timeout: 0s
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: DIR/envoy-access.log
              log_format:
                json_format:
                  time: "%START_TIME%"
                  request_id: "%REQ(X-REQUEST-ID)%"
                  method: "%REQ(:METHOD)%"
                  path: "%REQ(:PATH)%"
                  status: "%RESPONSE_CODE%"
                  request_bytes: "%BYTES_RECEIVED%"
                  response_bytes: "%BYTES_SENT%"
                  ms: "%DURATION%"
                  upstream: "%UPSTREAM_HOST%"
                  upstream_ms: "%RESPONSE_DURATION%"
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{ match: { prefix: "/" }, route: { cluster: model, timeout: 0s } }]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: model
    type: STATIC
    connect_timeout: 5s
    circuit_breakers:
      thresholds:
      - { max_connections: 100000, max_pending_requests: 100000, max_requests: 100000, max_retries: 100000 }
    load_assignment:
      cluster_name: model
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: MODEL_HOST, port_value: MODEL_PORT } } }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_names_only_places_of_its_own() {
        let listen = "127.0.0.1:4711".parse().unwrap();
        let config = config(Path::new("/tmp/here"), listen, "127.0.0.1:4712".parse().unwrap());
        assert!(config.contains("port_value: 4711") && config.contains("port_value: 4712"), "{config}");
        for left in ["DIR", "LISTEN_", "MODEL_"] {
            assert!(!config.contains(left), "{left} in {config}");
        }
    }
}
