//! Reads an audit log through and says what is not as it was written. What is missing at its end cannot be seen from
//! the file alone: the hash of a line that was there before, kept elsewhere, tells.

use std::io::{self, BufRead};

use super::PublicKey;
use super::chain::{Link, NOTHING, Read, unhex};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Lines that are of the chain.
    pub(crate) lines: u64,
    /// Those of them without a signature.
    pub(crate) unsigned: u64,
    pub(crate) last: Option<Link>,
    /// What is wrong.
    pub(crate) findings: Vec<String>,
    /// What is no fault.
    pub(crate) notes: Vec<String>,
    /// Lines after the one that was expected.
    pub(crate) since_expected: Option<u64>,
}

/// Reads a log.
struct Verifier<'a> {
    key: Option<&'a PublicKey>,
    expected: Option<&'a str>,
    report: Report,
    /// A line that cannot be read, with its number, until the next one says whether it was torn by a crash.
    unread: Option<(u64, Vec<u8>)>,
}

/// Reads a log through. `expected` is the hash of a line that must be in it.
pub(crate) fn verify(
    mut log: impl BufRead,
    key: Option<&PublicKey>,
    expected: Option<&str>,
) -> io::Result<Report> {
    let mut verifier = Verifier { key, expected, report: Report::default(), unread: None };
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        if log.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        number += 1;
        let ended = line.pop_if(|byte| *byte == b'\n').is_some();
        verifier.take(number, &line);
        if !ended && verifier.unread.take_if(|(unread, _)| *unread == number).is_some() {
            verifier.report.notes.push(format!(
                "line {number}: torn, {} bytes of it are there: Weir ended while writing it, or somebody cut it; Weir marks it when it starts again",
                line.len()
            ));
        }
    }
    Ok(verifier.end())
}

