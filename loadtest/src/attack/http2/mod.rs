//! Floods over HTTP/2 with prior knowledge. What the gateway sends is read all the time: a flood whose answers are
//! not read stops by itself.

mod floods;
mod frames;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::options::Attack;
use super::tally::{Sent, Tally};
use floods::{Batch, Flood};
use frames::{ACK, Kind};

/// One connection after the other until the attack is over.
pub(crate) async fn connections(attack: Attack, address: SocketAddr, until: Instant, tally: Tally) {
    while Instant::now() < until && !tally.counts().speaks_no_http2 {
        let Ok(Ok(stream)) = tokio::time::timeout(CONNECT_MAX, TcpStream::connect(address)).await else {
            tally.refused();
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        tally.opened();
        let mut one = One { stream, seen: Vec::new(), sent: Sent::default() };
        let started = Instant::now();
        let end = one.flood(attack, until).await.err();
        one.sent.after = started.elapsed();
        match end {
            Some(End::NoHttp2) => tally.speaks_no_http2(),
            Some(End::Cut(how)) => tally.cut(&how, one.sent),
            None => tally.left(one.sent),
        }
        // Not to make a flood of connections of it.
        tokio::time::sleep(PAUSE).await;
    }
}

/// Why a connection is no longer used.
#[derive(Debug)]
enum End {
    /// The gateway ended it, so.
    Cut(String),
    NoHttp2,
}

/// One connection.
struct One {
    stream: TcpStream,
    /// What was read and is not a whole frame yet.
    seen: Vec<u8>,
    sent: Sent,
}

impl One {
    async fn flood(&mut self, attack: Attack, until: Instant) -> Result<(), End> {
        self.write(Batch { bytes: frames::hello(), frames: 0 }).await?;
        self.greeting().await?;
        let mut flood = Flood::new(attack);
        self.write(flood.opening()).await?;
        while Instant::now() < until {
            self.write(flood.batch()).await?;
            self.listen(BATCH_EVERY, attack).await?;
        }
        Ok(())
    }

    /// Writes, or hears why it cannot: a gateway that neither reads nor says anything has stopped the flood, too.
    async fn write(&mut self, batch: Batch) -> Result<(), End> {
        match tokio::time::timeout(STALL_MAX, self.stream.write_all(&batch.bytes)).await {
            Ok(Ok(())) => {
                self.sent.frames += batch.frames;
                self.sent.bytes += batch.bytes.len() as u64;
                Ok(())
            }
            Ok(Err(_)) => Err(self.last_words().await),
            Err(_) => Err(End::Cut("no longer read".to_owned())),
        }
    }

    /// The first frame must be the gateway's SETTINGS.
    async fn greeting(&mut self) -> Result<(), End> {
        while self.seen.len() < 9 {
            match tokio::time::timeout(CONNECT_MAX, self.stream.read_buf(&mut self.seen)).await {
                Ok(Ok(1..)) => {}
                _ => return Err(End::NoHttp2),
            }
        }
        if self.seen.get(3) != Some(&(Kind::Settings as u8)) {
            return Err(End::NoHttp2);
        }
        let mut ack = Vec::new();
        frames::frame(&mut ack, Kind::Settings, ACK, 0, &[]);
        self.write(Batch { bytes: ack, frames: 0 }).await
    }

    /// Reads for a while what the gateway says.
    async fn listen(&mut self, time: Duration, attack: Attack) -> Result<(), End> {
        let until = tokio::time::Instant::now() + time;
        while let Ok(read) = tokio::time::timeout_at(until, self.stream.read_buf(&mut self.seen)).await {
            if !matches!(read, Ok(1..)) {
                return Err(End::Cut("closed".to_owned()));
            }
            self.understand(attack)?;
        }
        Ok(())
    }

    /// A GOAWAY ends the flood. A bomb is defused by whatever ends its stream: an error's head, or a reset.
    fn understand(&mut self, attack: Attack) -> Result<(), End> {
        while let Some((kind, _, _, payload)) = frames::next(&mut self.seen) {
            let is = |other: Kind| kind == other as u8;
            if is(Kind::GoAway) {
                let code =
                    payload.get(4..8).and_then(|code| code.try_into().ok()).map_or(0, u32::from_be_bytes);
                return Err(End::Cut(format!("GOAWAY {}", name(code))));
            }
            if attack == Attack::HpackBomb && is(Kind::RstStream) {
                return Err(End::Cut("stream reset".to_owned()));
            }
            if attack == Attack::HpackBomb && is(Kind::Headers) {
                return Err(End::Cut("answered".to_owned()));
            }
        }
        Ok(())
    }

    /// What came before the connection could no longer be written to.
    async fn last_words(&mut self) -> End {
        match self.listen(PAUSE, Attack::Ping).await {
            Err(end) => end,
            Ok(()) => End::Cut("closed".to_owned()),
        }
    }
}

/// The error codes of RFC 9113 that end floods.
fn name(code: u32) -> String {
    match code {
        0 => "NO_ERROR".to_owned(),
        1 => "PROTOCOL_ERROR".to_owned(),
        2 => "INTERNAL_ERROR".to_owned(),
        6 => "FRAME_SIZE_ERROR".to_owned(),
        9 => "COMPRESSION_ERROR".to_owned(),
        11 => "ENHANCE_YOUR_CALM".to_owned(),
        code => code.to_string(),
    }
}

const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Between batches: up to 64,000 frames a second on each connection.
const BATCH_EVERY: Duration = Duration::from_millis(1);
const STALL_MAX: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);
