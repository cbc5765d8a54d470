use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Digest, KeyTable, Rights, Verdict};

fn digest(first: u8) -> Digest {
    let mut bytes = [7; Digest::BYTES];
    bytes[0] = first;
    Digest(bytes)
}

#[test]
fn a_key_is_good_until_it_expires() {
    let none: KeyTable<()> = KeyTable::from_iter([]);
    assert!(none.is_empty() && KeyTable::<()>::default().is_empty());
    assert_eq!(none.judge(&digest(0), 0), Verdict::Unknown);
    assert_eq!(KeyTable::<()>::default().judge(&digest(255), 0), Verdict::Unknown);
    let keys = KeyTable::from_iter([(digest(1), Some(1000), "old"), (digest(2), None, "new")]);
    assert_eq!(keys.judge(&digest(1), 0), Verdict::Known(&"old"));
    assert_eq!(keys.judge(&digest(1), 999), Verdict::Known(&"old"));
    assert_eq!(keys.judge(&digest(1), 1000), Verdict::Expired(&"old"));
    assert_eq!(keys.judge(&digest(1), u64::MAX), Verdict::Expired(&"old"));
    assert_eq!(keys.judge(&digest(2), u64::MAX - 1), Verdict::Known(&"new"));
    assert_eq!(keys.judge(&digest(3), 0), Verdict::Unknown);
    assert_eq!(keys.len(), 2);
}

#[test]
fn digests_that_begin_alike_are_not_alike() {
    let (one, mut other) = (digest(1), digest(1));
    other.0[31] ^= 1;
    assert_eq!(KeyTable::from_iter([(one, None, 1)]).judge(&other, 0), Verdict::Unknown);
    let keys = KeyTable::from_iter([(one, None, 1), (other, None, 2)]);
    assert_eq!((keys.judge(&one, 0), keys.judge(&other, 0)), (Verdict::Known(&1), Verdict::Known(&2)));
}

#[test]
fn digests_are_read_as_they_are_written() {
    let text = "00ff10".to_owned() + &"ab".repeat(29);
    let read = Digest::parse(&text).unwrap();
    assert_eq!(read.to_string(), text);
    assert_eq!(Digest::parse(&text.to_uppercase()), Some(read));
    assert_eq!(format!("{read:?}"), "Digest(00ff…)");
    let wrong = ["", "ab", "0123", &format!("{text}00"), &text.replace('f', "g"), &"é".repeat(32)];
    assert!(wrong.iter().all(|text| Digest::parse(text).is_none()));
}

#[test]
fn a_key_narrows_what_its_segment_may_use() {
    let names: Vec<Arc<str>> = vec!["a".into(), "*".into(), "passthrough:/chain".into()];
    let all = Rights { segment: 1, routes: None };
    let some = Rights { segment: 1, routes: Some(&names) };
    for (route, allow, everything, narrowed) in [
        ("a", None, true, true),
        ("b", None, true, false),
        // `*` is the route of that name, not all of them.
        ("*", None, true, true),
        ("passthrough:/chain", None, true, true),
        ("passthrough:/chai", None, true, false),
        ("a", Some(&[0, 1][..]), true, true),
        ("a", Some(&[0, 2][..]), false, false),
        ("b", Some(&[1][..]), true, false),
        ("a", Some(&[][..]), false, false),
    ] {
        assert_eq!((all.cover(route, allow), some.cover(route, allow)), (everything, narrowed), "{route}");
    }
}

proptest! {
    /// A table says what a plain list of the same keys says.
    #[test]
    fn a_table_is_a_list(
        keys in prop::collection::vec((any::<[u8; 2]>(), prop::option::of(0..50_u64)), 0..300),
        asked in any::<[u8; 2]>(),
        now in 0..60_u64,
    ) {
        // Few bits differ, so that many share their hash.
        let long = |short: [u8; 2]| {
            let mut bytes = [0; Digest::BYTES];
            (bytes[0], bytes[31]) = (short[0] << 5, short[1] & 7);
            Digest(bytes)
        };
        let keys: Vec<_> =
            keys.into_iter().enumerate().map(|(place, (key, end))| (long(key), end, place)).collect();
        let table: KeyTable<usize> = keys.iter().copied().collect();
        let list: BTreeMap<_, _> = keys.iter().map(|(key, end, place)| (key.0, (*end, *place))).collect();
        let expected = match list.get(&long(asked).0) {
            Some((expires, place)) if expires.is_none_or(|end| now < end) => Verdict::Known(place),
            Some((_, place)) => Verdict::Expired(place),
            None => Verdict::Unknown,
        };
        prop_assert_eq!(table.judge(&long(asked), now), expected);
        prop_assert_eq!(table.len(), list.len());
    }
}
