//! The section `tls` of listeners.

use std::path::Path;

use super::{loaded, problems, refused, unset, with_top};
use crate::config::{FileUse, Secret, Tls, load, load_with_files, to_json};

const WHOLE: &str = "certificate: /c.pem, key: {file: /k.pem}";

fn listen(tls: &str) -> String {
    with_top(&format!("listen: [{{address: 127.0.0.1:1, tls: {tls}}}]"))
}

#[test]
fn every_listener_can_have_it() {
    let config = loaded(&with_top(&format!(
        "listen: [{{address: 127.0.0.1:1, tls: {{{WHOLE}, client_ca: ca.pem}}}}, {{address: unix:/run/a}}]\n\
         admin: {{tls: {{{WHOLE}}}, metrics: {{address: 0.0.0.0:2, tls: {{{WHOLE}}}}}}}"
    )));
    let plain = Tls { certificate: "/c.pem".into(), key: Secret::File("/k.pem".into()), client_ca: None };
    assert_eq!(config.listen[0].tls, Some(Tls { client_ca: Some("ca.pem".into()), ..plain.clone() }));
    assert_eq!(config.listen[1].tls, None);
    assert_eq!(config.admin.tls, Some(plain.clone()));
    assert_eq!(config.admin.metrics.as_ref().unwrap().tls, Some(plain));
    let shown = to_json(&config);
    assert_eq!(shown["listen"][0]["tls"]["key"]["file"], "/k.pem");
    assert_eq!(shown["listen"][0]["tls"]["client_ca"], "ca.pem");
}

#[test]
fn what_is_refused() {
    let cases = [
        ("{}", ".tls", "missing key `certificate`"),
        ("{key: {env: K}}", ".tls", "missing key `certificate`"),
        ("{certificate: '', key: {file: k}}", ".tls.certificate", "expected the path of a file"),
        ("{certificate: c, key: {file: ''}}", ".tls.key.file", "expected the path of a file"),
        ("{certificate: c, key: k.pem}", ".tls.key", "secrets are only ever { env: NAME } or { file: PATH }"),
        ("{certificate: c, key: {file: k}, client_ca: []}", ".tls.client_ca", "expected the path of a file"),
        ("{certificate: c, key: {file: k}, ca: x}", ".tls.ca", "unknown key `ca`"),
        ("true", ".tls", "expected a mapping"),
    ];
    for (tls, path, message) in cases {
        let found = problems(&listen(tls)).join("\n");
        assert!(found.contains(&format!("listen[0]{path}: ")) && found.contains(message), "{tls}: {found}");
    }
    assert_eq!(problems(&listen("{}")).len(), 2, "both are missing");
    refused(
        &with_top(&format!("listen: [{{address: unix:/run/a, tls: {{{WHOLE}}}}}]")),
        "listen[0].tls",
        "TLS is not spoken on unix:/run/a",
    );
    refused(
        &with_top(&format!("listen: [{{address: localhost:0}}, {{address: localhost:0, tls: {{{WHOLE}}}}}]")),
        "listen[1].address",
        "cannot differ in `tls`",
    );
}

#[test]
fn no_message_repeats_a_key() {
    let told = problems(&listen("{certificate: c, key: '-----BEGIN PRIVATE KEY----- SECRET'}")).join("\n");
    assert!(!told.is_empty() && !told.contains("SECRET"), "{told}");
}

/// What a look at the files brings.
fn warnings(tls: &str, files: &dyn Fn(&Path, FileUse<'_>) -> Result<(), String>) -> Vec<String> {
    let loaded = load_with_files(&listen(tls), &unset, files).unwrap();
    loaded.warnings.iter().map(|warning| format!("{}: {}", warning.path, warning.message)).collect()
}

#[test]
fn files_that_cannot_serve_are_warned_of_where_they_are_named() {
    let bad = |path: &Path, what: FileUse<'_>| match what {
        FileUse::Identity { key: None } => Err(format!("{} is bad", path.display())),
        FileUse::Identity { key: Some(_) } => Err("never asked".to_owned()),
        FileUse::Certificates => Err("no authority".to_owned()),
        _ => Ok(()),
    };
    assert_eq!(
        warnings(&format!("{{{WHOLE}, client_ca: /ca}}"), &bad),
        ["listen[0].tls.certificate: /c.pem is bad", "listen[0].tls.client_ca: no authority"]
    );
    let apart = |_: &Path, what: FileUse<'_>| match what {
        FileUse::Identity { key: Some(key) } => Err(format!("{key:?} is another's")),
        _ => Ok(()),
    };
    assert_eq!(
        warnings(&format!("{{{WHOLE}}}"), &apart),
        ["listen[0].tls.key: File(\"/k.pem\") is another's"]
    );
    let unset = warnings("{certificate: c, key: {env: NOT_SET}}", &apart);
    assert_eq!(unset, ["listen[0].tls.key: the environment variable that this names is not set"]);
}

#[test]
fn a_key_may_be_in_a_variable() {
    let env = |name: &str| (name == "TLS_KEY").then(|| "-----BEGIN".to_owned());
    let loaded = load(&listen("{certificate: c, key: {env: TLS_KEY}}"), &env).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.listen[0].tls.as_ref().unwrap().key, Secret::Env("TLS_KEY".into()));
}
