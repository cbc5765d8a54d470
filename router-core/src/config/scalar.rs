//! What a single value may be: durations, sizes, counts, names, paths. Each function takes the text and gives
//! the value or what to tell its author; where the value stands is not known here.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::{Complaint, shown};
use super::suggest::nearest;
use super::weights;

/// Reads `800ms`, `1.5s`, `10m`, `1h` or `0` within a range, both ends included.
pub(super) fn duration(text: &str, (least, most): (Duration, Duration)) -> Result<Duration, Complaint> {
    let Some(nanos) = nanos(text) else {
        let complaint = Complaint::new(format!("expected a duration, found {}", shown(text)));
        return Err(complaint.help("a number and its unit, as in 800ms, 1.5s, 10m or 1h"));
    };
    let fits = (least.as_nanos()..=most.as_nanos()).contains(&nanos);
    let duration = u64::try_from(nanos).ok().filter(|_| fits).map(Duration::from_nanos);
    duration.ok_or_else(|| {
        let range = format!("{} to {}", render_duration(least), render_duration(most));
        Complaint::new(format!("{} is out of range", shown(text))).help(range)
    })
}

/// The nanoseconds of a duration, however many: one that is far too long is still a duration.
fn nanos(text: &str) -> Option<u128> {
    if text == "0" {
        return Some(0);
    }
    // `ms` before `m` and `s`: each is also the end of it.
    let (digits, unit) = UNITS.iter().find_map(|&(unit, nanos)| Some((text.strip_suffix(unit)?, nanos)))?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    let billionths: u64 = format!("{fraction:0<FRACTION_DIGITS_MAX$}").parse().ok()?;
    let whole = whole.parse().unwrap_or(u128::MAX).saturating_mul(u128::from(unit));
    Some(whole.saturating_add(u128::from(billionths) * u128::from(unit) / 1_000_000_000))
}

/// The shortest text that [`duration`] reads as `duration`.
pub(super) fn render_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let whole = |unit: u64| nanos != 0 && nanos.is_multiple_of(u128::from(unit));
    let largest = UNITS.iter().filter(|&&(_, unit)| whole(unit)).max_by_key(|&&(_, unit)| unit);
    match largest {
        Some(&(unit, size)) => format!("{}{unit}", nanos / u128::from(size)),
        None if nanos == 0 => "0s".to_owned(),
        None => {
            let text = format!("{}.{:06}", nanos / 1_000_000, nanos % 1_000_000);
            format!("{}ms", text.trim_end_matches('0'))
        }
    }
}

/// Reads `512`, `64KiB`, `32MiB`, `1GiB`, `64KB`, `32MB` or `1GB` within a range, both ends included.
pub(super) fn size(text: &str, (least, most): (u64, u64)) -> Result<u64, Complaint> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (_, unit) = text.split_at(digits.len());
    let factor = SIZES.iter().find_map(|&(name, bytes)| (name == unit).then_some(bytes));
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let (Some(factor), true) = (factor, is_number) else {
        let complaint = Complaint::new(format!("expected a size, found {}", shown(text)));
        return Err(complaint.help("bytes, or a whole number and its unit, as in 64KiB, 32MiB or 1GiB"));
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.filter(|bytes| (least..=most).contains(bytes)).ok_or_else(|| {
        let range = format!("{} to {}", render_size(least), render_size(most));
        Complaint::new(format!("{} is out of range", shown(text))).help(range)
    })
}

/// The shortest text that [`size`] reads as `bytes`.
pub(super) fn render_size(bytes: u64) -> String {
    let fits = |size: u64| size > 1 && bytes != 0 && bytes.is_multiple_of(size);
    match SIZES.iter().filter(|&&(_, size)| fits(size)).max_by_key(|&&(_, size)| size) {
        Some((unit, size)) => format!("{}{unit}", bytes / size),
        None => bytes.to_string(),
    }
}

/// Reads `true` or `false`; YAML's other words for them are too easy to write by accident.
pub(super) fn boolean(text: &str) -> Result<bool, Complaint> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Complaint::new(format!("expected true or false, found {}", shown(text)))),
    }
}

/// Reads one of a few words.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Complaint> {
    if let Some((_, value)) = words.iter().find(|(name, _)| *name == text) {
        return Ok(*value);
    }
    let complaint = Complaint::new(format!("expected {}, found {}", choice(words), shown(text)));
    Err(match nearest(text, words.iter().map(|(name, _)| *name)) {
        Some(name) => complaint.help(format!("did you mean `{name}`?")),
        None => complaint,
    })
}

/// The words of a choice as a sentence has them.
pub(super) fn choice<T>(words: &[(&str, T)]) -> String {
    let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
    match names.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => names.concat(),
    }
}

/// Reads a whole number within a range, both ends included.
pub(super) fn count(text: &str, (least, most): (u64, u64)) -> Result<u64, Complaint> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Complaint::new(format!("expected a whole number, found {}", shown(text))));
    }
    text.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
        Complaint::new(format!("{} is out of range", shown(text))).help(format!("{least} to {most}"))
    })
}

