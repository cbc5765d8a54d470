//! Bad clients that need no HTTP/2: those that send slowly, read never, say nothing, or leave.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::options::Attack;
use super::tally::{Sent, Tally};
use crate::rig;

/// When one of the attackers begins. Those who leave come one by one: in step they would be a burst every
/// [`PAUSE`], and nothing between.
pub(crate) fn first(attack: Attack, at: usize) -> Duration {
    match attack {
        Attack::Leaving | Attack::Staying => PAUSE.mul_f64(at as f64 / attack.connections() as f64),
        _ => Duration::ZERO,
    }
}

/// One connection after the other until the attack is over. A gateway that ends one gets another.
pub(crate) async fn connections(attack: Attack, address: SocketAddr, until: Instant, tally: Tally) {
    while Instant::now() < until {
        let Some(stream) = open(attack, address, &tally).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let mut one = One { stream, until, started: Instant::now(), bytes: 0 };
        let how = match attack {
            Attack::SlowHeader => one.drip(SLOW_HEAD, b"x-slow: 1\r\n").await,
            Attack::SlowBody => one.drip(SLOW_BODY, b" ").await,
            Attack::NeverReading => one.never_read(address).await,
            Attack::Leaving => one.read_until(b"data: ", address).await,
            Attack::Staying => one.read_until(b"data: [DONE]", address).await,
            _ => one.wait().await,
        };
        match how {
            Some(how) => tally.cut(&how, one.sent()),
            None => tally.left(one.sent()),
        }
        // Dropped here: a client that leaves has left before the next one comes.
        drop(one);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn open(attack: Attack, address: SocketAddr, tally: &Tally) -> Option<TcpStream> {
    let opened = async {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if attack == Attack::NeverReading {
            // What the kernel takes is not what the gateway holds.
            socket.set_recv_buffer_size(RECEIVE_BYTES)?;
        }
        socket.connect(address).await
    };
    match tokio::time::timeout(CONNECT_MAX, opened).await {
        Ok(Ok(stream)) => {
            tally.opened();
            Some(stream)
        }
        Ok(Err(_)) | Err(_) => {
            tally.refused();
            None
        }
    }
}

/// One connection. Its methods return how the gateway ended it, or nothing if it did not.
struct One {
    stream: TcpStream,
    until: Instant,
    started: Instant,
    bytes: u64,
}

impl One {
    fn sent(&self) -> Sent {
        Sent { frames: 0, bytes: self.bytes, after: self.started.elapsed() }
    }

    async fn write(&mut self, bytes: &[u8]) -> Option<String> {
        match self.stream.write_all(bytes).await {
            Ok(()) => {
                self.bytes += bytes.len() as u64;
                None
            }
            Err(_) => Some("closed".to_owned()),
        }
    }

    /// Sends `start`, then `rest` over and over at one byte a second.
    async fn drip(&mut self, start: &[u8], rest: &[u8]) -> Option<String> {
        if let Some(how) = self.write(start).await {
            return Some(how);
        }
        for byte in rest.iter().cycle() {
            let answer = self.heard(BYTE_EVERY).await;
            if answer.is_some() || Instant::now() >= self.until {
                return answer;
            }
            if let Some(how) = self.write(&[*byte]).await {
                return Some(how);
            }
        }
        None
    }

    /// What the gateway says within a time: a status, or the connection's end.
    async fn heard(&mut self, within: Duration) -> Option<String> {
        let mut answer = [0; 512];
        let read = tokio::time::timeout(within, self.stream.read(&mut answer)).await.ok()?;
        match read {
            Ok(0) => Some("closed".to_owned()),
            Err(_) => Some("reset".to_owned()),
            Ok(read) => {
                let text = String::from_utf8_lossy(&answer[..read]);
                let status = text.split(' ').nth(1).unwrap_or("something").to_owned();
                Some(format!("status {status}"))
            }
        }
    }

    /// Says nothing, and hears nothing unless the gateway has enough of it.
    async fn wait(&mut self) -> Option<String> {
        self.heard(self.until.saturating_duration_since(Instant::now())).await
    }

    /// Asks for a stream and looks only whether the connection still is.
    async fn never_read(&mut self, address: SocketAddr) -> Option<String> {
        let asked = self.write(&rig::render(address, REQUEST_BYTES, true)).await;
        while asked.is_none() && Instant::now() < self.until {
            tokio::time::sleep(LOOK_EVERY).await;
            // An error waits on the socket when the peer has reset it.
            if !matches!(self.stream.take_error(), Ok(None)) {
                return Some("reset".to_owned());
            }
        }
        asked
    }

    /// Asks for a stream, reads until there is this in it, and leaves without a word. Only a gateway without an answer
    /// ends this one.
    async fn read_until(&mut self, sign: &[u8], address: SocketAddr) -> Option<String> {
        if let Some(how) = self.write(&rig::render(address, REQUEST_BYTES, true)).await {
            return Some(how);
        }
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while memchr::memmem::find(&seen, sign).is_none() && Instant::now() < self.until {
            // It may stand across two reads.
            seen.drain(..seen.len().saturating_sub(sign.len()));
            match tokio::time::timeout(ANSWER_MAX, self.stream.read(&mut buffer)).await {
                Ok(Ok(0)) => return Some("closed too early".to_owned()),
                Ok(Ok(read)) => seen.extend_from_slice(&buffer[..read]),
                Ok(Err(_)) => return Some("reset too early".to_owned()),
                Err(_) => return Some("no event".to_owned()),
            }
        }
        None
    }
}

const SLOW_HEAD: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\n";
const SLOW_BODY: &[u8] =
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\ncontent-type: application/json\r\n\
                           authorization: Bearer test\r\ncontent-length: 100000\r\n\r\n{";
const BYTE_EVERY: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(250);
const CONNECT_MAX: Duration = Duration::from_secs(5);
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Before the next connection: not to make a flood of connections of it.
const PAUSE: Duration = Duration::from_millis(100);
const REQUEST_BYTES: usize = 512;
const RECEIVE_BYTES: u32 = 4096;
