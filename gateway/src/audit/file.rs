//! The file of the audit log: opened for appending only, locked against a second writer, its chain picked up where it
//! ended. A crash can leave the last line torn. It stays as it is, and the next line marks it by its hash, so that who
//! reads the log can tell a crash from an edit.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::json;

use super::chain::{Link, Read, torn_mark};
use super::{Action, By, Change, Problem, SigningKey};

/// Longest line that is looked for at the end: ours have a few hundred bytes, some KB with many targets.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// When a log is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// At the start of the process; it is made if it is not there.
    First,
    /// After it could not be written: it must still be there.
    Again,
}

/// An open log.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// How long it is, if nobody else writes there.
    length: u64,
    last: Link,
    end: End,
}

/// What the file ends with.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Whole,
    /// A line that lacks nothing but its newline.
    Unended,
    /// Part of a line.
    Torn(Vec<u8>),
}

impl LogFile {
    pub(super) fn open(path: &Path, opening: Opening) -> Result<Self, Problem> {
        let unfit = |why: String| Problem::Unfit { path: path.to_owned(), why };
        let failed = |error| Problem::Io { path: path.to_owned(), error };
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(opening == Opening::First).mode(0o600);
        let mut file = options.open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(unfit("another Weir writes it".into())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(unfit("it is no regular file".into()));
        }
        let (last, end) = find_end(&mut file, metadata.len()).map_err(failed)?.map_err(unfit)?;
        Ok(Self { path: path.to_owned(), file, length: metadata.len(), last, end })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What an operator should know of its end.
    pub(super) fn warning(&self) -> Option<String> {
        let End::Torn(torn) = &self.end else { return None };
        Some(format!(
            "the audit log {} ends with a torn line of {} bytes, as a crash leaves it: it stays, and the next line marks it",
            self.path.display(),
            torn.len()
        ))
    }

    /// Writes a line, and what has to stand before it; it is on the disk then.
    pub(super) fn append(
        &mut self,
        change: &Change,
        time: SystemTime,
        key: Option<&SigningKey>,
    ) -> Result<(), Problem> {
        self.is_ours()?;
        let (mut bytes, mut last) = (String::new(), self.last.clone());
        let mut add = |change: &Change| {
            let (line, next) = last.line(change, time, key);
            bytes += &line;
            bytes.push('\n');
            last = next;
        };
        let mut before = "";
        match &self.end {
            End::Whole => {}
            End::Unended => before = "\n",
            End::Torn(torn) => {
                before = "\n";
                add(&Change {
                    by: By::process("weir"),
                    action: Action::Recover,
                    target: "audit".into(),
                    before: torn_mark(torn),
                    after: json!({}),
                });
            }
        }
        add(change);
        bytes.insert_str(0, before);
        let written = self.file.write_all(bytes.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| Problem::Io { path: self.path.clone(), error })?;
        self.length += bytes.len() as u64;
        (self.last, self.end) = (last, End::Whole);
        Ok(())
    }

    /// Whether the path still leads to this file, and nobody else has written there: a log that was moved away or cut
    /// would go on where nobody looks.
    fn is_ours(&self) -> Result<(), Problem> {
        let unfit = |why: &str| Problem::Unfit { path: self.path.clone(), why: why.to_owned() };
        let failed = |error| Problem::Io { path: self.path.clone(), error };
        let Ok(there) = std::fs::metadata(&self.path) else {
            return Err(unfit("it was moved or removed while Weir wrote it; start Weir anew"));
        };
        let here = self.file.metadata().map_err(failed)?;
        if (here.dev(), here.ino()) != (there.dev(), there.ino()) {
            return Err(unfit("another file stands in its place; start Weir anew"));
        }
        if here.len() != self.length {
            return Err(unfit("somebody else has changed it; see `weir audit verify` and start Weir anew"));
        }
        Ok(())
    }
}

/// The last link of the chain and what follows it, or why the file cannot be gone on with.
fn find_end(file: &mut File, length: u64) -> io::Result<Result<(Link, End), String>> {
    let from = length.saturating_sub(LINE_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let mut lines: Vec<&[u8]> = tail.split(|byte| *byte == b'\n').collect();
    let rest = lines.pop().unwrap_or_default();
    // The first of them may have begun before.
    let whole = if from > 0 { lines.get(1..).unwrap_or_default() } else { &lines };
    let last = match whole.last() {
        None if from > 0 => return Ok(Err("its last line is longer than 1 MiB: is it an audit log?".into())),
        None => Link::origin(),
        Some(line) => match Read::of(line).filter(Read::is_whole) {
            Some(line) => line.link(),
            None => {
                return Ok(Err("its last line was edited; see `weir audit verify`, and move it away".into()));
            }
        },
    };
    if rest.is_empty() {
        return Ok(Ok((last, End::Whole)));
    }
    Ok(Ok(match Read::of(rest).filter(|line| line.is_whole() && line.head.prev == last.hash) {
        Some(line) => (line.link(), End::Unended),
        None => (last, End::Torn(rest.to_vec())),
    }))
}
