//! What a caller says of its call in its headers, found in one pass over them: most callers say none of it, and to look
//! up each name would cost each of them half a microsecond.

use http::HeaderMap;
use router_core::dialect::Reason;
use router_core::overload::ask;

/// The values of [`ask::HEADERS`], in their order.
#[derive(Debug)]
pub(super) struct Words<'h>([Option<&'h [u8]>; ask::HEADERS.len()]);

impl<'h> Words<'h> {
    /// Those of a caller who is believed or not.
    pub(super) fn of(headers: &'h HeaderMap, trusted: bool) -> Result<Self, Reason> {
        let mut words = [None; ask::HEADERS.len()];
        for (name, value) in headers {
            let Some(place) = place(name.as_str()) else { continue };
            match words.get_mut(place) {
                Some(word @ None) => *word = Some(value.as_bytes()),
                // Readers would disagree on which one counts.
                Some(Some(_)) if is_said_once(ask::HEADERS[place], trusted) => {
                    let header = ask::HEADERS[place];
                    return Err(Reason::InvalidHeader { header, wanted: "given only once" });
                }
                Some(Some(_)) | None => {}
            }
        }
        Ok(Self(words))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'h [u8]> {
        place(name).and_then(|place| self.0[place])
    }
}

fn place(name: &str) -> Option<usize> {
    if !name.starts_with("x-") {
        return None;
    }
    ask::HEADERS.iter().position(|known| *known == name)
}

/// SDKs say what they say on their own account, and nobody suffers from it.
fn is_said_once(name: &str, trusted: bool) -> bool {
    matches!(name, ask::PRIORITY | ask::DEADLINE_MS) || (name == ask::SEGMENT && trusted)
}
