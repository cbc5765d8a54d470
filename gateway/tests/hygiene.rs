//! What the house style asks of the tree, where a lint cannot: file sizes, labelled open ends, rooms in request
//! order.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

use std::path::{Path, PathBuf};

/// Longest source file, tests not counted.
const LINES_MAX: usize = 400;

/// Widest comment, which rustfmt does not see to.
const COLUMNS_MAX: usize = 120;

/// The rooms that exist, in request order.
const ROOMS: [&str; 10] =
    ["accept", "dialect", "identify", "limit", "overload", "route", "select", "send", "stream", "telemetry"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// All Rust sources of the workspace with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<_> =
        ["router-core", "gateway", "loadtest", "benches"].map(|name| root().join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // The fuzz targets are a workspace of their own, and may be built in its folder.
                folders.extend((!path.ends_with("target")).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 50, "the sources are elsewhere now");
    found
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

#[test]
fn no_source_file_is_too_long() {
    for (path, text) in sources().iter().filter(|(path, _)| !is_test(path)) {
        let own = text.split("#[cfg(test)]").next().unwrap_or_default();
        assert!(own.lines().count() <= LINES_MAX, "{} has more than {LINES_MAX} lines", path.display());
    }
}

#[test]
fn nothing_is_left_open_without_a_label() {
    let marks = ["todo!(", "unimplemented!(", "dbg!(", "FIXME", "#[ignore]", "#[allow("];
    for (path, text) in sources().iter().filter(|(path, _)| !path.ends_with("hygiene.rs")) {
        for mark in marks {
            assert!(!text.contains(mark), "{} has {mark}", path.display());
        }
        let labelled = ["TODO-correctness:", "TODO-hardening:", "TODO-perf:", "TODO-docs:"];
        for line in text.lines().filter(|line| line.contains("TODO")) {
            assert!(labelled.iter().any(|label| line.contains(label)), "{}: {line}", path.display());
        }
    }
}

#[test]
fn every_module_says_what_it_is() {
    for (path, text) in sources().into_iter().filter(|(path, _)| !is_test(path)) {
        assert!(text.starts_with("//!"), "{} begins without a word about itself", path.display());
    }
}

#[test]
fn no_comment_is_too_wide() {
    for (path, text) in sources() {
        let wide = |line: &&str| line.trim_start().starts_with("//") && line.chars().count() > COLUMNS_MAX;
        let wide: Vec<&str> = text.lines().filter(wide).collect();
        assert!(wide.is_empty(), "{}: {wide:#?}", path.display());
    }
}

#[test]
fn the_rooms_stand_in_request_order_everywhere() {
    let path = std::fs::read_to_string(root().join("gateway/src/path/mod.rs")).unwrap();
    let declared: Vec<&str> =
        path.lines().filter_map(|line| line.strip_prefix("pub(crate) mod ")?.strip_suffix(';')).collect();
    assert_eq!(declared, ROOMS);
    let table: Vec<&str> =
        path.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split('`').next()).collect();
    assert_eq!(table, ROOMS);
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut rest = readme.as_str();
    for room in ROOMS {
        let at = rest.find(room).unwrap_or_else(|| panic!("README's picture lacks {room}"));
        rest = rest.get(at..).unwrap();
    }
}