/// Reads a number within a range, both ends included.
pub(super) fn number(text: &str, (least, most): (f64, f64)) -> Result<f64, Complaint> {
    let number = weights::number(text)
        .ok_or_else(|| Complaint::new(format!("expected a number, found {}", shown(text))))?;
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(Complaint::new(format!("{} is out of range", shown(text))).help(format!("{least} to {most}")))
}

/// Reads a header's name and turns it into lower case.
pub(super) fn header_name(text: &str) -> Result<String, Complaint> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || text.len() > HEADER_BYTES_MAX || !text.bytes().all(allowed) {
        return Err(Complaint::new(format!("{} is not the name of a header", shown(text))));
    }
    let name = text.to_ascii_lowercase();
    if CREDENTIAL_HEADERS.contains(&name.as_str()) {
        return Err(Complaint::new(format!("`{name}` carries credentials and is never looked at here")));
    }
    Ok(name)
}

/// Reads a header's value to compare with: one that a request can have.
pub(super) fn header_value(text: &str) -> Result<String, Complaint> {
    let printable = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    if text.is_empty() || text.len() > NAME_CHARS_MAX || !printable || text.trim() != text {
        return Err(Complaint::new("no request can have this header value")
            .help("1 to 256 printable ASCII characters, no space around them"));
    }
    Ok(text.to_owned())
}

/// Reads the name of a model or a route: anything that can be seen.
pub(super) fn visible(text: &str) -> Result<String, Complaint> {
    let unseen = text.chars().any(|c| c.is_control() || c.is_whitespace());
    if text.is_empty() || unseen || text.chars().count() > NAME_CHARS_MAX {
        return Err(Complaint::new(format!("{} cannot be a name", shown(text)))
            .help("1 to 256 characters, no spaces among them"));
    }
    Ok(text.to_owned())
}

/// Reads a name that labels and headers can have as it is: that of `whose`, as in "a pool".
pub(super) fn plain_name(text: &str, whose: &str) -> Result<(), Complaint> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if first && text.len() <= PLAIN_CHARS_MAX && text.bytes().all(allowed) {
        return Ok(());
    }
    Err(Complaint::new(format!("{} cannot be the name of {whose}", shown(text)))
        .help("1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first"))
}

/// Reads a path in the file system; whether a file is there is found out when it is read.
pub(super) fn file_path(text: &str) -> Result<PathBuf, Complaint> {
    if text.is_empty() || text.len() > PATH_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Complaint::new("expected the path of a file"));
    }
    Ok(PathBuf::from(text))
}

/// Reads a prefix of request paths, as it may stand for itself and for everything below it. Only what can be
/// read in one way is taken: no escapes, parameters or segments that a server could resolve to somewhere else.
pub(super) fn path_prefix(text: &str) -> Result<String, Complaint> {
    let refused = |message: &str| Err(Complaint::new(message).help("as in /chain or /apps/letters"));
    if !text.starts_with('/') || text.ends_with('/') {
        return refused("a prefix begins with `/` and does not end with one");
    }
    if text.len() > NAME_CHARS_MAX || !text.bytes().all(|b| b.is_ascii_graphic() && !b"%?#;\\".contains(&b)) {
        return refused(
            "a prefix is up to 256 visible ASCII characters, none of them `%`, `?`, `#`, `;` or `\\`",
        );
    }
    if text.contains("//") || text.split('/').any(|segment| segment == "." || segment == "..") {
        return refused("no `//`, `.` or `..` in a prefix");
    }
    let taken = OWN_PATHS.iter().find(|own| text.strip_prefix(**own).is_some_and(below));
    match taken {
        Some(own) => refused(&format!("`{own}` and what is below it are answered by Weir itself")),
        None => Ok(text.to_owned()),
    }
}

/// Whether what follows a path is that path itself or something below it.
fn below(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// Paths that never go on as they are: those of the APIs, of the probes and of Weir.
const OWN_PATHS: [&str; 3] = ["/v1", "/health", "/weir"];
/// Units of a duration in nanoseconds.
const UNITS: [(&str, u64); 4] =
    [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];
/// Units of a size in bytes; where two fit, the binary one is larger and rendered.
const SIZES: [(&str, u64); 7] = [
    ("", 1),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];
/// Request headers whose value is a secret: never logged, never compared with a value in a file.
pub(super) const CREDENTIAL_HEADERS: [&str; 10] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "cookie",
    "set-cookie",
    "x-auth-token",
    "x-goog-api-key",
    "x-amz-security-token",
    "ocp-apim-subscription-key",
];
/// As many digits as a billionth has.
const FRACTION_DIGITS_MAX: usize = 9;
const HEADER_BYTES_MAX: usize = 128;
const NAME_CHARS_MAX: usize = 256;
const PLAIN_CHARS_MAX: usize = 64;
/// Longest path that Linux opens.
const PATH_BYTES_MAX: usize = 4095;
