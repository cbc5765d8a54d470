//! What sockets can do to each other beyond reading and writing.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tokio::net::TcpSocket;

/// From now on closing this socket resets the connection.
pub fn reset_on_close(socket: &TcpStream) {
    TcpSocket::from_std_stream(socket.try_clone().unwrap()).set_zero_linger().unwrap();
}

/// Whether closing this socket resets the connection.
pub fn resets_on_close(socket: &TcpStream) -> bool {
    let linger = socket.try_clone().map(TcpSocket::from_std_stream).and_then(|socket| socket.linger());
    matches!(linger, Ok(Some(Duration::ZERO)))
}

/// An address where nobody listens.
pub fn dead_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// An address where connections are neither taken nor refused: a listener whose queue is full.
pub struct BlackHole {
    pub address: String,
    _listener: tokio::net::TcpListener,
    _queued: Vec<TcpStream>,
    _runtime: tokio::runtime::Runtime,
}

impl BlackHole {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            socket.listen(0).unwrap()
        });
        let address = listener.local_addr().unwrap();
        let fill = |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let queued: Vec<_> = (0..16).map_while(fill).collect();
        assert!(queued.len() < 16, "the queue has no end");
        Self { address: address.to_string(), _listener: listener, _queued: queued, _runtime: runtime }
    }
}

/// A connection that takes in little while it is not read.
pub fn narrow_connection(address: &str, receive_bytes: u32) -> TcpStream {
    let address: SocketAddr = address.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(receive_bytes).unwrap();
        socket.connect(address).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}
