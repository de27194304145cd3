//! Which codings of a body a peer takes: `Accept-Encoding` (RFC 9110, section 12.5.3).

use crate::request::Field;

/// How a body is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
}

impl Coding {
    /// All of them, the one that is best where a peer likes several equally first: the smallest.
    pub const ALL: [Self; 4] = [Self::Brotli, Self::Zstd, Self::Gzip, Self::Identity];

    /// Its name in `Accept-Encoding` and `Content-Encoding`, where `identity` is not sent.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Brotli => "br",
        }
    }

    /// What the name of a file that is coded so has at its end.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
            Self::Brotli => ".br",
        }
    }
}

/// Some of the codings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CodingSet(u8);

impl CodingSet {
    /// None of them.
    pub const EMPTY: Self = Self(0);

    /// These and one more.
    #[must_use]
    pub const fn with(self, coding: Coding) -> Self {
        Self(self.0 | 1 << coding as u8)
    }

    /// Whether it is one of them.
    #[must_use]
    pub const fn contains(self, coding: Coding) -> bool {
        self.0 & (1 << coding as u8) != 0
    }

    /// Whether it is none of them.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What a peer takes, and how gladly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// In thousandths, by [`Coding`].
    qualities: [u16; 4],
}

impl Accepted {
    /// A body as it is, and nothing else.
    pub const IDENTITY: Self = Self {
        qualities: [QUALITY_MAX, 0, 0, 0],
    };

    /// How gladly a coding is taken: at most 1000, and 0 if not at all.
    #[must_use]
    pub const fn quality(&self, coding: Coding) -> u16 {
        self.qualities[coding as usize]
    }
}

/// The quality of what is asked for without one.
const QUALITY_MAX: u16 = 1000;

/// The quality of identity where nothing is said of it: it is acceptable, but a peer that names
/// others would rather have these.
const QUALITY_UNSAID: u16 = 1;

/// Reads the header.
///
/// Without it, RFC 9110 lets a server choose any coding. Peers that don't send it, though, mostly
/// can't decode: they get identity alone. Several lines of it, which no browser sends, are read in
/// the same way, as no peer is wronged by identity.
///
/// A coding that is named twice has the lower quality. An element that can't be read says nothing: a
/// quality of 0 for it would make of a broken `identity;q=x` that nothing is acceptable.
#[must_use]
pub fn parse(field: Field<'_>) -> Accepted {
    let Field::Once(value) = field else {
        return Accepted::IDENTITY;
    };
    let mut said: [Option<u16>; 4] = [None; 4];
    let mut others = None;
    for element in value.split(|&byte| byte == b',') {
        let Some((name, quality)) = element_of(element) else {
            continue;
        };
        let of_name = if name == b"*" {
            &mut others
        } else if let Some(coding) = coding_of(name) {
            &mut said[coding as usize]
        } else {
            continue;
        };
        *of_name = Some(of_name.map_or(quality, |before| quality.min(before)));
    }
    let mut qualities = said.map(|quality| quality.or(others).unwrap_or(0));
    if said[Coding::Identity as usize].or(others).is_none() {
        let any = qualities.iter().any(|&quality| quality > 0);
        qualities[Coding::Identity as usize] = if any { QUALITY_UNSAID } else { QUALITY_MAX };
    }
    Accepted { qualities }
}

/// Chooses, of the codings that there are, the one that is taken most gladly; of equals the one that
/// comes first in [`Coding::ALL`]. `None` where none of them is acceptable: RFC 9110 lets a server
/// answer 406 or send one of them nevertheless.
#[must_use]
pub fn choose(accepted: &Accepted, available: CodingSet) -> Option<Coding> {
    let mut best = None;
    let mut best_quality = 0;
    for coding in Coding::ALL {
        let quality = accepted.quality(coding);
        if available.contains(coding) && quality > best_quality {
            best = Some(coding);
            best_quality = quality;
        }
    }
    best
}

fn coding_of(name: &[u8]) -> Option<Coding> {
    // RFC 9110, section 8.4.1.3.
    if name.eq_ignore_ascii_case(b"x-gzip") {
        return Some(Coding::Gzip);
    }
    Coding::ALL
        .into_iter()
        .find(|coding| name.eq_ignore_ascii_case(coding.name().as_bytes()))
}

/// `codings [ OWS ";" OWS "q=" qvalue ]`
fn element_of(element: &[u8]) -> Option<(&[u8], u16)> {
    let Some(at) = memchr::memchr(b';', element) else {
        return Some((element.trim_ascii(), QUALITY_MAX));
    };
    let (name, weight) = (&element[..at], element[at + 1..].trim_ascii());
    match weight {
        [b'q' | b'Q', b'=', value @ ..] => Some((name.trim_ascii(), quality(value)?)),
        _ => None,
    }
}

