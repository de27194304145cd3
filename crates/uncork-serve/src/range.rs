//! Which bytes of a body are asked for: the `Range` header (RFC 9110, section 14).

use std::ops::Range;

use smallvec::SmallVec;

/// What a `Range` header comes to for a body of a known length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// The header is ignored, and the whole is sent with 200: it is malformed, of another unit, or
    /// asks for more ranges than are allowed.
    Whole,
    /// No byte of the body is asked for: 416.
    Unsatisfiable,
    /// One range, within the body and not empty.
    One(Range<u64>),
    /// Two or more, in the order in which they were asked for. They are within the body, not empty,
    /// and neither overlap nor touch each other; so they sum up to less than the body, and a peer
    /// can't have more sent than a plain request has (CVE-2011-3192).
    Several(SmallVec<[Range<u64>; 4]>),
}

/// Reads the value of a `Range` header for a body of `len` bytes.
///
/// `ranges_max` bounds what is asked for, before ranges that overlap or touch each other become one
/// and those beyond the end are dropped. Numbers above `u64::MAX` count as that. An empty body has no
/// bytes that could be named in a `Content-Range`: the last so many of them are the whole.
#[must_use]
pub fn parse(value: &[u8], len: u64, ranges_max: usize) -> Ranges {
    let Some((unit, set)) = value.split_at_checked(6) else {
        return Ranges::Whole;
    };
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return Ranges::Whole;
    }
    let mut ranges = SmallVec::<[Range<u64>; 4]>::new();
    let mut asked = 0;
    let mut whole = false;
    for element in set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        // RFC 9110, section 5.6.1.2: empty elements are ignored.
        if element.is_empty() {
            continue;
        }
        asked += 1;
        match Spec::parse(element) {
            Some(_) if asked > ranges_max => return Ranges::Whole,
            Some(spec) => match spec.within(len) {
                Some(range) if range.is_empty() => whole = true,
                Some(range) => join(&mut ranges, range),
                None => {}
            },
            None => return Ranges::Whole,
        }
    }
    match &ranges[..] {
        _ if asked == 0 || whole => Ranges::Whole,
        [] => Ranges::Unsatisfiable,
        [one] => Ranges::One(one.clone()),
        _ => Ranges::Several(ranges),
    }
}

/// Adds a range, as part of the first one that it overlaps or touches, together with all others for
/// which that holds.
fn join(ranges: &mut SmallVec<[Range<u64>; 4]>, range: Range<u64>) {
    let touches = |other: &Range<u64>| other.start <= range.end && range.start <= other.end;
    let Some(first) = ranges.iter().position(touches) else {
        ranges.push(range);
        return;
    };
    let mut union = range.clone();
    let mut at = 0;
    ranges.retain(|other| {
        at += 1;
        let touched = touches(other);
        if touched {
            union = union.start.min(other.start)..union.end.max(other.end);
        }
        !touched || at == first + 1
    });
    ranges[first] = union;
}

/// One element of the set.
enum Spec {
    /// `5-9`, `5-`: both are part of it.
    Between(u64, u64),
    /// `-5`
    Last(u64),
}

