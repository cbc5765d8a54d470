//! Keys by which operators are known.

use super::{loaded, problems, refused, with_top};
use crate::config::{Role, load, to_json};

fn digest(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn with_keys(keys: &str) -> String {
    with_top(&format!("admin: {{address: 0.0.0.0:9901, keys: [{keys}]}}"))
}

#[test]
fn with_keys_the_listener_may_stand_anywhere() {
    let text = with_keys(&format!(
        "{{id: ci, sha256: {}, role: writer}}, {{id: ops, sha256: {}, role: admin, expires: '2027-01-31T00:00:00Z'}}",
        digest('a'),
        digest('b')
    ));
    let config = loaded(&text);
    assert_eq!(config.admin.address.to_string(), "0.0.0.0:9901");
    let keys: Vec<_> = config.admin.keys.iter().map(|key| (&*key.id, key.role, key.expires)).collect();
    assert_eq!(keys, [("ci", Role::Writer, None), ("ops", Role::Admin, Some(1_801_353_600))]);
    let again = load(&to_json(&config).to_string(), &super::unset).unwrap().config;
    assert_eq!(again.admin, config.admin);
    assert!(config.admin.parse_address("0.0.0.0:1").is_ok());
    let keyless = loaded(&with_top("")).admin;
    assert!(keyless.parse_address("0.0.0.0:1").unwrap_err().contains("loopback only"));
    assert!(Role::Reader < Role::Writer && Role::Writer < Role::Admin);
}

#[test]
fn what_is_refused() {
    let whole = format!("{{id: a, sha256: {}, role: reader}}", digest('a'));
    let cases = [
        (String::new(), "admin.keys", "at least one key is needed"),
        ("{}".to_owned(), "admin.keys[0]", "missing key `id`"),
        (
            whole.replace("role: reader", "role: root"),
            "admin.keys[0].role",
            "expected reader, writer or admin",
        ),
        (whole.replace(", role: reader", ""), "admin.keys[0]", "missing key `role`"),
        (whole.replace("id: a", "id: 'a b'"), "admin.keys[0].id", "cannot be the name of an operator"),
        (whole.replace("}", ", expires: soon}"), "admin.keys[0].expires", "soon"),
        (format!("{whole}, {whole}"), "admin.keys[1]", "the same key twice"),
    ];
    for (keys, path, message) in cases {
        let found = problems(&with_keys(&keys)).join("\n");
        assert!(found.contains(&format!("{path}: ")) && found.contains(message), "{keys}: {found}");
    }
    let text =
        with_keys(&whole) + &format!("segments: {{b2b: {{keys: [{{id: x, sha256: {}}}]}}}}\n", digest('a'));
    refused(&text, "admin.keys[0]", "this is the key of a caller of the segment `b2b`");
}

#[test]
fn no_message_repeats_a_key() {
    let told = problems(&with_keys("{id: a, sha256: sk-SECRET, role: admin}")).join("\n");
    assert!(told.contains("admin.keys[0].sha256") && !told.contains("SECRET"), "{told}");
}
