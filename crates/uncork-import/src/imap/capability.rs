//! What a server offers, as far as an importer uses it.

use super::response::number;

/// How a literal may be announced (RFC 7888).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LiteralSupport {
    /// `{n}`: every literal waits for the server's `+`.
    Sync,
    /// LITERAL-: `{n+}` up to 4096 bytes.
    Minus,
    /// LITERAL+: `{n+}` at any size.
    Plus,
}

/// The longest literal that LITERAL- lets go without waiting.
const LITERAL_MINUS_BYTES: u64 = 4096;

impl LiteralSupport {
    /// Whether a literal of this length has to wait for the server's word.
    pub(crate) fn waits(self, len: u64) -> bool {
        match self {
            LiteralSupport::Sync => true,
            LiteralSupport::Minus => len > LITERAL_MINUS_BYTES,
            LiteralSupport::Plus => false,
        }
    }
}

/// Whether one APPEND may carry several mails (RFC 3502).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppendSupport {
    Single,
    Multi,
}

/// The capabilities of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Capabilities(Vec<String>);

impl Capabilities {
    pub(crate) fn parse(words: &str) -> Self {
        Self(
            words
                .split_whitespace()
                .map(str::to_ascii_uppercase)
                .collect(),
        )
    }

    pub(crate) fn has(&self, word: &str) -> bool {
        self.0.iter().any(|known| known == word)
    }

    /// The number in a capability such as `APPENDLIMIT=35651584`.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let mut numbers = self.0.iter().filter_map(|word| {
            let (known, digits) = word.split_once('=')?;
            (known == name).then(|| number(digits)).flatten()
        });
        numbers.next()
    }

    /// Whether this SASL mechanism is offered.
    pub(crate) fn has_auth(&self, mechanism: &str) -> bool {
        self.auths().any(|known| known == mechanism)
    }

    /// The SASL mechanisms that are offered.
    pub(crate) fn auths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|word| word.strip_prefix("AUTH="))
    }

    pub(crate) fn literal(&self) -> LiteralSupport {
        if self.has("LITERAL+") {
            LiteralSupport::Plus
        } else if self.has("LITERAL-") {
            LiteralSupport::Minus
        } else {
            LiteralSupport::Sync
        }
    }

    /// Batches are used only with LITERAL+: where each literal waits anyway, a batch saves no
    /// round trip and one refused mail would cost all of it again.
    pub(crate) fn append(&self) -> AppendSupport {
        if self.has("MULTIAPPEND") && self.literal() == LiteralSupport::Plus {
            AppendSupport::Multi
        } else {
            AppendSupport::Single
        }
    }

    /// Those that change what an import does, for the report.
    pub(crate) fn used(&self) -> Vec<String> {
        let literal = match self.literal() {
            LiteralSupport::Plus => Some("LITERAL+"),
            LiteralSupport::Minus => Some("LITERAL-"),
            LiteralSupport::Sync => None,
        };
        let multi = (self.append() == AppendSupport::Multi).then_some("MULTIAPPEND");
        [literal, multi]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_capabilities() {
        for (words, expected) in [
            ("IMAP4rev1", &[][..]),
            (
                "IMAP4rev1 literal+ multiappend",
                &["LITERAL+", "MULTIAPPEND"],
            ),
            ("LITERAL- MULTIAPPEND", &["LITERAL-"]),
            ("LITERAL-", &["LITERAL-"]),
        ] {
            assert_eq!(Capabilities::parse(words).used(), expected, "{words}");
        }
        let numbers = Capabilities::parse("APPENDLIMIT=+1 APPENDLIMIT=7 SAVELIMIT=-1 STATUS=SIZE");
        assert_eq!(numbers.number("APPENDLIMIT"), Some(7));
        assert_eq!(numbers.number("SAVELIMIT"), None);
        assert!(!LiteralSupport::Minus.waits(4096));
        assert!(LiteralSupport::Minus.waits(4097));
    }
}