impl Spec {
    /// `None` where it is malformed; one whose last byte is before its first is, too.
    fn parse(element: &[u8]) -> Option<Self> {
        let dash = memchr::memchr(b'-', element)?;
        match (&element[..dash], &element[dash + 1..]) {
            ([], last) => Some(Self::Last(number(last)?)),
            (first, []) => Some(Self::Between(number(first)?, u64::MAX)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// The bytes of a body of this length; `None` where it has none of them. Empty only for the last
    /// bytes of an empty body.
    fn within(&self, len: u64) -> Option<Range<u64>> {
        match *self {
            Self::Between(first, _) if first >= len => None,
            Self::Between(first, last) => Some(first..len.min(last.saturating_add(1))),
            Self::Last(0) => None,
            Self::Last(bytes) => Some(len.saturating_sub(bytes)..len),
        }
    }
}

/// One or more digits.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        digit.is_ascii_digit().then(|| {
            number
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_of(len: u64, value: &str, expected: &[Range<u64>]) {
        let ranges = match parse(value.as_bytes(), len, 4) {
            Ranges::One(range) => vec![range],
            Ranges::Several(ranges) => ranges.into_vec(),
            other => panic!("{value:?}: {other:?}"),
        };
        assert_eq!(ranges, expected, "{value:?}");
    }

    #[track_caller]
    fn check(value: &str, expected: &[Range<u64>]) {
        check_of(100, value, expected);
    }

    #[expect(clippy::single_range_in_vec_init, reason = "lists of one range")]
    #[test]
    fn ranges_of_a_body() {
        check("bytes=0-0", &[0..1]);
        check("bytes=0-", &[0..100]);
        check("bytes=10-19", &[10..20]);
        check("BYTES=99-", &[99..100]);
        check("bytes=0-99999", &[0..100]);
        check("bytes=-1", &[99..100]);
        check("bytes=-100", &[0..100]);
        check("bytes=-101", &[0..100]);
        check("bytes=007-8", &[7..9]);
        check("bytes=5-99999999999999999999999999", &[5..100]);
        check("bytes=-99999999999999999999999999", &[0..100]);
        check("bytes=, ,\t5-6 ,,", &[5..7]);
        check("bytes=100-200,5-6,-0", &[5..7]);
        check_of(u64::MAX, "bytes=0-18446744073709551615", &[0..u64::MAX]);
        check_of(1, "bytes=0-5", &[0..1]);
    }

    #[expect(clippy::single_range_in_vec_init, reason = "lists of one range")]
    #[test]
    fn ranges_that_touch_are_one() {
        check("bytes=50-59, 0-9", &[50..60, 0..10]);
        check("bytes=0-9,10-19", &[0..20]);
        check("bytes=0-9,11-19", &[0..10, 11..20]);
        check("bytes=0-9,5-19", &[0..20]);
        check("bytes=10-19,0-9", &[0..20]);
        check("bytes=0-0,50-50,99-99,0-", &[0..100]);
        check("bytes=80-89,0-9,20-29,5-25", &[80..90, 0..30]);
        check("bytes=0-,0-,0-,0-", &[0..100]);
        check("bytes=-1,0-0", &[99..100, 0..1]);
    }

    #[test]
    fn ranges_that_come_to_nothing() {
        let check = |len: u64, value: &str, expected: &Ranges| {
            assert_eq!(&parse(value.as_bytes(), len, 4), expected, "{value:?}");
        };
        for whole in [
            "",
            "bytes",
            "bytes=",
            "bytes= , ",
            "byte=0-1",
            "lines=0-1",
            "bytes:0-1",
            "bytes =0-1",
            "bytes=-",
            "bytes=5",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=0-1,x",
            "bytes=0 - 1",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=--1",
            "bytes=0x1-2",
            "bytes=1-2;3-4",
            "bytes=\0",
            "bytes=0-0,2-2,4-4,6-6,8-8",
            "bytes=100-,100-,100-,100-,100-",
            "bytes=500-4",
        ] {
            check(100, whole, &Ranges::Whole);
        }
        for none in [
            "bytes=100-",
            "bytes=-0",
            "bytes=100-200,-0",
            "bytes=99999999999999999999999-",
        ] {
            check(100, none, &Ranges::Unsatisfiable);
        }
        check(0, "bytes=0-", &Ranges::Unsatisfiable);
        check(0, "bytes=0-0", &Ranges::Unsatisfiable);
        check(0, "bytes=-0", &Ranges::Unsatisfiable);
        check(0, "bytes=-5", &Ranges::Whole);
        assert_eq!(parse(b"bytes=0-1", 9, 0), Ranges::Whole);
    }

    proptest! {
        #[test]
        fn any_ranges_hold(specs in "(bytes=)?([0-9]{0,3}-[0-9]{0,3}[, ]{1,2}){0,9}", len in 0..400_u16) {
            let [low, high] = len.to_le_bytes();
            crate::fuzzing::range(&[&[16, low, high, 0, 0], specs.as_bytes()].concat());
        }

        #[test]
        fn any_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            crate::fuzzing::range(&bytes);
        }
    }
}
