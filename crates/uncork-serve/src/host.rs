//! Host names, normalised in one way everywhere: the `Host` header, the configuration, and the names
//! of folders.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::Ipv6Addr;

use idna::AsciiDenyList;

/// Most bytes of a host name (RFC 1035, section 2.3.4).
pub const HOST_BYTES_MAX: usize = 253;

/// Most bytes of one of its labels (RFC 1035, section 2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;

/// A normalised host name: lower case, no trailing dot, no port, A-labels (`xn--…`); an IPv6 address
/// in its brackets.
///
/// It is hashed and compared as its text is, so a map whose keys are names is searched with a `&str`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostName<'b>(Cow<'b, [u8]>);

/// What a site is called: a host name, all names beneath one, or whatever is left.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `example.org`
    Exact(HostName<'static>),
    /// `*.example.org`: any name with more labels in front; holds `example.org`.
    Beneath(HostName<'static>),
    /// `_default`
    Default,
}

impl<'b> HostName<'b> {
    /// The name in a `Host` header, in the authority of a target, or of a folder; `None` where it is
    /// none, the empty one included. A port is checked and left out.
    ///
    /// What is normal already is borrowed; only other spellings, and IPv6 addresses, allocate.
    #[must_use]
    pub fn parse(bytes: &'b [u8]) -> Option<Self> {
        let labels = Labels::of(bytes)?;
        match &bytes[labels.end..] {
            [] => labels.name(bytes),
            [b':', port @ ..] if is_port(port) => labels.name(bytes),
            _ => other_spelling(bytes),
        }
    }

    /// The same name, its text its own.
    #[must_use]
    pub fn into_owned(self) -> HostName<'static> {
        HostName(Cow::Owned(self.0.into_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a host name is ASCII")
    }

    /// The name's bytes, all ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The names that it is beneath, the longest first: of `a.b.c` these are `b.c` and `c`. An IPv6
    /// address is beneath none.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        let name = match self.0.first() {
            Some(b'[') => "",
            _ => self.as_str(),
        };
        std::iter::successors(Some(name), |name| Some(name.split_once('.')?.1)).skip(1)
    }
}

/// All digits, maybe none (RFC 3986, section 3.2.3), that are a port.
fn is_port(digits: &[u8]) -> bool {
    let port = digits.iter().try_fold(0_u32, |port, &digit| {
        let next = port * 10 + u32::from(digit.wrapping_sub(b'0'));
        (digit.is_ascii_digit() && next <= u32::from(u16::MAX)).then_some(next)
    });
    port.is_some()
}

/// What of a name is in its normal form: labels of small letters, digits, `-` and `_`, and dots
/// between them.
#[derive(Clone, Copy)]
struct Labels {
    end: usize,
    /// Where the last label begins.
    last: usize,
}

impl Labels {
    /// Of the bytes that come first; `None` where a label that ends within them is empty or too long.
    #[inline]
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut last = 0;
        for (end, &byte) in bytes.iter().enumerate() {
            match KINDS[usize::from(byte)] {
                Kind::Label => {}
                Kind::Dot if (1..=LABEL_BYTES_MAX).contains(&(end - last)) => last = end + 1,
                Kind::Dot => return None,
                Kind::Other => return Some(Self { end, last }),
            }
        }
        let end = bytes.len();
        Some(Self { end, last })
    }

    /// All of them as a name. The dot at the end of one that is written out in full is left out.
    #[inline]
    fn name(self, bytes: &[u8]) -> Option<HostName<'_>> {
        let last_bytes = self.end - self.last;
        let end = self.end - usize::from(last_bytes == 0 && self.end > 0);
        let is_name = last_bytes <= LABEL_BYTES_MAX && (1..=HOST_BYTES_MAX).contains(&end);
        is_name.then_some(HostName(Cow::Borrowed(&bytes[..end])))
    }
}

/// What a byte is to a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Label,
    Dot,
    Other,
}

const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Other; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_') {
            kinds[byte as usize] = Kind::Label;
        }
        byte += 1;
    }
    kinds[b'.' as usize] = Kind::Dot;
    kinds
};

