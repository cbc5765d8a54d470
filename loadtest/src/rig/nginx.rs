//! nginx as a peer: what its own manual says a proxy for streamed answers should look like, one worker, and an
//! access log with the fields that Weir's has.

use std::net::SocketAddr;
use std::path::Path;

/// The config. Everything that nginx writes stays in `dir`.
pub(crate) fn config(dir: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
    TEMPLATE
        .replace("DIR", &dir.display().to_string())
        .replace("LISTEN", &listen.to_string())
        .replace("UPSTREAM", &upstream.to_string())
}

/// The body buffer is as large as the largest body, so that none goes through a file.
const TEMPLATE: &str = r#"daemon off;
worker_processes 1;
pid DIR/nginx.pid;
error_log DIR/nginx-error.log;
events { worker_connections 65536; }
http {
  log_format calls escape=json '{"time":"$time_iso8601","request_id":"$request_id","method":"$request_method",'
    '"path":"$uri","status":$status,"request_bytes":$request_length,"response_bytes":$body_bytes_sent,'
    '"seconds":$request_time,"upstream":"$upstream_addr","upstream_status":"$upstream_status",'
    '"upstream_first_byte_seconds":"$upstream_header_time","upstream_seconds":"$upstream_response_time"}';
  access_log DIR/nginx-access.log calls;
  client_body_temp_path DIR/nginx-body;
  proxy_temp_path DIR/nginx-proxy;
  fastcgi_temp_path DIR/nginx-fastcgi;
  uwsgi_temp_path DIR/nginx-uwsgi;
  scgi_temp_path DIR/nginx-scgi;
  client_max_body_size 64m;
  client_body_buffer_size 2m;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  upstream model { server UPSTREAM; keepalive 512; keepalive_requests 1000000000; }
  server {
    listen LISTEN;
    location / {
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_names_only_places_of_its_own() {
        let listen = "127.0.0.1:4711".parse().unwrap();
        let config = config(Path::new("/tmp/here"), listen, "127.0.0.1:4712".parse().unwrap());
        assert!(config.contains("listen 127.0.0.1:4711;") && config.contains("server 127.0.0.1:4712;"));
        assert!(
            !config.contains("DIR") && !config.contains("LISTEN") && !config.contains("UPSTREAM"),
            "{config}"
        );
    }
}
