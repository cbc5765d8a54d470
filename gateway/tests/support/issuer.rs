//! An issuer of bearer tokens: its keys, the tokens it signs, and a server that shows its public keys.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

use super::pause;
use super::upstream::{Upstream, answer};

/// What the tokens of these tests say of their issuer and whom they are for.
pub const ISSUER: &str = "https://issuer.example/";
pub const AUDIENCE: &str = "weir";

/// A key of an issuer's.
pub struct Key {
    pub kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Key {
    pub fn rsa(kid: &str) -> Self {
        Self { kid: kid.into(), pair: Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()) }
    }

    pub fn ec(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { kid: kid.into(), pair: Pair::Ec(pair) }
    }

    pub fn ed(kid: &str) -> Self {
        Self { kid: kid.into(), pair: Pair::Ed(Ed25519KeyPair::generate().unwrap()) }
    }

    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
            Pair::Ed(_) => "EdDSA",
        }
    }

    /// Its public half, as it stands in a set of keys.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                // A sequence of two numbers (RFC 8017, A.1.1), the first with a zero before its 256 bytes.
                let der = pair.public_key().as_ref();
                let (n, e) = (encode(&der[9..265]), encode(&der[der.len() - 3..]));
                json!({ "kty": "RSA", "n": n, "e": e })
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) })
            }
            Pair::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
        };
        jwk["kid"] = self.kid.clone().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// The bytes of the public key, as an attacker would use them for a secret.
    pub fn public_bytes(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, text.as_bytes()).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(text.as_bytes()).as_ref().to_vec(),
        }
    }

    /// A token with these claims, signed and named as it should be.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "alg": self.algorithm(), "typ": "JWT", "kid": self.kid }), claims)
    }

    /// The same with another head.
    pub fn token_with(&self, head: &Value, claims: &Value) -> String {
        let text = unsigned(head, claims);
        format!("{text}.{}", encode(&self.sign(&text)))
    }
}

/// Head and claims of a token.
pub fn unsigned(head: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(head.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
}

/// Claims that are good for an hour: a caller and the segment that it is of.
pub fn claims(caller: &str, segment: &str) -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "exp": now() + 3600, "sub": caller, "tier": segment })
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A set of keys.
pub fn jwks(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

/// Base64 with the URL's alphabet, without padding.
pub fn encode(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            out.push(char::from(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]));
        }
    }
    out
}

/// A server that shows an issuer's keys, as a test tells it to.
pub struct Server {
    upstream: Upstream,
    page: Arc<Mutex<Vec<u8>>>,
    frozen: Arc<AtomicBool>,
}

impl Server {
    pub fn new(keys: &[&Key]) -> Self {
        let (page, frozen) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (shown, waits) = (page.clone(), frozen.clone());
        let upstream = Upstream::with(move |_, socket: &mut TcpStream| {
            while waits.load(Ordering::SeqCst) {
                pause(Duration::from_millis(5));
            }
            let page = shown.lock().unwrap().clone();
            !page.is_empty() && socket.write_all(&page).is_ok()
        });
        let server = Self { upstream, page, frozen };
        server.shows(keys);
        server
    }

    pub fn url(&self) -> String {
        format!("{}/.well-known/jwks.json", self.upstream.url())
    }

    /// From now on it shows these keys.
    pub fn shows(&self, keys: &[&Key]) {
        let headers = [("content-type", "application/json"), ("cache-control", "public, max-age=3600")];
        self.answers(answer("200 OK", &headers, jwks(keys).as_bytes()));
    }

    /// From now on it answers so; with nothing it closes the connection.
    pub fn answers(&self, bytes: Vec<u8>) {
        *self.page.lock().unwrap() = bytes;
    }

    /// Whether it keeps everybody waiting.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::SeqCst);
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.upstream.got().len()
    }

    /// What it was asked first.
    pub fn first(&self) -> super::upstream::Got {
        self.upstream.got().remove(0)
    }
}