/// A name that is not in its normal form, or none.
#[cold]
fn other_spelling(bytes: &[u8]) -> Option<HostName<'static>> {
    if let Some(rest) = bytes.strip_prefix(b"[") {
        return address_v6(rest);
    }
    let name = match memchr::memrchr(b':', bytes) {
        Some(at) if is_port(&bytes[at + 1..]) => &bytes[..at],
        Some(_) => return None,
        None => bytes,
    };
    // Far more than any spelling of a name takes; the mapping costs.
    if name.len() > 8 * HOST_BYTES_MAX {
        return None;
    }
    let normal = match name.is_ascii() {
        true => name.to_ascii_lowercase(),
        false => international(name)?,
    };
    let labels = Labels::of(&normal).filter(|labels| labels.end == normal.len())?;
    labels.name(&normal).map(HostName::into_owned)
}

/// What follows the `[` of an IPv6 address. The same address in any spelling is one name.
fn address_v6(rest: &[u8]) -> Option<HostName<'static>> {
    let end = memchr::memchr(b']', rest)?;
    match &rest[end + 1..] {
        [] => {}
        [b':', port @ ..] if is_port(port) => {}
        _ => return None,
    }
    let address: Ipv6Addr = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some(HostName(Cow::Owned(format!("[{address}]").into_bytes())))
}

/// A name with labels that are not ASCII: each of them is mapped (case, width, composition) and
/// becomes an A-label (UTS #46). The other labels stay what they are, so that the name is the same as
/// with all its labels spelled in ASCII.
///
/// Whether an A-label stands for something does not matter: it is equal to itself, and here the same
/// is made of the label that it stands for.
fn international(name: &[u8]) -> Option<Vec<u8>> {
    let mut normal = Vec::new();
    for (at, label) in name.split(|&byte| byte == b'.').enumerate() {
        if at > 0 {
            normal.push(b'.');
        }
        if label.is_ascii() {
            normal.extend(label.to_ascii_lowercase());
        } else {
            let label = idna::domain_to_ascii_cow(label, AsciiDenyList::URL).ok()?;
            // A label of nothing but what is ignored, such as a soft hyphen.
            if label.is_empty() {
                return None;
            }
            normal.extend_from_slice(label.as_bytes());
        }
    }
    Some(normal)
}

