//! Which edit makes a call that waits for its whole answer ask for a stream? For chat completions and messages whose
//! stream says all that the whole answer would (`non_streaming: stream` of a pool); every other call stays as it is.

use bytes::Bytes;

use super::json::Cursor;
use super::{Edit, name};
use crate::dialect::Operation;

/// Fields whose answer a stream does not have, or has in another form: several choices, probabilities, sound. A few
/// servers have more of them.
const WHOLE_ONLY: [&str; 9] = [
    "n",
    "logprobs",
    "top_logprobs",
    "prompt_logprobs",
    "best_of",
    "use_beam_search",
    "audio",
    "modalities",
    // Without a stream it has no place, which its upstream is to say.
    "stream_options",
];

/// The edit that makes the body of a call ask for a stream; for OpenAI's API with its token counts, which whole answers
/// have unasked. `None` if the call streams already, or has to be answered in one piece. The body has been judged by
/// [`scan`](super::scan).
#[must_use]
pub fn as_stream(body: &[u8], operation: Operation) -> Option<Edit> {
    let asking: &'static [u8] = match operation {
        Operation::ChatCompletions => br#"true,"stream_options":{"include_usage":true}"#,
        Operation::Messages => b"true",
        _ => return None,
    };
    let text = str::from_utf8(body).ok()?;
    let mut cursor = Cursor::new(body);
    cursor.expect(b'{').ok()?;
    let begin = text.find('{')? + 1;
    let mut edit = None;
    let mut more = !cursor.take(b'}');
    while more {
        let key = cursor.string().ok()?;
        cursor.expect(b':').ok()?;
        let span = cursor.value(1).ok()?;
        more = cursor.take(b',');
        let key = name(text, &key);
        let value = text.get(span.clone())?;
        if key == "stream" {
            if !matches!(value, "false" | "null") {
                return None;
            }
            edit = Some(Edit { span, with: Bytes::from_static(asking) });
        } else if !may_stream(&key, value) {
            return None;
        }
    }
    Some(edit.unwrap_or_else(|| {
        let with = [br#""stream":"#, asking, b","].concat().into();
        Edit { span: begin..begin, with }
    }))
}

/// Whether an answer with this field in its request comes in a stream as well. Some servers take a key in any case for
/// the same.
fn may_stream(key: &str, value: &str) -> bool {
    if key.eq_ignore_ascii_case("stream") {
        return false;
    }
    let is_one = matches!(key, "n" | "best_of") && value == "1";
    let says_nothing = matches!(value, "null" | "false") && key != "stream_options";
    is_one || says_nothing || !WHOLE_ONLY.iter().any(|known| known.eq_ignore_ascii_case(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::identify::{Rope, scan};

    const CHAT: Operation = Operation::ChatCompletions;

    fn edited(body: &str, operation: Operation) -> Option<String> {
        let edit = as_stream(body.as_bytes(), operation)?;
        let rope = Rope::edited(&Bytes::from(body.to_owned()), [Some(edit), None]);
        Some(String::from_utf8(rope.0.concat()).unwrap())
    }

    #[test]
    fn a_call_is_made_to_stream_and_nothing_else_of_it_changes() {
        let cases = [
            (
                r#" { "model":"m", "seed":12345678901234567890,"t":1.50}"#,
                r#" {"stream":true,"stream_options":{"include_usage":true}, "model":"m", "seed":12345678901234567890,"t":1.50}"#,
            ),
            (
                r#"{"model":"m","stream" : false ,"n":1}"#,
                r#"{"model":"m","stream" : true,"stream_options":{"include_usage":true} ,"n":1}"#,
            ),
            (
                r#"{"str\u0065am":null,"model":"m","logprobs":false,"top_logprobs":null}"#,
                r#"{"str\u0065am":true,"stream_options":{"include_usage":true},"model":"m","logprobs":false,"top_logprobs":null}"#,
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(edited(body, CHAT).as_deref(), Some(expected));
        }
        let body = r#"{"model":"m","messages":[{"n":2}]}"#;
        assert_eq!(
            edited(body, Operation::Messages).as_deref(),
            Some(r#"{"stream":true,"model":"m","messages":[{"n":2}]}"#)
        );
        assert_eq!(edited(body, Operation::Completions), None);
        assert_eq!(edited(body, Operation::Responses), None);
    }

    #[test]
    fn what_needs_its_answer_whole_stays_as_it_is() {
        for field in [
            r#""stream":true"#,
            r#""stream":"yes""#,
            r#""Stream":false"#,
            r#""n":2"#,
            r#""N":1"#,
            r#""n":1.0"#,
            r#""n":1,"\u006e":3"#,
            r#""logprobs":true"#,
            r#""top_logprobs":0"#,
            r#""prompt_logprobs":1"#,
            r#""best_of":4"#,
            r#""audio":{"voice":"alloy"}"#,
            r#""modalities":["text"]"#,
            r#""stream_options":null"#,
            r#""stream_options":{"include_usage":true}"#,
        ] {
            assert_eq!(edited(&format!(r#"{{"model":"m",{field}}}"#), CHAT), None, "{field}");
        }
    }

    proptest! {
        #[test]
        fn an_edited_body_is_the_body_that_streams(
            rest in prop::collection::btree_map("[a-mo-rt-z]{1,3}", ".*", 0..5),
            stream in prop::sample::select(vec!["", "\"stream\":false,", "\"stream\":null ,"]),
        ) {
            let body = format!("{{{stream}\"model\":\"m\",\"rest\":{}}}", serde_json::to_string(&rest).unwrap());
            let edited = edited(&body, CHAT).unwrap();
            let scanned = scan(edited.as_bytes()).unwrap();
            prop_assert!(scanned.stream && scanned.ask_usage.is_none());
            let mut expected: Value = serde_json::from_str(&body).unwrap();
            expected["stream"] = true.into();
            expected["stream_options"] = serde_json::json!({ "include_usage": true });
            prop_assert_eq!(serde_json::from_str::<Value>(&edited).unwrap(), expected);
        }
    }
}