impl Verifier<'_> {
    fn take(&mut self, number: u64, line: &[u8]) {
        let Some(read) = Read::of(line) else {
            self.unread_is_a_fault();
            self.unread = Some((number, line.to_vec()));
            return;
        };
        match self.unread.take_if(|(_, torn)| read.marks(torn)) {
            Some((torn, _)) => {
                self.report.notes.push(format!("line {torn}: torn by a crash, as line {number} says"));
            }
            None => self.unread_is_a_fault(),
        }
        if !read.is_whole() {
            self.fault(number, &read, "was edited: its hash is of another text");
        }
        self.follows(number, &read);
        self.is_signed(number, &read);
        if self.expected == Some(&read.hash) {
            self.report.since_expected = Some(0);
        } else if let Some(since) = &mut self.report.since_expected {
            *since += 1;
        }
        self.report.lines += 1;
        self.report.last = Some(read.link());
    }

    fn follows(&mut self, number: u64, read: &Read) {
        let (seq, prev) = (read.head.seq, read.head.prev.as_str());
        let Some(last) = self.report.last.clone() else {
            if seq != 1 || prev != NOTHING {
                self.fault(number, read, "is no beginning: the lines before it are missing");
            }
            return;
        };
        if seq == last.seq.saturating_add(1) {
            if prev != last.hash {
                self.fault(number, read, "does not follow from the line before: one of the two was replaced");
            }
        } else if seq > last.seq {
            let missing = format!("follows seq {}: {} lines are missing", last.seq, seq - last.seq - 1);
            self.fault(number, read, &missing);
        } else {
            self.fault(number, read, &format!("is out of order: it follows seq {}", last.seq));
        }
    }

    fn is_signed(&mut self, number: u64, read: &Read) {
        let Some(signature) = &read.signature else {
            self.report.unsigned += 1;
            if self.key.is_some() {
                self.fault(number, read, "is not signed");
            }
            return;
        };
        let Some(key) = self.key else { return };
        if !unhex(signature).is_some_and(|signature| key.has_signed(read.hash.as_bytes(), &signature)) {
            self.fault(number, read, "is not signed by this key");
        }
    }

    fn unread_is_a_fault(&mut self) {
        if let Some((number, _)) = self.unread.take() {
            let what = "is no line of an audit log: it was edited, or something else was written here";
            self.report.findings.push(format!("line {number}: {what}"));
        }
    }

    fn fault(&mut self, number: u64, read: &Read, what: &str) {
        self.report.findings.push(format!("line {number} (seq {}): {what}", read.head.seq));
    }

    fn end(mut self) -> Report {
        self.unread_is_a_fault();
        if let (Some(expected), None) = (self.expected, self.report.since_expected) {
            let what = format!(
                "no line has the hash {expected}: the newest lines were removed, or all was written anew"
            );
            self.report.findings.push(what);
        }
        self.report
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serde_json::json;

    use super::*;
    use crate::audit::{Action, By, Change};

    fn log(lines: u64) -> Vec<String> {
        let mut link = Link::origin();
        let line = |seq| {
            let change = Change {
                by: By::process("weir"),
                action: Action::Deploy,
                target: format!("routes/{seq}"),
                before: json!({ "note": ",\"hash\":\"x\"}" }),
                after: json!({ "weight": 0.7 }),
            };
            let (line, next) = link.line(&change, SystemTime::UNIX_EPOCH, None);
            link = next;
            line
        };
        (1..=lines).map(line).collect()
    }

    fn found(lines: &[String]) -> Vec<String> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        verify(text.as_bytes(), None, None).unwrap().findings
    }

    #[test]
    fn what_was_written_is_right() {
        assert_eq!(found(&log(5)), [""; 0]);
        let report = verify(log(5).join("\n").as_bytes(), None, None).unwrap();
        assert_eq!((report.lines, report.unsigned, report.last.map(|link| link.seq)), (5, 5, Some(5)));
    }

    #[test]
    fn every_kind_of_tampering_is_found_at_its_line() {
        let log = log(5);
        let tampered = |tamper: &dyn Fn(&mut Vec<String>)| {
            let mut lines = log.clone();
            tamper(&mut lines);
            found(&lines).join("; ")
        };
        let edited = tampered(&|lines| lines[2] = lines[2].replace("0.7", "0.8"));
        assert_eq!(edited, "line 3 (seq 3): was edited: its hash is of another text");
        let gap = tampered(&|lines| drop(lines.remove(2)));
        assert_eq!(gap, "line 3 (seq 4): follows seq 2: 1 lines are missing");
        let swapped = tampered(&|lines| lines.swap(1, 2));
        assert!(
            swapped.contains("line 2 (seq 3): follows seq 1")
                && swapped.contains("line 3 (seq 2): is out of order")
        );
        let beheaded = tampered(&|lines| drop(lines.remove(0)));
        assert_eq!(beheaded, "line 1 (seq 2): is no beginning: the lines before it are missing");
        let broken = tampered(&|lines| lines[1].truncate(40));
        assert!(broken.starts_with("line 2: is no line of an audit log"), "{broken}");
        let doubled = tampered(&|lines| lines.insert(1, lines[0].clone()));
        assert!(doubled.starts_with("line 2 (seq 1): is out of order"), "{doubled}");
        let sealed_anew = tampered(&|lines| {
            let body = lines[2].replace("0.7", "0.8");
            let (body, _) = body.rsplit_once(",\"hash\"").unwrap();
            let hash = crate::audit::fingerprint(format!("{body}}}").as_bytes());
            lines[2] = format!("{body},\"hash\":\"{hash}\"}}");
        });
        assert_eq!(
            sealed_anew,
            "line 4 (seq 4): does not follow from the line before: one of the two was replaced"
        );
    }

    #[test]
    fn what_is_missing_at_the_end_shows_by_a_hash_that_was_kept() {
        let (log, text) = (log(5), log(5).join("\n"));
        let hash = Read::of(log[4].as_bytes()).unwrap().hash;
        let kept = verify(text.as_bytes(), None, Some(&hash)).unwrap();
        assert_eq!((kept.findings.len(), kept.since_expected), (0, Some(0)));
        let cut = verify(log[..4].join("\n").as_bytes(), None, Some(&hash)).unwrap();
        assert!(cut.findings[0].contains("the newest lines were removed"), "{:?}", cut.findings);
    }

    #[test]
    fn any_change_of_a_byte_is_found() {
        let text = log(3).join("\n").into_bytes();
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            let report = verify(&changed[..], None, None).unwrap();
            // The last line's own hash can be seen only from outside.
            let torn = report.lines < 3 && !report.notes.is_empty();
            assert!(!report.findings.is_empty() || torn, "byte {at} of {}", text.len());
        }
    }
}
