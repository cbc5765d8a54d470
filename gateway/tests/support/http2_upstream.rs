//! An upstream that speaks HTTP/2, and does to its streams and connections what a test tells it to.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener as AsyncListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::upstream::{FINISH, completion, delta};

/// What the upstream got.
#[derive(Clone, Debug)]
pub struct Got {
    pub uri: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// An upstream on a free port. What it does with a request, `x-test` says:
/// `hold` answers when the test says so, `stream` sends one event and the rest when the test says so, `reset` sends
/// one event and resets, `part` sends half a document and resets without an error when the test says so, `refuse N`
/// refuses the first N without having done anything, `flood` sends without end, `goaway` answers and ends its
/// connection; without it, it answers with a small chat completion.
pub struct Http2Upstream {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    got: Mutex<Vec<Got>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    /// Streams that Weir gave up, and how.
    resets: Mutex<Vec<Reason>>,
    refused: AtomicUsize,
    release: Notify,
    streams_max: Option<u32>,
    /// How long it takes to say how many streams it allows.
    settles_after: Duration,
}

impl Http2Upstream {
    pub fn new(streams_max: Option<u32>) -> Self {
        Self::start(streams_max, Duration::ZERO, None)
    }

    /// One that takes this long to open a connection.
    pub fn slow_to_open(streams_max: u32, after: Duration) -> Self {
        Self::start(Some(streams_max), after, None)
    }

    /// One behind TLS.
    pub fn secure(config: Arc<ServerConfig>) -> Self {
        Self::start(None, Duration::ZERO, Some(config.into()))
    }

    fn start(streams_max: Option<u32>, settles_after: Duration, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { streams_max, settles_after, ..Shared::default() });
        let serving = shared.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = AsyncListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    stream.set_nodelay(true).unwrap();
                    tokio::spawn(connected(stream, tls.clone(), serving.clone()));
                }
            });
        });
        Self { port, shared }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything it got so far.
    pub fn got(&self) -> Vec<Got> {
        self.shared.got.lock().unwrap().clone()
    }

    /// Connections made to it so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections that have not ended.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// How streams were given up so far.
    pub fn resets(&self) -> Vec<Reason> {
        self.shared.resets.lock().unwrap().clone()
    }

    /// Lets everything that is held go on.
    pub fn release(&self) {
        self.shared.release.notify_waiters();
    }
}

async fn connected(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    shared.connections.fetch_add(1, Ordering::SeqCst);
    shared.open.fetch_add(1, Ordering::SeqCst);
    match tls {
        None => serve(stream, &shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, &shared).await;
            }
        }
    }
    shared.open.fetch_sub(1, Ordering::SeqCst);
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, shared: &Arc<Shared>) {
    tokio::time::sleep(shared.settles_after).await;
    let mut builder = h2::server::Builder::new();
    if let Some(streams_max) = shared.streams_max {
        builder.max_concurrent_streams(streams_max);
    }
    let Ok(mut connection) = builder.handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let behaviour = request.headers().get("x-test").map(|value| value.to_str().unwrap().to_owned());
        let behaviour = behaviour.unwrap_or_default();
        if behaviour == "goaway" {
            connection.graceful_shutdown();
        }
        tokio::spawn(answer(request, respond, behaviour, shared.clone()));
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    behaviour: String,
    shared: Arc<Shared>,
) {
    if let Some(count) = behaviour.strip_prefix("refuse ")
        && shared.refused.fetch_add(1, Ordering::SeqCst) < count.parse().unwrap()
    {
        respond.send_reset(Reason::REFUSED_STREAM);
        return;
    }
    let (head, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(data)) = incoming.data().await {
        incoming.flow_control().release_capacity(data.len()).unwrap();
        body.extend_from_slice(&data);
    }
    let released = shared.release.notified();
    tokio::pin!(released);
    released.as_mut().enable();
    shared.got.lock().unwrap().push(Got { uri: head.uri.to_string(), headers: head.headers, body });
    if behaviour == "hold" {
        tokio::select! {
            () = &mut released => {}
            reason = std::future::poll_fn(|context| respond.poll_reset(context)) => {
                shared.resets.lock().unwrap().push(reason.unwrap());
                return;
            }
        }
    }
    let streams = ["stream", "reset", "flood"].contains(&&*behaviour);
    let kind = if streams { "text/event-stream" } else { "application/json" };
    let head = Response::builder().header("content-type", kind).header("x-theirs", "1").body(()).unwrap();
    let mut sending = respond.send_response(head, false).unwrap();
    if !streams {
        let whole = completion();
        let body = whole.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        if behaviour == "part" {
            sending.send_data(whole[body..whole.len() / 2].to_vec().into(), false).unwrap();
            released.await;
            sending.send_reset(Reason::NO_ERROR);
            return;
        }
        sending.send_data(whole[body..].to_vec().into(), true).unwrap();
        return;
    }
    sending.send_data(delta("Dear").into(), false).unwrap();
    let reset = match &*behaviour {
        "reset" => {
            released.await;
            sending.send_reset(Reason::INTERNAL_ERROR);
            return;
        }
        "stream" => tokio::select! {
            () = &mut released => None,
            reason = std::future::poll_fn(|context| sending.poll_reset(context)) => Some(reason.unwrap()),
        },
        _ => loop {
            sending.reserve_capacity(4096);
            match std::future::poll_fn(|context| sending.poll_capacity(context)).await {
                Some(Ok(room)) => {
                    sending.send_data(vec![b':'; room].into(), false).unwrap();
                }
                _ => return,
            }
        },
    };
    match reset {
        Some(reason) => shared.resets.lock().unwrap().push(reason),
        None => sending.send_data(Bytes::from_static(FINISH), true).unwrap(),
    }
}
