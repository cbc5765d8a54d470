//! What came of the streams, as a row of a table.

use std::collections::BTreeMap;
use std::time::Instant;

use super::client::Stream;

/// One proxy's row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) wanted: usize,
    pub(crate) outcome: Outcome,
    /// Nothing where no process was named.
    pub(crate) memory: Option<Memory>,
}

/// Resident memory of the proxy's processes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) before_bytes: u64,
    /// With all streams open.
    pub(crate) open_bytes: u64,
    pub(crate) peak_bytes: u64,
}

/// What came of all streams together.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) whole: usize,
    /// Most streams that were open at the same moment.
    pub(crate) at_once: usize,
    /// How many were not whole, by reason.
    pub(crate) flaws: BTreeMap<String, usize>,
}

impl Outcome {
    pub(crate) fn of(streams: &[Stream]) -> Self {
        let mut outcome = Self { at_once: at_once(streams), ..Self::default() };
        for stream in streams {
            match &stream.flaw {
                None => outcome.whole += 1,
                Some(flaw) => *outcome.flaws.entry(flaw.clone()).or_default() += 1,
            }
        }
        outcome
    }

    fn failed(&self) -> usize {
        self.flaws.values().sum()
    }
}

/// The height of the pile of intervals.
fn at_once(streams: &[Stream]) -> usize {
    let open = streams.iter().filter_map(|stream| Some((stream.opened?, stream.ended?)));
    let mut moments: Vec<(Instant, bool)> =
        open.flat_map(|(opened, ended)| [(opened, true), (ended, false)]).collect();
    // At the same instant the end goes first: touching is not overlapping.
    moments.sort_unstable();
    let (mut now, mut most) = (0_usize, 0);
    for (_, opens) in moments {
        now = if opens { now + 1 } else { now.saturating_sub(1) };
        most = most.max(now);
    }
    most
}

impl Row {
    /// What is wrong, if anything.
    pub(crate) fn complaint(&self) -> Option<String> {
        let Outcome { whole, at_once, flaws } = &self.outcome;
        if *whole < self.wanted {
            let why = flaws.keys().next().map_or("they never ended", String::as_str);
            return Some(format!("{}: {whole} of {} streams are whole: {why}", self.name, self.wanted));
        }
        (*at_once < self.wanted).then(|| {
            format!("{}: only {at_once} of {} were open at once: raise --opening", self.name, self.wanted)
        })
    }

    fn per_stream_kib(&self) -> Option<f64> {
        let memory = self.memory?;
        let grown = memory.open_bytes.saturating_sub(memory.before_bytes);
        #[expect(clippy::cast_precision_loss, reason = "memory in bytes stays far below 2^53")]
        let kib = grown as f64 / 1024.0 / self.outcome.at_once.max(1) as f64;
        Some(kib)
    }
}

/// The table in Markdown, and under it why streams are not whole.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| proxy | streams | open at once | whole | failed | RSS before MiB | all open MiB | peak MiB | KiB per stream |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let mib =
        |bytes: Option<u64>| bytes.map_or_else(|| "–".to_owned(), |bytes| (bytes / 1_048_576).to_string());
    let mut reasons = String::new();
    for row in rows {
        let Outcome { whole, at_once, flaws } = &row.outcome;
        let each = row.per_stream_kib().map_or_else(|| "–".to_owned(), |kib| format!("{kib:.1}"));
        let memory = row.memory;
        text += &format!(
            "| {} | {} | {at_once} | {whole} | {} | {} | {} | {} | {each} |\n",
            row.name,
            row.wanted,
            row.outcome.failed(),
            mib(memory.map(|memory| memory.before_bytes)),
            mib(memory.map(|memory| memory.open_bytes)),
            mib(memory.map(|memory| memory.peak_bytes)),
        );
        for (flaw, count) in flaws {
            reasons += &format!("{}: {count} × {flaw}\n", row.name);
        }
    }
    if reasons.is_empty() { text } else { format!("{text}\n{reasons}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stream(start: Instant, from: u64, to: u64) -> Stream {
        let at = |ms| Some(start + Duration::from_millis(ms));
        Stream { opened: at(from), ended: at(to), flaw: None }
    }

    #[test]
    fn at_once_is_the_most_that_overlap() {
        let start = Instant::now();
        let streams = [stream(start, 0, 10), stream(start, 5, 20), stream(start, 10, 30), Stream::default()];
        assert_eq!(at_once(&streams), 2);
    }

    #[test]
    fn a_row_tells_flaws_and_memory() {
        let start = Instant::now();
        let cut = Stream { flaw: Some("in the middle: reset".to_owned()), ..stream(start, 0, 10) };
        let outcome = Outcome::of(&[stream(start, 0, 10), cut]);
        let memory = Memory { before_bytes: 1 << 20, open_bytes: 3 << 20, peak_bytes: 4 << 20 };
        let row = Row { name: "weir".to_owned(), wanted: 2, outcome, memory: Some(memory) };
        assert_eq!(row.complaint().unwrap(), "weir: 1 of 2 streams are whole: in the middle: reset");
        let text = table(&[row]);
        assert!(text.contains("| weir | 2 | 2 | 1 | 1 | 1 | 3 | 4 | 1024.0 |"), "{text}");
        assert!(text.ends_with("\nweir: 1 × in the middle: reset\n"), "{text}");
    }

    #[test]
    fn whole_but_one_after_the_other_is_a_complaint() {
        let start = Instant::now();
        let outcome = Outcome::of(&[stream(start, 0, 10), stream(start, 10, 20)]);
        let row = Row { name: "weir".to_owned(), wanted: 2, outcome, memory: None };
        assert!(row.complaint().unwrap().contains("only 1 of 2 were open at once"));
    }
}
