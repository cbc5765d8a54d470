use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{anthropic, openai, watch, whole};
use crate::dialect::Dialect;

/// Cuts `bytes` at any places, at the same place twice included: empty pieces happen.
pub(super) fn pieces<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(bytes.len());
    let mut start = 0;
    ends.into_iter().map(|end| &bytes[std::mem::replace(&mut start, end)..end]).collect()
}

pub(super) fn cuts() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..60)
}

/// A golden stream of either dialect whose events end in any mixture of line ends, and perhaps is cut off.
fn golden_stream() -> impl Strategy<Value = (Dialect, Vec<u8>)> {
    let streams = openai::STREAMS
        .map(|stream| (Dialect::OpenAi, stream))
        .into_iter()
        .chain(anthropic::STREAMS.map(|stream| (Dialect::Anthropic, stream)))
        .collect::<Vec<_>>();
    let ends = prop::collection::vec(select(vec!["\n", "\r", "\r\n"]), 1..5);
    (select(streams), ends, any::<Index>(), any::<bool>()).prop_map(|((dialect, stream), ends, end, cut)| {
        let lines = stream.split_terminator('\n').zip(ends.iter().cycle());
        let mut bytes: Vec<u8> = lines.flat_map(|(line, end)| [line, end]).collect::<String>().into_bytes();
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        (dialect, bytes)
    })
}

/// Bytes in which everything that means something to a parser is frequent.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "\n",
        "\n",
        "\r",
        "\r\n",
        "data:",
        "data: ",
        "event: ",
        "error",
        "response.",
        "completed",
        "failed",
        "output_text.delta",
        ": ",
        "[DONE]",
        "\u{feff}",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\"",
        "\\",
        "\"usage\"",
        "\"usage\":{\"prompt_tokens\":",
        "7",
        "null",
        "\"finish_reason\":\"",
        "\"stop_reason\"",
        "stop",
        "\"choices\":",
        "{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}",
        "{\"type\":\"",
        "content_block_delta",
        "message_stop",
        "\"error\":1",
        "us",
        "é",
    ];
    let word = prop_oneof![
        9 => select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(word, 0..80).prop_map(|words| words.concat())
}

fn dialect() -> impl Strategy<Value = Dialect> {
    select(Dialect::ALL.to_vec())
}

/// How many events a stream has, told the plain way: all line ends made alike, then line by line.
fn events_plainly(bytes: &[u8]) -> u64 {
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text: String = text.iter().map(|byte| char::from(*byte)).collect();
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut has_data = false;
    let mut events = 0;
    // What follows the last line end is an unfinished line.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        if line.is_empty() {
            events += u64::from(std::mem::take(&mut has_data));
        }
        has_data |= line == "data" || line.starts_with("data:");
    }
    events
}

proptest! {
    #[test]
    fn cuts_never_change_what_is_seen((dialect, stream) in golden_stream(), cuts in cuts()) {
        let whole = watch(dialect, [&*stream]);
        prop_assert_eq!(whole.events, events_plainly(&stream));
        prop_assert_eq!(whole, watch(dialect, pieces(&stream, &cuts)));
    }

    #[test]
    fn line_ends_never_change_what_is_seen(index in any::<Index>(), end in select(vec!["\r", "\r\n"])) {
        let stream = openai::STREAMS[index.index(openai::STREAMS.len())];
        let other = stream.replace('\n', end);
        let seen = watch(Dialect::OpenAi, [stream.as_bytes()]);
        prop_assert_eq!(seen, watch(Dialect::OpenAi, [other.as_bytes()]));
    }

    #[test]
    fn nonsense_is_watched_in_the_same_way(dialect in dialect(), stream in soup(), cuts in cuts()) {
        let whole = watch(dialect, [&*stream]);
        prop_assert_eq!(whole.events, events_plainly(&stream));
        prop_assert_eq!(&whole, &watch(dialect, pieces(&stream, &cuts)));
        prop_assert_eq!(whole, watch(dialect, stream.chunks(1)));
    }

    #[test]
    fn cuts_never_change_a_whole_answer(
        body in select(vec![whole::OPENAI, whole::SPACED, whole::ANTHROPIC]),
        dialect in dialect(),
        cuts in cuts(),
    ) {
        let expected = whole::watched(dialect, [body.as_bytes()]);
        prop_assert_eq!(expected, whole::watched(dialect, pieces(body.as_bytes(), &cuts)));
        prop_assert_eq!(expected, whole::watched(dialect, body.as_bytes().chunks(1)));
    }

    #[test]
    fn nonsense_for_an_answer_is_watched_in_the_same_way(
        dialect in dialect(),
        start in soup(),
        gap in 0..9000_usize,
        end in soup(),
        cuts in cuts(),
    ) {
        let body = [start, vec![b' '; gap], end].concat();
        let expected = whole::watched(dialect, [&*body]);
        prop_assert_eq!(expected, whole::watched(dialect, pieces(&body, &cuts)));
    }
}
