//! Watches an event stream. What an event brings is for its dialect to say (`openai`, `anthropic`); here it is
//! counted. An event counts when the blank line comes that dispatches it, as it does for the caller.

use super::event::Event;
use super::frame::{Block, Framer};
use super::keys::Counts;
use super::{Finish, StreamEnd, Summary, Usage, anthropic, openai, passthrough};
use crate::dialect::Dialect;

/// Watches one event stream.
///
/// ```
/// use router_core::dialect::Dialect;
/// use router_core::stream::{SseWatch, StreamEnd};
///
/// let mut watch = SseWatch::new(Dialect::OpenAi);
/// let role = watch.feed(b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n");
/// assert!(!role.first_token, "an empty delta is no token");
/// watch.feed(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hel");
/// let seen = watch.feed(b"lo\"}}]}\r\n\r\ndata: [DONE]\n\n");
/// assert!(seen.first_token);
/// assert_eq!((watch.events(), watch.content_events(), watch.outcome()), (3, 1, StreamEnd::Complete));
/// ```
#[derive(Debug)]
pub struct SseWatch {
    framer: Framer,
    tally: Tally,
}

/// What one piece brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Events with content, a tool call or reasoning that ended in this piece.
    pub content_events: u32,
    /// Whether the first of the stream is among them.
    pub first_token: bool,
}

/// What one event brought.
#[derive(Default)]
pub(super) struct Found {
    pub(super) content: bool,
    pub(super) usage: Option<Counts>,
    pub(super) finish: Option<Finish>,
    pub(super) ending: Option<Ending>,
}

/// An event that ends a stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Complete,
    Failed,
}

/// What came so far.
#[derive(Debug)]
struct Tally {
    dialect: Dialect,
    events: u64,
    content_events: u64,
    usage: Option<Usage>,
    finish: Option<Finish>,
    /// The first that came: what follows an error does not make it good.
    ending: Option<Ending>,
}

impl SseWatch {
    /// A watch for a stream of `dialect`, before its first byte.
    #[must_use]
    pub const fn new(dialect: Dialect) -> Self {
        let tally = Tally { dialect, events: 0, content_events: 0, usage: None, finish: None, ending: None };
        Self { framer: Framer::new(), tally }
    }

    /// Takes the next piece of the body as it came off the wire.
    pub fn feed(&mut self, piece: &[u8]) -> Seen {
        let Self { framer, tally } = self;
        let before = tally.content_events;
        framer.feed(piece, |block| tally.on_block(block));
        let brought = tally.content_events - before;
        Seen {
            content_events: u32::try_from(brought).unwrap_or(u32::MAX),
            first_token: before == 0 && brought > 0,
        }
    }

    /// The upstream's body is over. A last event without its blank line is not counted, since the caller's
    /// parser will not dispatch it, but what it says of the end and of usage is believed if it came whole.
    pub fn end(&mut self) {
        self.tally.on_unfinished(self.framer.unfinished());
        if self.tally.dialect == Dialect::Passthrough {
            // No terminator is known, so a proper end of the body is the end of the stream.
            self.tally.ending.get_or_insert(Ending::Complete);
        }
    }

    /// Whether an event (or a comment) has begun and no blank line has ended it. Whoever appends an event must
    /// first append a blank line, `"\n\n"`, which ends it however it was cut.
    #[must_use]
    pub const fn is_mid_event(&self) -> bool {
        self.framer.is_mid_block()
    }

    /// Whether content, a tool call or reasoning has come.
    #[must_use]
    pub const fn first_token_seen(&self) -> bool {
        self.tally.content_events > 0
    }

    /// How far the stream came.
    #[must_use]
    pub const fn outcome(&self) -> StreamEnd {
        match (self.tally.ending, self.tally.finish) {
            (Some(Ending::Failed), _) => StreamEnd::Failed,
            (Some(Ending::Complete), _) => StreamEnd::Complete,
            (None, Some(_)) => StreamEnd::Finished,
            (None, None) => StreamEnd::Open,
        }
    }

    /// All events, unreadable ones included.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.tally.events
    }

    /// Events with content, a tool call or reasoning. After the first of them an event is no longer parsed,
    /// so a few that bring nothing may be counted: the role event of a second choice, an unreadable one.
    #[must_use]
    pub const fn content_events(&self) -> u64 {
        self.tally.content_events
    }

    /// What the stream said of itself so far.
    #[must_use]
    pub const fn summary(&self) -> Summary {
        Summary { usage: self.tally.usage, finish: self.tally.finish }
    }
}

impl Tally {
    fn on_block(&mut self, block: Block<'_>) {
        let Some(event) = Event::read(block) else { return };
        let found = self.read(&event);
        self.events += 1;
        self.content_events += u64::from(found.content);
        self.believe(&found);
    }

    fn on_unfinished(&mut self, block: Block<'_>) {
        let Some(event) = Event::read(block) else { return };
        if event.is_whole() {
            let found = self.read(&event);
            self.believe(&found);
        }
    }

    fn read(&self, event: &Event<'_>) -> Found {
        let first_token_seen = self.content_events > 0;
        match self.dialect {
            Dialect::OpenAi => openai::read(event, first_token_seen),
            Dialect::Anthropic => anthropic::read(event, first_token_seen),
            Dialect::Passthrough => passthrough::read(event),
        }
    }

    fn believe(&mut self, found: &Found) {
        if let Some(counts) = found.usage {
            counts.merge_into(&mut self.usage);
        }
        self.finish = found.finish.or(self.finish);
        self.ending = self.ending.or(found.ending);
    }
}
