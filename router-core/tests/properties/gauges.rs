//! What holds for any metrics page, whoever wrote it.

use router_core::overload::gauges::Gauges;

/// The order of the lines, how they end and what else is on the page change nothing; the same page twice has twice
/// the requests; a part of the page has no more of them than the whole.
pub(crate) fn check(page: &[u8]) {
    let read = Gauges::read(page);
    let lines: Vec<&[u8]> = page.split(|byte| matches!(byte, b'\n' | b'\r')).collect();

    let reversed: Vec<&[u8]> = lines.iter().rev().copied().collect();
    let same = [
        reversed.join(&b'\n'),
        lines.join(&b"\r\n"[..]),
        [
            b"# HELP vllm:num_requests_waiting 1\nup 1\n",
            page,
            b"\nother{a=\"vllm:num_requests_waiting 3\"} 2",
        ]
        .concat(),
    ];
    for page in &same {
        let again = Gauges::read(page);
        // Which of two bad values is named depends on the order.
        assert_eq!(again.ok(), read.ok(), "{}", page.escape_ascii());
        assert_eq!(again.is_err(), read.is_err());
    }

    let Ok(whole) = read else { return };
    let twice = Gauges::read(&[page, b"\n", page].concat()).expect("both halves can be read");
    assert_eq!(twice.waiting, whole.waiting.saturating_mul(2));
    assert_eq!(twice.running, whole.running.saturating_mul(2));
    if let Ok(part) = Gauges::read(&lines.split_last().map_or(&[][..], |(_, rest)| rest).join(&b'\n')) {
        assert!(part.waiting <= whole.waiting && part.running <= whole.running);
    }
}
