//! Opens listeners, and leaves nothing behind of those that are files.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use router_core::config::Address;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::socket::Listener;

/// The file of a Unix-domain socket, removed with its listener unless another process has put its own there.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode.
type Identity = (u64, u64);

/// Opens a listener; the address is the one with the port that it got.
pub(crate) async fn open(address: &Address) -> io::Result<(Address, Listener, Option<SocketFile>)> {
    match address {
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            Ok((listener.local_addr()?.into(), Listener::Tcp(listener), None))
        }
        Address::Unix(path) => {
            if is_left_behind(path).await {
                fs::remove_file(path)?;
            }
            let listener = UnixListener::bind(path)?;
            let file = SocketFile { path: path.clone(), identity: identity(path)? };
            Ok((address.clone(), Listener::Unix(listener), Some(file)))
        }
    }
}

/// Whether a socket is there on which nobody answers: its process ended without removing it.
async fn is_left_behind(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).await.is_err_and(refused)
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}
