//! An upstream behind TLS, and the authority that vouches for it.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::upstream::{Got, completion, read_request};

/// A certificate authority of a test's own.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server's side of TLS, with a certificate for `name`.
    pub fn server(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

/// An upstream that speaks HTTP/1.1 over TLS on a free port of 127.0.0.1, and answers every request with a
/// small chat completion.
pub struct SecureUpstream {
    pub port: u16,
    got: Arc<Mutex<Vec<Got>>>,
    connections: Arc<AtomicUsize>,
}

impl SecureUpstream {
    /// One whose certificate, by `authority`, is for `name`.
    pub fn new(authority: &Authority, name: &str) -> Self {
        Self::answering(authority, name, completion())
    }

    /// The same with another answer.
    pub fn answering(authority: &Authority, name: &str, answer: Vec<u8>) -> Self {
        let answer: Arc<[u8]> = answer.into();
        let config = authority.server(name);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let upstream = Self { port, got: Arc::default(), connections: Arc::default() };
        let (got, connections) = (upstream.got.clone(), upstream.connections.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, Ordering::SeqCst);
                let (config, got, answer) = (config.clone(), got.clone(), answer.clone());
                std::thread::spawn(move || {
                    serve(StreamOwned::new(ServerConnection::new(config).unwrap(), stream), &got, &answer);
                });
            }
        });
        upstream
    }

    /// Everything it got so far.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Connections made to it so far, those that came to nothing included.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(stream: StreamOwned<ServerConnection, TcpStream>, got: &Mutex<Vec<Got>>, answer: &[u8]) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream) {
        got.lock().unwrap().push(request);
        if stream.get_mut().write_all(answer).is_err() {
            break;
        }
    }
}
