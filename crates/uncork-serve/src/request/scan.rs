//! Bytes that are looked at eight at a time: most of a head is text, and only its ends matter.

/// The place of the first control character, tabs included, from `from` on.
#[inline]
pub(super) fn control(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let marks = control_marks(u64::from_le_bytes(*chunk));
        if marks != 0 {
            return Some(at + (marks.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    let found = rest.iter().position(u8::is_ascii_control)?;
    Some(at + found)
}

/// The highest bit of the first byte that is a control character; marks behind that one say nothing.
const fn control_marks(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    // Of both: subtracting borrows from the next byte only where this one is below.
    let low = word.wrapping_sub(ONES * 0x20) & !word;
    let delete = word ^ (ONES * 0x7f);
    let delete = delete.wrapping_sub(ONES) & !delete;
    (low | delete) & HIGHS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_byte_at_each_place() {
        for byte in 0..=u8::MAX {
            for place in 0..20 {
                for filling in [b'a', b' ', 0x80, 0xff, 0xa0] {
                    let mut bytes = [filling; 20];
                    bytes[place] = byte;
                    let expected = byte.is_ascii_control().then_some(place);
                    assert_eq!(control(&bytes, 0), expected, "{byte} {place} {filling}");
                    assert_eq!(control(&bytes, place + 1), None);
                }
            }
        }
        assert_eq!(control(b"", 0), None);
        assert_eq!(control(b"\n", 7), None);
    }

    proptest! {
        #[test]
        fn as_one_by_one(bytes in prop::collection::vec(any::<u8>(), 0..60), from in 0_usize..60) {
            let expected = bytes.iter().skip(from).position(u8::is_ascii_control);
            prop_assert_eq!(control(&bytes, from), expected.map(|at| at + from));
        }
    }
}
