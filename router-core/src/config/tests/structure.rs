//! Files that are no tree of keys and values, or a hostile one.

use super::{loaded, problem, problems, with_top};
use crate::config::load;

#[test]
fn a_file_without_content_says_what_is_needed() {
    for text in ["", "   \n", "# nothing yet\n", "---\n", "---\n...\n", "~"] {
        let found = problem(text);
        assert_eq!(found.message, "the file is empty", "{text:?}");
        assert_eq!((found.line, found.column), (1, 1));
    }
}

#[test]
fn a_syntax_error_is_one_problem_at_its_place() {
    let found = problem("pools:\n  mini: { endpoints: [\n");
    assert_eq!(found.line, 2);
    assert!(found.message.starts_with("not valid YAML: "), "{}", found.message);
    assert_eq!(problem("a: *nowhere\n").line, 1);
    assert_eq!(problem("pools:\n\tmini: x\n").line, 2);
}

#[test]
fn a_variable_without_quotes_in_braces_is_explained() {
    let found = problem("limits: { body: ${BODY:-8MiB} }\n").to_string();
    assert!(found.ends_with("a value with `${…}` needs quotes around it"), "{found}");
    loaded(&with_top("limits: { body: '${BODY:-8MiB}' }"));
    loaded(&with_top("limits:\n  body: ${BODY:-8MiB}"));
}

#[test]
fn what_is_not_a_mapping() {
    assert_eq!(problem("[]").message, "expected a mapping, found a list");
    assert_eq!(problem("hello").message, "expected a mapping, found a text");
    assert_eq!(problem(&with_top("log: []")).to_string(), "1:6: log: expected a mapping, found a list");
    assert_eq!(problem(&with_top("listen: {}")).message, "expected a list, found a mapping");
    assert_eq!(problem(&with_top("limits:")).message, "expected a mapping, found nothing");
    assert_eq!(problem(&with_top("drain: [1s]")).message, "expected a duration or a mapping, found a list");
    assert_eq!(problem(&with_top("drain: null")).message, "expected a duration or a mapping, found nothing");
}

#[test]
fn one_document_only() {
    let text = format!("{}---\nlog: {{}}\n", with_top(""));
    assert_eq!(problem(&text).to_string(), "4:1: a second document starts here; a config is one document");
}

#[test]
fn columns_count_characters_and_lines_count_with_any_ending() {
    assert_eq!(problem(&with_top("log: { headers: [ä, é] }").replace(", é", "")).column, 18);
    assert_eq!(problem(&with_top("drain: 1s\r\n\r\nlog: x\r\n")).line, 3);
    assert_eq!(problem(&with_top("\u{feff}drain: x")).column, 8);
}

#[test]
fn keys_are_different_strings() {
    let told = |extra: &str| problems(&with_top(extra)).join("\n");
    assert_eq!(
        told("drain: 1s\ndrain: 2s\ndrain: 2s"),
        "2:1: drain: key `drain` stands here twice; first on line 1\n\
         3:1: drain: key `drain` stands here twice; first on line 1"
    );
    assert_eq!(told("4: x"), "1:1: key `4` is not a string; write it in quotes");
    assert_eq!(told("true: x"), "1:1: key `true` is not a string; write it in quotes");
    assert_eq!(told("~: x"), "1:1: key `~` is not a string; write it in quotes");
    assert_eq!(told("? [a]\n: x"), "1:3: a key must be a string");
    assert_eq!(
        told("<<: {}"),
        "1:1: merge keys (`<<`) are not read; repeat the keys, or alias a whole value"
    );
    assert_eq!(told("${A}: x"), "1:1: `${…}` is replaced in values, not in keys");
    let quoted = "pools: {'4': {endpoints: [{url: http://h}]}}\nroutes: {\"true\": {targets: [{pool: 4}]}}";
    assert_eq!(loaded(quoted).routes[0].name, "true");
}

#[test]
fn tags_are_refused_but_for_the_one_that_says_string() {
    assert_eq!(problem(&with_top("log: !custom {}")).message, "YAML tag `!custom` is not read");
    assert_eq!(problem(&with_top("drain: !!int 3s")).message, "YAML tag `!!int` is not read");
    assert_eq!(problem(&with_top("!x drain: 3s")).message, "YAML tag `!x` is not read");
    loaded(&with_top("drain: !!str 3s"));
}

