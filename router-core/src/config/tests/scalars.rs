//! Durations and sizes, read and written.

use std::time::Duration;

use proptest::prelude::*;

use crate::config::scalar::{duration, render_duration, render_size, size};

const ANY: (Duration, Duration) = (Duration::ZERO, Duration::MAX);

#[test]
fn durations() {
    let cases = [
        ("0", 0),
        ("0s", 0),
        ("800ms", 800_000_000),
        ("60s", 60_000_000_000),
        ("1.5s", 1_500_000_000),
        ("10m", 600_000_000_000),
        ("1h", 3_600_000_000_000),
        ("0.000000001s", 1),
        ("0.5ms", 500_000),
    ];
    for (text, nanos) in cases {
        assert_eq!(duration(text, ANY), Ok(Duration::from_nanos(nanos)), "{text}");
    }
    let wrong = [
        "",
        "s",
        "5",
        "-5s",
        "+5s",
        "5 s",
        " 5s",
        "5S",
        "5us",
        "5min",
        "5d",
        ".5s",
        "5.s",
        "1h30m",
        "NaNs",
        "infs",
        "1e3s",
        "1_0s",
        "0x1s",
        "99999999999h",
        "18446744073709551616ms",
        "1.0000000001s",
        "٣s",
    ];
    for text in wrong {
        assert!(duration(text, ANY).is_err(), "{text}");
    }
    let range = (Duration::from_millis(1), Duration::from_secs(60));
    assert!(duration("1ms", range).is_ok() && duration("60s", range).is_ok());
    assert_eq!(duration("61s", range).unwrap_err().to_string(), "`61s` is out of range; 1ms to 1m");
    assert!(duration("0", range).is_err());
    for text in ["999999999h", "500000000000s", &format!("{}ms", "9".repeat(100))] {
        assert!(duration(text, range).unwrap_err().message.ends_with(" is out of range"), "{text}");
    }
}

#[test]
fn sizes() {
    let any = (0, u64::MAX);
    let cases = [
        ("0", 0),
        ("512", 512),
        ("64KiB", 65_536),
        ("32MiB", 33_554_432),
        ("1GiB", 1_073_741_824),
        ("64KB", 64_000),
        ("32MB", 32_000_000),
        ("1GB", 1_000_000_000),
    ];
    for (text, bytes) in cases {
        assert_eq!(size(text, any), Ok(bytes), "{text}");
    }
    for text in
        ["", "KiB", "-1", "+1", "1.5MiB", "1 MiB", "1mib", "1M", "1B", "1TiB", "NaN", "1_000", "0x10", "1é"]
    {
        assert!(size(text, any).is_err(), "{text}");
    }
    for text in ["18446744073709551616", "18446744073709551615GiB"] {
        assert!(size(text, any).unwrap_err().message.contains("out of range"), "{text}");
    }
    assert!(size("1KiB", (1024, 2048)).is_ok() && size("2KiB", (1024, 2048)).is_ok());
    assert_eq!(size("2049", (1024, 2048)).unwrap_err().to_string(), "`2049` is out of range; 1KiB to 2KiB");
}

#[test]
fn what_is_written_is_short() {
    let written =
        [(0, "0s"), (1, "1ms"), (1_500, "1500ms"), (60_000, "1m"), (90_000, "90s"), (7_200_000, "2h")];
    for (ms, text) in written {
        assert_eq!(render_duration(Duration::from_millis(ms)), text);
    }
    assert_eq!(render_duration(Duration::from_nanos(1_500_000)), "1.5ms");
    for (bytes, text) in [(0, "0"), (1023, "1023"), (1024, "1KiB"), (32 << 20, "32MiB"), (1_000_000, "1MB")] {
        assert_eq!(render_size(bytes), text);
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_as_the_same(nanos in any::<u64>(), ms in 0..10_000_000_u64, bytes in any::<u64>()) {
        for duration_in in [Duration::from_nanos(nanos), Duration::from_millis(ms)] {
            prop_assert_eq!(duration(&render_duration(duration_in), ANY), Ok(duration_in));
        }
        prop_assert_eq!(size(&render_size(bytes), (0, u64::MAX)), Ok(bytes));
    }
}