impl Hash for HostName<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for HostName<'_> {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for HostName<'_> {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for HostName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for HostName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl HostPattern {
    /// `_default`, `*.example.org` or `example.org`; `None` where it is none of them. A port is no
    /// part of a site's name, as all sites are at all ports.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("_default") {
            return Some(Self::Default);
        }
        // A colon within brackets is not a port's.
        if text.rsplit(']').next()?.contains(':') {
            return None;
        }
        let owned = |name: &str| Some(HostName::parse(name.as_bytes())?.into_owned());
        match text.strip_prefix("*.") {
            Some(name) if name.starts_with('[') => None,
            Some(name) => owned(name).map(Self::Beneath),
            None => owned(text).map(Self::Exact),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::Beneath(name) => write!(f, "*.{name}"),
            Self::Default => f.write_str("_default"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check<'e>(input: &str, expected: impl Into<Option<&'e str>>) {
        let name = HostName::parse(input.as_bytes());
        assert_eq!(
            name.as_ref().map(HostName::as_str),
            expected.into(),
            "{input:?}"
        );
    }

    #[test]
    fn names_are_normalised() {
        check("example.org", "example.org");
        check("EXAMPLE.Org", "example.org");
        check("example.org.", "example.org");
        check("example.org:8080", "example.org");
        check("example.org.:", "example.org");
        check("localhost", "localhost");
        check("_a-b.c_d", "_a-b.c_d");
        check("-", "-");
        check("127.0.0.1:80", "127.0.0.1");
        check(&"a".repeat(63), &*"a".repeat(63));
        check(&"a.".repeat(126), &"a.".repeat(126)[..251]);
        for bad in [
            "",
            ".",
            ":80",
            "a..",
            ".a",
            "a..b",
            "a b",
            "a/b",
            "a\\b",
            "a%2eb",
            "a@b",
            "a*",
            "*",
            "*.a",
            "a\0",
            "a,b",
            "a:b",
            "a:65536",
            "a:80:80",
            "a:-1",
            "a:+1",
            "a: 80",
            "a:8080808080808",
            "::1",
            "..",
            "\u{ad}",
            "a.\u{ad}",
        ] {
            check(bad, None);
        }
        check(&"a".repeat(64), None);
        check(&"a.".repeat(127), &"a.".repeat(127)[..253]);
        check(&"a.".repeat(128), None);
        assert_eq!(HostName::parse(b"a\xff"), None);
    }

    #[test]
    fn ports_are_numbers() {
        check("a:0", "a");
        check("a:65535", "a");
        check("a:00080", "a");
        check("a:65536", None);
    }

    #[test]
    fn addresses_have_one_spelling() {
        check("[::1]", "[::1]");
        check("[0:0:0:0:0:0:0:1]:8080", "[::1]");
        check("[2001:DB8::A]:", "[2001:db8::a]");
        check("[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]");
        for bad in [
            "[",
            "[]",
            "[::1",
            "[::1]x",
            "[::1].",
            "[::1]:x",
            "[1.2.3.4]",
            "[fe80::1%eth0]",
            "[[::1]]",
            "[v1.x]",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn spellings_of_a_name_meet() {
        let munich = "xn--mnchen-3ya.de";
        check("münchen.de", munich);
        check("MÜNCHEN.DE:80", munich);
        check("mu\u{308}nchen.de", munich);
        check("XN--MNCHEN-3YA.de", munich);
        check("münchen\u{3002}de\u{3002}", munich);
        check("münchen.de..", None);
        check("ｅｘａｍｐｌｅ.org", "example.org");
        check("a_b.münchen.de", "a_b.xn--mnchen-3ya.de");
        // Invalid A-labels are plain labels, with neighbours of any spelling.
        check("xn--a.example", "xn--a.example");
        check("xn--a.münchen.de", "xn--a.xn--mnchen-3ya.de");
        check("a：80", None);
        check("mün/chen", None);
        check(&"ü".repeat(70), None);
        check(&"ü".repeat(3000), None);
    }

    #[test]
    fn parents_are_the_names_above() {
        let parents = |name: &str| {
            let name = HostName::parse(name.as_bytes()).unwrap();
            name.parents().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(parents("a.b.c"), ["b.c", "c"]);
        assert!(parents("localhost").is_empty());
        assert!(parents("[::ffff:1.2.3.4]").is_empty());
    }

    #[test]
    fn maps_are_searched_by_text() {
        let name = HostName::parse(b"Example.org").unwrap();
        let map = HashMap::from([(name.clone(), 1)]);
        assert_eq!(map.get("example.org"), Some(&1));
        let texts: HashMap<Box<str>, i32> = HashMap::from([("example.org".into(), 2)]);
        assert_eq!(texts.get(name.as_str()), Some(&2));
    }

    #[test]
    fn patterns() {
        let check = |input: &str, expected: Option<&str>| {
            let pattern = HostPattern::parse(input);
            let text = pattern.as_ref().map(HostPattern::to_string);
            assert_eq!(text.as_deref(), expected, "{input:?}");
            if let Some(text) = text {
                assert_eq!(HostPattern::parse(&text), pattern);
            }
        };
        check("_default", Some("_default"));
        check("Example.org.", Some("example.org"));
        check("*.Example.org", Some("*.example.org"));
        check("*.münchen.de", Some("*.xn--mnchen-3ya.de"));
        check("[0::1]", Some("[::1]"));
        for bad in [
            "", "*", "*.", "*.*.a", "a.*.b", "*a.b", "a:80", "a:", "*.a:80", "[::1]:80", "*.[::1]",
        ] {
            check(bad, None);
        }
        assert!(matches!(
            HostPattern::parse("*.a"),
            Some(HostPattern::Beneath(_))
        ));
    }

    proptest! {
        #[test]
        fn any_text_holds(text in "\\PC{0,20}(\\.[a-zäÖ。ß-]{1,9}){0,3}(:[0-9]{0,6})?") {
            crate::fuzzing::host(text.as_bytes());
        }

        #[test]
        fn any_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            crate::fuzzing::host(&bytes);
        }
    }
}
