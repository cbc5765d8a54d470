//! When a certificate ends: the one thing of it that operators have to know in advance, read out of its DER (RFC 5280,
//! 4.1) without a parser for all the rest.

use std::time::UNIX_EPOCH;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version, which only certificates of version 1 are without.
const VERSION: u8 = 0xa0;

/// When it ends, in seconds of Unix time; `None` if it does not say so as it should.
pub(super) fn end(certificate: &[u8]) -> Option<u64> {
    let (certificate, _) = take(certificate, SEQUENCE)?;
    let (mut signed, _) = take(certificate, SEQUENCE)?;
    if let Some((_, rest)) = take(signed, VERSION) {
        signed = rest;
    }
    // Serial number, algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, signed) = take(signed, tag)?;
    }
    let (validity, _) = take(signed, SEQUENCE)?;
    let (_, last) = take(validity, UTC_TIME).or_else(|| take(validity, GENERALIZED_TIME))?;
    if let Some((short, _)) = take(last, UTC_TIME) {
        let text = std::str::from_utf8(short).ok()?;
        // RFC 5280, 4.1.2.5.1: up to 49 is this century.
        let century = if text.get(..2)? < "50" { "20" } else { "19" };
        return seconds(&format!("{century}{text}"));
    }
    let (long, _) = take(last, GENERALIZED_TIME)?;
    seconds(std::str::from_utf8(long).ok()?)
}

/// The value with this tag at the beginning, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.len() > 4 {
            return None;
        }
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    rest.split_at_checked(length)
}

/// `YYYYMMDDHHMMSSZ` as seconds of Unix time.
fn seconds(text: &str) -> Option<u64> {
    if text.len() != 15 || !text.ends_with('Z') {
        return None;
    }
    let part = |from, to| text.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    let time = humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::{end, seconds};

    fn until(year: i32) -> Option<u64> {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 3, 1);
        end(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
    }

    #[test]
    fn the_end_is_found_in_both_ways_of_writing_it() {
        assert_eq!(until(2031), seconds("20310301000000Z"));
        assert_eq!(until(2031), Some(1_930_089_600));
        assert_eq!(until(2075), seconds("20750301000000Z"));
    }

    #[test]
    fn whatever_is_no_certificate_has_no_end() {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2031, 3, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        for length in 0..certificate.der().len().min(100) {
            assert_eq!(end(&certificate.der()[..length]), None, "{length}");
        }
        for bytes in [&[][..], b"-----BEGIN", &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0xff]] {
            assert_eq!(end(bytes), None);
        }
    }
}
