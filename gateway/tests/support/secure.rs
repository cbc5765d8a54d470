//! An upstream behind TLS, callers who speak it, and the authority that vouches for either.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

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

    /// A certificate for `name` and its key, both PEM.
    pub fn identity(&self, name: &str) -> Identity {
        self.identity_until(name, 2090)
    }

    /// The same, with a certificate that ends with the beginning of a year.
    pub fn identity_until(&self, name: &str, year: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A caller's side of TLS that trusts this authority, offers these protocols, and shows `own` if asked for it.
    pub fn client(&self, protocols: &[&str], own: Option<&Identity>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let mut config = match own {
            None => config.with_no_client_auth(),
            Some(own) => {
                let chain = CertificateDer::pem_slice_iter(own.certificate.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                config.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
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

/// A certificate and its key.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

/// A caller's connection.
pub type SecureStream = StreamOwned<ClientConnection, TcpStream>;

/// Connects, shakes hands with a server that is to be `localhost`, and says how that went.
pub fn connect(address: &str, config: Arc<ClientConfig>) -> std::io::Result<SecureStream> {
    over(TcpStream::connect(address)?, config)
}

/// The same over a socket that a test has made.
pub fn over(mut socket: TcpStream, config: Arc<ClientConfig>) -> std::io::Result<SecureStream> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60)))?;
    let mut session = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(session, socket))
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
