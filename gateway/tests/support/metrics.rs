//! Reads Prometheus' text format, strictly.

use std::collections::BTreeMap;

/// All samples of one metric.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    pub help: String,
    pub samples: Vec<Sample>,
}

/// One line with a value.
#[derive(Debug)]
pub struct Sample {
    /// With the `_bucket`, `_sum` or `_count` of a histogram.
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// The families by name. Panics at whatever a scraper would not take.
pub fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    assert!(text.ends_with('\n'), "the last line has no end");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(
                families.insert(name.into(), Family { help: help.into(), ..Family::default() }).is_none(),
                "{line}"
            );
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            families.get_mut(name).unwrap_or_else(|| panic!("no HELP before {line}")).kind = kind.into();
        } else {
            let sample = sample(line);
            let family =
                family_of(&sample.name, &families).unwrap_or_else(|| panic!("no TYPE before {line}"));
            families.get_mut(&family).unwrap().samples.push(sample);
        }
    }
    families
}

fn family_of(name: &str, families: &BTreeMap<String, Family>) -> Option<String> {
    let typed = |name: &str| families.get(name).map(|family| family.kind.as_str());
    if matches!(typed(name), Some("counter" | "gauge")) {
        return Some(name.to_owned());
    }
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix))?;
    (typed(base) == Some("histogram")).then(|| base.to_owned())
}

fn sample(line: &str) -> Sample {
    let (name_and_labels, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    let (name, labels) = match name_and_labels.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"))),
        None => (name_and_labels, ""),
    };
    assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
    let labels = labels.split("\",").filter(|label| !label.is_empty()).map(|label| {
        let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        (name.to_owned(), value.trim_end_matches('"').to_owned())
    });
    Sample {
        name: name.into(),
        labels: labels.collect(),
        value: value.parse().unwrap_or_else(|_| panic!("{line}")),
    }
}

impl Family {
    /// The names of the labels, which must be the same in all samples; a histogram's `le` left out.
    pub fn label_names(&self) -> Vec<&str> {
        let names = |sample: &Sample| -> Vec<String> {
            sample.labels.keys().filter(|name| *name != "le").cloned().collect()
        };
        let first = &self.samples[0];
        assert!(self.samples.iter().all(|sample| names(sample) == names(first)), "{self:?}");
        first.labels.keys().map(String::as_str).filter(|name| *name != "le").collect()
    }
}
