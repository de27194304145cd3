//! Numbers and addresses as text, without the cost of `fmt`.

use std::io::Write;
use std::net::IpAddr;

const PAIRS: [[u8; 2]; 100] = pairs();

#[expect(clippy::cast_possible_truncation, reason = "digits")]
const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
}

/// A number in decimal digits.
#[expect(clippy::cast_possible_truncation, reason = "less than a hundred")]
pub(crate) fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    while number >= 10 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number > 0 || start == digits.len() {
        start -= 1;
        digits[start] = b'0' + number as u8;
    }
    out.extend_from_slice(&digits[start..]);
}

/// An address; IPv4 within IPv6 is shown as IPv4, so that a dual-stack socket's peers look the same.
pub(crate) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(four) => {
            let mut text = [b'.'; 16];
            let mut end = 0;
            for octet in four.octets() {
                for (least, unit) in [(100, 100), (10, 10), (0, 1)] {
                    if octet >= least {
                        text[end] = b'0' + octet / unit % 10;
                        end += 1;
                    }
                }
                text[end] = b'.';
                end += 1;
            }
            out.extend_from_slice(&text[..end - 1]);
        }
        IpAddr::V6(six) => {
            // Writing to a vector can't fail.
            let _ = write!(out, "{six}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn edges() {
        for edge in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 12_345, u64::MAX] {
            assert_eq!(text(|out| number(out, edge)), edge.to_string());
        }
        for (given, expected) in [
            ("127.0.0.1", "127.0.0.1"),
            ("255.10.0.100", "255.10.0.100"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(text(|out| address(out, given.parse().unwrap())), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_number(any: u64, shift in 0..64) {
            let any = any >> shift;
            assert_eq!(text(|out| number(out, any)), any.to_string());
        }
    }
}
