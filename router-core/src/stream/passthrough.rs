//! What the events of a stream say whose API is not known: LangServe's names for the end and for an error are
//! known, and everything else is content.

use super::event::Event;
use super::sse::{Ending, Found};

pub(super) fn read(event: &Event<'_>) -> Found {
    let ending = match event.name {
        b"error" => Some(Ending::Failed),
        b"end" => Some(Ending::Complete),
        _ => None,
    };
    Found { content: ending.is_none(), ending, ..Found::default() }
}
