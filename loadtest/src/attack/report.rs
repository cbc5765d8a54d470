//! Rows, and the bars that they are held against.

use std::time::Duration;

use super::options::Attack;
use super::ordinary::Seen;
use super::tally::{Counts, FRAMES_MAX, Sent};

/// What came of one attack.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) attack: Attack,
    pub(crate) counts: Counts,
    pub(crate) rss_before: u64,
    pub(crate) rss_peak: u64,
    pub(crate) alone: Seen,
    pub(crate) beside: Seen,
}

impl Row {
    fn grown_bytes(&self) -> u64 {
        self.rss_peak.saturating_sub(self.rss_before)
    }

    /// What bar was missed, if any. Times are shown and never judged.
    pub(crate) fn complaint(&self) -> Option<String> {
        if self.counts.speaks_no_http2 {
            return None;
        }
        let name = self.attack.name();
        if self.counts.connections == 0 {
            return Some(format!("{name}: no connection could be opened"));
        }
        if self.grown_bytes() >= GROWN_MAX {
            return Some(format!("{name}: memory grew by {} MiB", self.grown_bytes() >> 20));
        }
        if self.attack.is_flood() && !self.counts.is_contained() {
            return Some(format!("{name}: not cut within {FRAMES_MAX} frames or 1 MiB"));
        }
        let failures = self.alone.failures + self.beside.failures;
        let why = self.beside.failure.as_ref().or(self.alone.failure.as_ref());
        why.map(|why| format!("{name}: {failures} ordinary requests were not answered: {why}"))
    }

    fn line(&self) -> String {
        let Self { counts, alone, beside, .. } = self;
        if counts.speaks_no_http2 {
            return format!(
                "| {} | – | – | the gateway does not speak HTTP/2 here | – | – | – | – | skipped |\n",
                self.attack.name()
            );
        }
        let sent = if self.attack.is_flood() {
            format!("{} frames, {}", counts.frames, size(counts.bytes))
        } else {
            size(counts.bytes)
        };
        let refused =
            if counts.refused == 0 { String::new() } else { format!(" ({} refused)", counts.refused) };
        format!(
            "| {} | {}{refused} | {sent} | {} | {} | {} | {} | {} of {} | {} |\n",
            self.attack.name(),
            counts.connections,
            self.cuts(),
            size(self.grown_bytes()),
            millis(alone.p99()),
            millis(beside.p99()),
            beside.failures,
            beside.failures + beside.latencies.len() as u64,
            if self.complaint().is_none() { "held" } else { "MISSED" },
        )
    }

    fn cuts(&self) -> String {
        let worst = |sent: &Sent| {
            let after = sent.after.as_secs_f64();
            if self.attack.is_flood() {
                format!("{} frames, {}, {after:.2} s", sent.frames, size(sent.bytes))
            } else {
                format!("{after:.1} s")
            }
        };
        let cuts = self.counts.cuts.iter();
        let mut cuts: Vec<String> = cuts
            .map(|(how, cuts)| format!("{} × {how} (at most {})", cuts.count, worst(&cuts.worst)))
            .collect();
        if self.counts.uncut != Sent::default() || cuts.is_empty() {
            cuts.push(format!("uncut: {}", worst(&self.counts.uncut)));
        }
        cuts.join("; ")
    }
}

/// The table in Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| attack | connections | sent | ended by the gateway | RSS growth | ordinary p99 ms alone | beside it | unanswered | bars |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        text += &row.line();
    }
    text
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn millis(time: Option<Duration>) -> String {
    time.map_or_else(|| "–".to_owned(), |time| format!("{:.1}", time.as_secs_f64() * 1e3))
}

/// Memory may grow by less than this in an attack.
const GROWN_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::super::tally::Tally;
    use super::*;

    fn row(attack: Attack, cut: Sent) -> Row {
        let tally = Tally::default();
        tally.opened();
        tally.cut("GOAWAY ENHANCE_YOUR_CALM", cut);
        let seen = || Seen { latencies: vec![Duration::from_millis(2)], ..Seen::default() };
        Row {
            attack,
            counts: tally.counts(),
            rss_before: 0,
            rss_peak: 1 << 20,
            alone: seen(),
            beside: seen(),
        }
    }

    #[test]
    fn floods_are_held_to_frames_or_bytes_and_others_are_not() {
        let sent = |frames, bytes| Sent { frames, bytes, after: Duration::from_secs(1) };
        for (cut, held) in [
            (sent(10_000, 90_000_000), true),
            (sent(90_000, 1 << 20), true),
            (sent(10_001, (1 << 20) + 1), false),
        ] {
            assert_eq!(row(Attack::Ping, cut).complaint().is_none(), held, "{cut:?}");
            assert_eq!(row(Attack::SlowBody, cut).complaint(), None);
        }
    }

    #[test]
    fn memory_and_unanswered_requests_are_complaints_and_slowness_is_not() {
        let mut row = row(Attack::Idle, Sent::default());
        row.beside.latencies = vec![Duration::from_secs(9)];
        assert_eq!(row.complaint(), None);
        row.beside.failures = 1;
        row.beside.failure = Some("status 503".to_owned());
        assert_eq!(row.complaint().unwrap(), "idle: 1 ordinary requests were not answered: status 503");
        row.rss_peak = 64 << 20;
        assert_eq!(row.complaint().unwrap(), "idle: memory grew by 64 MiB");
    }

    #[test]
    fn a_row_says_how_it_ended() {
        let sent = Sent { frames: 640, bytes: 20_000, after: Duration::from_millis(30) };
        let line = row(Attack::RapidReset, sent).line();
        let cut = "1 × GOAWAY ENHANCE_YOUR_CALM (at most 640 frames, 19 KiB, 0.03 s)";
        assert_eq!(
            line,
            format!(
                "| rapid-reset | 1 | 640 frames, 19 KiB | {cut} | 1024 KiB | 2.0 | 2.0 | 0 of 1 | held |\n"
            )
        );
    }
}