#[test]
fn an_alias_repeats_a_value_and_its_mistakes_keep_their_place() {
    let text = "pools:\n  a: &pool { endpoints: [{ url: http://h:1 }], timeouts: { connect: 5s } }\n  b: *pool\n\
                routes: { r: { targets: [{ pool: a, weight: 1 }, { pool: b, weight: 0 }] } }\n";
    let config = loaded(text);
    assert_eq!(config.pools[0].timeouts.connect, config.pools[1].timeouts.connect);
    assert_eq!(
        problems(&text.replace("5s", "5"))
            .iter()
            .map(|found| found.split(": exp").next().unwrap())
            .collect::<Vec<_>>(),
        ["2:69: pools.a.timeouts.connect", "2:69: pools.b.timeouts.connect"]
    );
}

#[test]
fn aliases_cannot_grow_without_bound() {
    let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (name, of) in ["b", "c", "d", "e", "f", "g", "h", "i", "j"].iter().zip("abcdefghi".chars()) {
        text += &format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 9].join(", "));
    }
    assert!(problem(&text).message.starts_with("more than 100000 keys and values"));
    assert!(problem("a: &a [*a]").message.contains("stands inside"));
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        (0..2_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect(),
        "? ".repeat(50_000),
    ];
    for text in deep {
        let start: String = text.chars().take(20).collect();
        assert_eq!(problem(&text).message, "nested more than 32 levels deep", "{start}…");
    }
    let mut chain = String::from("x0: &x0 [y]\n");
    for level in 1..40 {
        chain += &format!("x{level}: &x{level} [*x{}]\n", level - 1);
    }
    assert_eq!(problem(&chain).message, "nested more than 32 levels deep");
    assert_eq!(problem(&format!("a: {}", "x".repeat(20_000))).message, "text longer than 16 KiB");
    assert_eq!(problem(&" ".repeat(5 << 20)).message, "the file is larger than 4 MiB");
}

#[test]
fn json_is_yaml() {
    let text = r#"{"pools":{"a":{"endpoints":[{"url":"http://h:1"}]}},"routes":{"r":{"targets":[{"pool":"a","weight":1}]}},"log":{"access":false}}"#;
    assert!(!loaded(text).log.access);
}

#[test]
fn variables_are_replaced_in_values_and_stay_text() {
    let env = |name: &str| match name {
        "PORT" => Some("9001".to_owned()),
        "EVIL" => Some("a, weight: 0.5}, {pool: b".to_owned()),
        "OFF" => Some("false".to_owned()),
        _ => None,
    };
    let text = with_top("log: { access: '${OFF}', headers: ['${NONE:-x-team}'] }\ndrain: ${NONE:-5s}")
        .replace("http://h:1", "'http://h:${PORT}'");
    let config = load(&text, &env).unwrap().config;
    assert!(!config.log.access);
    assert_eq!(config.log.headers, ["x-team"]);
    assert_eq!(config.drain.requests.as_secs(), 5);
    assert_eq!(config.pools[0].endpoints[0].port, 9001);

    let problems = load(&with_top("").replace("pool: a", "pool: '${EVIL}'"), &env).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.starts_with("no pool `a, weight: 0.5}, {pool: b`"), "{}", problems[0]);
}

#[test]
fn a_variable_that_is_not_there_or_not_closed() {
    let told = |value: &str| problem(&with_top(&format!("drain: '{value}'"))).to_string();
    assert_eq!(
        told("${DRAIN}"),
        "1:8: drain: environment variable `DRAIN` is not set; set it, or give a default: `${DRAIN:-default}`"
    );
    assert!(told("${DRAIN").contains("`${` without its `}`"));
    assert!(told("${DRAIN TIME}").contains("no name of an environment variable"));
    assert!(told("${DRAIN:-}").contains("expected a duration, found ``"), "text, if an empty one");
    assert!(told("$${DRAIN}").contains("found `${DRAIN}`"), "a literal");
}

#[test]
fn a_message_cannot_move_the_cursor() {
    let found = problem(&with_top("\"\\e[2Jdrian\\n\": 1s")).to_string();
    assert!(!found.chars().any(char::is_control), "{found:?}");
    let long = problem(&with_top(&format!("{}: 1s", "x".repeat(500)))).to_string();
    assert!(long.len() < 400, "{long}");
}
