//! The sections `listen` and `admin`: where clients and operators come in.

use super::reader::{At, Fields, Reader};
use super::tls::tls;
use crate::config::problem::Complaint;
use crate::config::{Address, Admin, Listen, MetricsListener, address, reference};

pub(super) fn listen(reader: &mut Reader<'_>, top: &Fields<'_>) -> Vec<Listen> {
    let Some(at) = top.get("listen") else { return vec![Listen::default()] };
    let Some(items) = reader.items(at) else { return Vec::new() };
    if items.is_empty() {
        reader.refuse(at, Complaint::new("at least one address is needed"));
    }
    let mut listen: Vec<Listen> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(fields) = reader.fields(item, &reference::LISTEN) else { continue };
        let trust_headers = reader.switch(&fields, "trust_headers").unwrap_or(false);
        let Some(at) = reader.required(&fields, "address") else { continue };
        let Some(address) = reader.value(at, EXPECTED, address::anywhere) else { continue };
        if let Some(other) = listen.iter().find(|other| other.address.meets(&address)) {
            let complaint = Complaint::new(format!("{address} is listened on already"));
            let same = other.address == address;
            let help = || format!("nobody can listen there and on {}", other.address);
            reader.refuse(at, if same { complaint } else { complaint.help(help()) });
        }
        let tls = tls(reader, &fields, &address, &reference::tls::LISTEN);
        if listen.iter().any(|other| other.address == address && other.tls != tls) {
            let complaint = Complaint::new(format!("two listeners on {address} cannot differ in `tls`"));
            reader.refuse(at, complaint.help("they are told apart by address"));
        }
        listen.push(Listen { address, trust_headers, tls });
    }
    listen
}

/// The operators' listeners, none of them where clients come in.
pub(super) fn admin(reader: &mut Reader<'_>, top: &Fields<'_>, listen: &[Listen]) -> Admin {
    let mut admin = Admin::default();
    let fields = top.get("admin").and_then(|at| reader.fields(at, &reference::ADMIN));
    // What is wrong with them is told where they are read.
    let keyed = fields.as_ref().is_some_and(|fields| fields.get("keys").is_some());
    if let Some(at) = fields.as_ref().and_then(|fields| fields.get("address"))
        && let Some(address) =
            reader.value(at, EXPECTED, if keyed { address::anywhere } else { address::local })
    {
        admin.address = address;
    }
    admin.tls =
        fields.as_ref().and_then(|fields| tls(reader, fields, &admin.address, &reference::tls::ADMIN));
    apart(reader, top, listen, &admin);
    let Some(at) = fields.as_ref().and_then(|fields| fields.get("metrics")) else { return admin };
    admin.metrics = metrics(reader, at, listen, &admin.address);
    admin
}

fn metrics(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    listen: &[Listen],
    operators: &Address,
) -> Option<MetricsListener> {
    let fields = reader.fields(at, &reference::METRICS)?;
    let at = reader.required(&fields, "address")?;
    let address = reader.value(at, EXPECTED, address::anywhere)?;
    if address.meets(operators) {
        let complaint = Complaint::new(format!("{address} is also where operators are listened for"));
        reader.refuse(at, complaint.help("the admin listener serves `/metrics` anyway"));
    }
    if listen.iter().any(|listen| address.meets(&listen.address)) {
        let complaint = Complaint::new(format!("{address} is also where clients are listened for"));
        reader.refuse(at, complaint.help("metrics need an address of their own"));
    }
    let tls = tls(reader, &fields, &address, &reference::tls::METRICS);
    Some(MetricsListener { address, tls })
}

/// Clients and operators cannot be listened for at the same place.
fn apart(reader: &mut Reader<'_>, top: &Fields<'_>, listen: &[Listen], admin: &Admin) {
    let Some(at) = top.get("listen").or_else(|| top.get("admin")) else { return };
    for Listen { address, .. } in listen.iter().filter(|listen| listen.address.meets(&admin.address)) {
        let complaint = Complaint::new(format!("{address} is also where operators are listened for"));
        reader.refuse(at, complaint.help(format!("`admin.address` is {}", admin.address)));
    }
}

const EXPECTED: &str = "an address";