/// `qvalue` of RFC 9110, section 12.4.2, in thousandths.
fn quality(value: &[u8]) -> Option<u16> {
    let (one, digits) = match value {
        [b'0', rest @ ..] => (0, rest),
        [b'1', rest @ ..] => (QUALITY_MAX, rest),
        _ => return None,
    };
    let digits = match digits {
        [] => digits,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut quality = one;
    for (digit, worth) in digits.iter().zip([100, 10, 1]) {
        if !digit.is_ascii_digit() {
            return None;
        }
        quality += u16::from(digit - b'0') * worth;
    }
    (quality <= QUALITY_MAX).then_some(quality)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Qualities of identity, gzip, zstd and br.
    #[track_caller]
    fn check(value: &str, expected: [u16; 4]) {
        let accepted = parse(Field::Once(value.as_bytes()));
        assert_eq!(accepted.qualities, expected, "{value:?}");
    }

    #[test]
    fn qualities() {
        check("", [1000, 0, 0, 0]);
        check("gzip", [1, 1000, 0, 0]);
        check("gzip, deflate, br, zstd", [1, 1000, 1000, 1000]);
        check(
            "GZIP;Q=0.5 , Br ; q=1.000,\tzstd;\tq=0.123",
            [1, 500, 123, 1000],
        );
        check("x-gzip", [1, 1000, 0, 0]);
        check("deflate", [1000, 0, 0, 0]);
        check("identity", [1000, 0, 0, 0]);
        check("*", [1000, 1000, 1000, 1000]);
        check("*;q=0", [0, 0, 0, 0]);
        check("*;q=0.5, br", [500, 500, 500, 1000]);
        check("gzip, *;q=0", [0, 1000, 0, 0]);
        check("identity;q=1, *;q=0", [1000, 0, 0, 0]);
        check("identity;q=0", [0, 0, 0, 0]);
        check("gzip;q=0", [1000, 0, 0, 0]);
        check("gzip;q=0, gzip", [1000, 0, 0, 0]);
        check("gzip;q=1.;,br;q=0.", [1000, 0, 0, 0]);
        check(",, br,", [1, 0, 0, 1000]);
        check("identity;q=0.5, gzip;q=0.2", [500, 200, 0, 0]);
    }

    #[test]
    fn elements_that_say_nothing() {
        for weight in [
            "", "q", "q=", "q=x", "q=2", "q=1.001", "q=0.1234", "q=-1", "q=.5", "q=00", "q =1",
            "q= 1", "q=1;q=1", "level=1", "q=0,5",
        ] {
            check(&format!("br;{weight}"), [1000, 0, 0, 0]);
            if !weight.contains(',') {
                check(&format!("gzip,identity;{weight}"), [1, 1000, 0, 0]);
            }
        }
    }

    #[test]
    fn other_fields_are_identity() {
        assert_eq!(parse(Field::Absent), Accepted::IDENTITY);
        assert_eq!(parse(Field::Several), Accepted::IDENTITY);
    }

    #[test]
    fn choices() {
        use Coding::{Brotli, Gzip, Identity, Zstd};
        let check = |value: &str, available: &[Coding], expected: Option<Coding>| {
            let available = available
                .iter()
                .fold(CodingSet::EMPTY, |set, &coding| set.with(coding));
            let accepted = parse(Field::Once(value.as_bytes()));
            assert_eq!(choose(&accepted, available), expected, "{value:?}");
        };
        let all = [Identity, Gzip, Zstd, Brotli];
        check("gzip, deflate, br, zstd", &all, Some(Brotli));
        check(
            "gzip, deflate, br, zstd",
            &[Identity, Gzip, Zstd],
            Some(Zstd),
        );
        check("gzip, br;q=0.9", &all, Some(Gzip));
        check("gzip;q=0.001", &all, Some(Gzip));
        check("br", &[Identity, Gzip], Some(Identity));
        check("br", &[Gzip], None);
        check("", &all, Some(Identity));
        check("*;q=0", &all, None);
        check("identity;q=0", &all, None);
        check("*", &all, Some(Brotli));
        check("identity, gzip;q=0.5", &all, Some(Identity));
        check("br", &[], None);
        assert!(CodingSet::EMPTY.is_empty());
    }

    proptest! {
        #[test]
        fn any_list_holds(value in "((gzip|br|zstd|identity|\\*)(;q=[01](\\.[0-9]{0,4})?)?[, ]{1,2}){0,6}") {
            crate::fuzzing::accept_encoding(value.as_bytes());
        }

        #[test]
        fn any_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            crate::fuzzing::accept_encoding(&bytes);
        }
    }
}
