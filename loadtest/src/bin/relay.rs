//! `relay`: the least that a proxy on hyper can do. It reads a request, streams it to one upstream over pooled
//! connections and streams the answer back. No policy, no log, no metric, no look at the body.
//!
//! `loadtest cost` measures Weir beside it: what Weir costs above this is what its decisions cost.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use http::header::{self, HeaderMap, HeaderName};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

/// What the relay is told.
#[derive(Debug, Parser)]
#[command(about = "A bare hyper relay: the floor that the cost of a gateway is measured from")]
struct Options {
    /// Where to listen; port 0 picks a free one and the ready line says which.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where every request goes, as `http://HOST:PORT`.
    #[arg(long)]
    upstream: Uri,
}

type Upstream = Client<HttpConnector, Incoming>;
/// The upstream's answer, or the empty one in its place when there is none.
type Answer = Response<Either<Incoming, Empty<Bytes>>>;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match serve(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With stderr gone there is nobody left to tell.
            drop(writeln!(io::stderr(), "relay: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: &Options) -> io::Result<()> {
    let authority = options.upstream.authority().filter(|_| options.upstream.scheme() == Some(&Scheme::HTTP));
    let Some(authority) = authority else {
        return Err(io::Error::other("--upstream must be http://HOST:PORT"));
    };
    let upstream = connector();
    let listener = TcpListener::bind(options.listen).await?;
    writeln!(io::stderr(), "relay ready: http://{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream, upstream.clone(), authority.clone()));
    }
}

/// The pooled half towards the upstream.
fn connector() -> Upstream {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(usize::MAX).build(connector)
}

/// Serves one connection until it ends; how it ends is the caller's affair.
async fn connection(stream: TcpStream, upstream: Upstream, authority: Authority) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| {
        let upstream = upstream.clone();
        let authority = authority.clone();
        async move { Ok::<_, std::convert::Infallible>(exchange(&upstream, authority, request).await) }
    });
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn exchange(upstream: &Upstream, authority: Authority, mut request: Request<Incoming>) -> Answer {
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let target = Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(path).build();
    let Ok(target) = target else { return failed(StatusCode::BAD_REQUEST) };
    *request.uri_mut() = target;
    strip(request.headers_mut());
    // The client half puts the upstream's own name there.
    request.headers_mut().remove(header::HOST);
    match upstream.request(request).await {
        Ok(mut answer) => {
            strip(answer.headers_mut());
            answer.map(Either::Left)
        }
        Err(_) => failed(StatusCode::BAD_GATEWAY),
    }
}

/// Takes out what is meant for one hop only; hyper frames each side anew.
fn strip(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn failed(status: StatusCode) -> Answer {
    let mut answer = Response::new(Either::Right(Empty::new()));
    *answer.status_mut() = status;
    answer
}

const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A relay in front of one upstream connection: the client's end and the upstream's.
    async fn between() -> (TcpStream, TcpListener) {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = upstream.local_addr().unwrap().to_string().parse().unwrap();
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = door.accept().await.unwrap();
        tokio::spawn(connection(accepted, connector(), authority));
        (client, upstream)
    }

    /// Reads until `end` has come.
    async fn until(stream: &mut TcpStream, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            text.push(char::from(stream.read_u8().await.unwrap()));
        }
        text
    }

    #[tokio::test]
    async fn both_bodies_are_passed_on_as_they_come() {
        let (mut client, upstream) = between().await;
        let head = "POST /v1/x?y=z HTTP/1.1\r\nhost: weir\r\nconnection: keep-alive\r\nx-a: b\r\ncontent-length: 8\r\n\r\n";
        client.write_all(format!("{head}half").as_bytes()).await.unwrap();
        let (mut server, _) = upstream.accept().await.unwrap();
        let seen = until(&mut server, "half").await;
        assert!(seen.starts_with("POST /v1/x?y=z HTTP/1.1\r\n") && seen.contains("x-a: b\r\n"), "{seen}");
        assert!(!seen.contains("weir") && !seen.contains("keep-alive"), "{seen}");

        let answer = "HTTP/1.1 201 Created\r\nx-c: d\r\nconnection: close\r\ncontent-length: 8\r\n\r\n";
        server.write_all(format!("{answer}half").as_bytes()).await.unwrap();
        let seen = until(&mut client, "half").await;
        assert!(seen.starts_with("HTTP/1.1 201 Created\r\n") && seen.contains("x-c: d\r\n"), "{seen}");
        client.write_all(b"rest").await.unwrap();
        until(&mut server, "rest").await;
        server.write_all(b"rest").await.unwrap();
        until(&mut client, "rest").await;
    }

    #[tokio::test]
    async fn no_upstream_is_a_bad_gateway() {
        let (mut client, upstream) = between().await;
        drop(upstream);
        client.write_all(b"GET / HTTP/1.1\r\nhost: weir\r\n\r\n").await.unwrap();
        let seen = until(&mut client, "\r\n\r\n").await;
        assert!(seen.starts_with("HTTP/1.1 502 "), "{seen}");
    }
}
