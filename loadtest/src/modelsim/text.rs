//! Readable answers: letters to subscribers, one word per token, the same for the same seed.

use super::rng::Rng;
use std::str::SplitAsciiWhitespace;

/// An answer text in pieces: joined, they are English sentences in paragraphs.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    rng: Rng,
    words: SplitAsciiWhitespace<'static>,
    sentence: usize,
    sentences: u32,
    written: u32,
    length: u32,
    ending: Ending,
}

/// How the last piece looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The writer was done: a full stop.
    Closed,
    /// The writer was cut short: no matter where.
    Open,
}

impl Letter {
    /// A text of exactly `length` pieces.
    pub(super) fn new(seed: u64, length: u32, ending: Ending) -> Self {
        Self {
            rng: Rng::new(seed),
            words: "".split_ascii_whitespace(),
            sentence: usize::MAX,
            sentences: 0,
            written: 0,
            length,
            ending,
        }
    }

    fn next_word(&mut self) -> (&'static str, &'static str) {
        if let Some(word) = self.words.next() {
            return (" ", word);
        }
        let gap = match self.sentences {
            0 => "",
            n if n.is_multiple_of(SENTENCES_PER_PARAGRAPH) => "\n\n",
            _ => " ",
        };
        // One of the others: no sentence follows itself.
        let step = 1 + self.rng.index(SENTENCES.len() - 1);
        self.sentence = if self.sentences == 0 { step } else { self.sentence + step } % SENTENCES.len();
        self.sentences += 1;
        self.words = SENTENCES.get(self.sentence).copied().unwrap_or_default().split_ascii_whitespace();
        (gap, self.words.next().unwrap_or("and"))
    }
}

impl Iterator for Letter {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.written == self.length {
            return None;
        }
        self.written += 1;
        let (gap, word) = self.next_word();
        if self.written == self.length && self.ending == Ending::Closed {
            let word = word.trim_end_matches(|c: char| c.is_ascii_punctuation());
            return Some(format!("{gap}{word}."));
        }
        Some(format!("{gap}{word}"))
    }
}

/// Cuts machine text (tool arguments) into pieces of a few characters.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(CHARS_PER_PIECE).map(String::from_iter).collect()
}

const SENTENCES_PER_PARAGRAPH: u32 = 4;
const CHARS_PER_PIECE: usize = 4;

/// Some words are not ASCII, so that a reader who cuts between bytes is found out.
const SENTENCES: [&str; 40] = [
    "Thank you for opening this letter today.",
    "We wrote it for readers who like their news short and warm.",
    "The subject line should promise one thing, and the first paragraph should keep it.",
    "Last month more than half of our subscribers read to the end.",
    "A good newsletter sounds like one person talking to another.",
    "Our editors met in the café on the corner and argued about commas.",
    "Please reply to this message if a story made you smile.",
    "The new edition arrives on Thursday morning, before the first coffee.",
    "Every link in it leads to something we have read ourselves.",
    "Zoë from the archive found a postcard from 1968, and we print it below.",
    "If you would rather hear from us once a month, tell us and we will listen.",
    "Short sentences travel well on small screens.",
    "We tested two greetings, and the plain one won.",
    "Your neighbours asked for more recipes, so here is one with lemons.",
    "The garden column returns with advice about late tulips.",
    "Nobody likes a letter that begins with an apology, so we will not begin with one.",
    "A photograph of the harbour opens the issue.",
    "Please check the date of the reading, because it has moved to Sunday.",
    "The print run is small, and every copy is numbered by hand.",
    "We keep the list of subscribers to ourselves and always will.",
    "An unsubscribe link belongs where a tired reader can find it.",
    "The interview with the lighthouse keeper is longer than usual, and worth it.",
    "Three questions from last week deserve a proper answer.",
    "First, yes, the old issues remain free to read.",
    "Second, the crossword had two solutions, and both count.",
    "Third, the author of the essay prefers to stay unnamed.",
    "Write the ending before the beginning, and the middle will follow.",
    "Our résumé of the season fits on a single page.",
    "The illustrator drew the fox in one line without lifting the pen.",
    "A letter costs a stamp, and attention costs more.",
    "We measured how long people stay with a story, not how often they click.",
    "The weather section is honest about what it does not know.",
    "Gift subscriptions come with a card in your own words.",
    "The poem on the last page was sent by a bus driver from Łódź.",
    "Some readers save these letters, and that is the best review.",
    "Next week we visit the paper mill and ask how the colour is made.",
    "Corrections appear at the top, where everyone can see them.",
    "If the pictures do not load, the words still make sense.",
    "Tell a friend who would enjoy it, and leave the others in peace.",
    "With kind regards from everyone at the desk.",
];

#[cfg(test)]
mod tests {
    use super::{Ending, Letter};

    #[test]
    fn a_letter_has_exactly_the_pieces_that_were_asked_for() {
        for length in [1, 2, 17, 800] {
            assert_eq!(Letter::new(3, length, Ending::Closed).count(), length as usize);
        }
    }

    #[test]
    fn a_letter_reads_as_sentences() {
        let text: String = Letter::new(3, 120, Ending::Closed).collect();
        assert!(text.starts_with(char::is_uppercase) && text.ends_with('.'), "{text}");
        assert!(text.contains("\n\n") && !text.contains("  "), "{text}");
        assert_eq!(text.split_whitespace().count(), 120);
    }

    #[test]
    fn the_seed_decides_the_text() {
        let of = |seed| Letter::new(seed, 60, Ending::Open).collect::<String>();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
