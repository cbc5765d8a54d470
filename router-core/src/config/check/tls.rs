//! The section `tls` of a listener: its certificate, the key of that, and whose certificates clients have to show.

use std::path::PathBuf;

use super::reader::{At, Fields, Reader};
use super::secret::secret;
use crate::config::problem::{Complaint, FileUse};
use crate::config::reference::TlsSections;
use crate::config::{Address, Secret, Tls, scalar};

/// What a listener at `address` has under `tls`.
pub(super) fn tls(
    reader: &mut Reader<'_>,
    listener: &Fields<'_>,
    address: &Address,
    sections: &TlsSections,
) -> Option<Tls> {
    let at = listener.get("tls")?;
    let fields = reader.fields(at, sections.tls)?;
    if let Address::Unix(_) = address {
        let complaint = Complaint::new(format!("TLS is not spoken on {address}"));
        reader.refuse(
            at,
            complaint.help("a Unix socket never leaves this machine, and its file says who may connect"),
        );
    }
    let certificate = certificate(reader, &fields);
    let key = reader.required(&fields, "key").cloned();
    let key = key.and_then(|at| Some((secret(reader, &at, sections.key)?, at)));
    let client_ca = fields.get("client_ca").and_then(|at| authorities(reader, at));
    let ((certificate, whole), (key, at)) = (certificate?, key?);
    // A certificate that cannot be read is complained of once.
    if whole && is_there(reader, &key) {
        reader.try_file(&at, &certificate, FileUse::Identity { key: Some(&key) });
    }
    Some(Tls { certificate, key, client_ca })
}

/// The certificate's file, and whether it can serve.
fn certificate(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<(PathBuf, bool)> {
    let at = reader.required(fields, "certificate")?;
    let path = reader.value(at, "the path of a file", scalar::file_path)?;
    let whole = reader.try_file(at, &path, FileUse::Identity { key: None });
    Some((path, whole))
}

fn authorities(reader: &mut Reader<'_>, at: &At<'_>) -> Option<PathBuf> {
    let path = reader.value(at, "the path of a file", scalar::file_path)?;
    reader.try_file(at, &path, FileUse::Certificates);
    Some(path)
}

/// Whether the key is not missed already.
fn is_there(reader: &Reader<'_>, key: &Secret) -> bool {
    match key {
        Secret::Env(name) => reader.is_set(name),
        Secret::File(_) => true,
    }
}
