//! `weir audit verify`: reads an audit log through and says whether anything in it is not as it was written.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;

use super::{Stop, print};
use crate::audit::{self, PublicKey, Report};
use crate::cli::{Audit, AuditAction, AuditVerify};

pub(crate) fn audit(arguments: &Audit) -> Result<(), Stop> {
    match &arguments.action {
        AuditAction::Verify(asked) => verify(asked),
    }
}

fn verify(asked: &AuditVerify) -> Result<(), Stop> {
    let key = asked.public_key.as_deref().map(|path| {
        PublicKey::read(path)
            .map_err(|problem| Stop::Usage(format!("--public-key {}: {problem}", path.display())))
    });
    let key = key.transpose()?;
    let name = asked.file.display();
    let log =
        File::open(&asked.file).map_err(|error| Stop::Usage(format!("{name}: cannot be read: {error}")))?;
    let report = audit::verify(BufReader::new(log), key.as_ref(), asked.expect_last.as_deref())
        .map_err(|error| Stop::Usage(format!("{name}: cannot be read: {error}")))?;
    let faults = report.findings.len();
    print(told(asked, &report).as_bytes())?;
    if faults == 0 {
        return Ok(());
    }
    Err(Stop::Failed(format!(
        "{name}: {faults} {} that should not be",
        if faults == 1 { "thing" } else { "things" }
    )))
}

fn told(asked: &AuditVerify, report: &Report) -> String {
    let name = asked.file.display();
    let mut out = String::new();
    for line in report.findings.iter().chain(&report.notes) {
        // Writing to a string cannot fail.
        writeln!(out, "{name}: {line}").unwrap_or_default();
    }
    let Some(last) = &report.last else {
        writeln!(out, "{name}: no lines").unwrap_or_default();
        return out;
    };
    let chain = if report.findings.is_empty() { "the chain is whole" } else { "the chain is broken" };
    let signed = match (&asked.public_key, report.unsigned) {
        (Some(_), _) if report.findings.is_empty() => "every line is signed by this key",
        (Some(_), _) => "see above for signatures",
        (None, 0) => "signatures were not checked: --public-key does",
        (None, _) => "not all lines are signed, so who can write the file could have written it anew",
    };
    writeln!(out, "{name}: {} lines, {chain}; {signed}", report.lines).unwrap_or_default();
    writeln!(out, "last: seq {} hash {}", last.seq, last.hash).unwrap_or_default();
    match report.since_expected {
        Some(since) => writeln!(out, "the expected line is there, and {since} after it").unwrap_or_default(),
        None if asked.expect_last.is_none() => {
            out += "Whether newer lines were removed shows only by a hash that was kept elsewhere: --expect-last HASH.\n";
        }
        None => {}
    }
    out
}
