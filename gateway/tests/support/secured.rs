//! A Weir whose data listener speaks TLS, with the files that a test may change.

use std::sync::Arc;

use rustls::ClientConfig;

use super::client::{Answer, Connection, request};
use super::config::one_pool;
use super::secure::{Authority, Identity, SecureStream, connect};
use super::upstream::Upstream;
use super::weir::{Folder, Weir, command};

/// The listener's settings, as far as every test has them.
const TLS: &str = "certificate: FOLDER/tls.crt, key: { file: FOLDER/tls.key }";

/// A running Weir and what it is known by.
pub struct Secured {
    pub weir: Weir,
    pub files: Folder,
    pub authority: Authority,
    /// Trusts it and offers HTTP/1.1.
    pub caller: Arc<ClientConfig>,
}

impl Secured {
    pub fn before(upstream: &Upstream) -> Self {
        Self::with(upstream, "", "")
    }

    /// With more in `tls`, such as `, client_ca: FOLDER/ca.pem`, where `ca.pem` is the authority's own certificate, and
    /// more at the file's top.
    pub fn with(upstream: &Upstream, tls: &str, top: &str) -> Self {
        let (files, authority) = (Folder::new(), Authority::new());
        write_identity(&files, &authority.identity("localhost"));
        files.write("ca.pem", &authority.pem());
        let path = files.write("weir.yaml", &config(&files, upstream, tls, top));
        let mut command = command();
        command.arg("run").arg("--config").arg(path);
        let weir = Weir::start_as_is(command, None);
        Self { weir, files, caller: authority.client(&["http/1.1"], None), authority }
    }

    pub fn connect(&self) -> Connection<SecureStream> {
        Connection::on(connect(&self.weir.data, self.caller.clone()).unwrap())
    }

    /// `POST` to `path` on a connection of its own.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut connection = self.connect();
        connection.send(request("POST", path, headers, body.as_bytes()));
        connection.answer()
    }

    /// Handshakes that came to nothing for this reason.
    pub fn refused(&self, reason: &str) -> f64 {
        self.weir.metric(&format!("weir_tls_handshakes_refused_total{{reason=\"{reason}\"}}"))
    }
}

/// The configuration of [`Secured::with`].
pub fn config(files: &Folder, upstream: &Upstream, tls: &str, top: &str) -> String {
    let text = format!(
        "listen: [{{ address: 127.0.0.1:0, tls: {{ {TLS}{tls} }} }}]\nadmin: {{ address: 127.0.0.1:0 }}\n{top}\n{}",
        one_pool(&[upstream.url()], "")
    );
    text.replace("FOLDER", &files.0.display().to_string())
}

/// Puts an identity where the listener looks for it; nobody else may read the key.
pub fn write_identity(files: &Folder, identity: &Identity) {
    files.write("tls.crt", &identity.certificate);
    write_key(files, "tls.key", &identity.key);
}

/// A file that only its owner may read.
pub fn write_key(files: &Folder, name: &str, key: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = files.write(name, key);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
