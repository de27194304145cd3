//! What the server offers, and with which manners it writes.

/// The literal size up to which LITERAL- allows a literal without waiting (RFC 7888).
pub(crate) const LITERAL_MINUS_BYTES: u64 = 4096;

/// How many connections are served at once unless the personality says otherwise.
const CONNECTION_LIMIT: usize = 64;

/// The character of one lab server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Personality {
    /// What CAPABILITY lists, and what is therefore accepted.
    pub capabilities: Capabilities,
    /// How replies leave.
    pub manners: Manners,
    /// What a commit waits for.
    pub durability: Durability,
    /// Connections served at once; one more is greeted with BYE.
    pub connection_limit: usize,
}

/// The extensions that a server offers.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one word of the CAPABILITY reply, on or off"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// LITERAL+: `{n+}` of any size (RFC 7888).
    pub literal_plus: bool,
    /// LITERAL-: `{n+}` up to 4096 bytes (RFC 7888). LITERAL+ wins where both are set.
    pub literal_minus: bool,
    /// MULTIAPPEND (RFC 3502).
    pub multi_append: bool,
    /// UIDPLUS: the APPENDUID code (RFC 4315).
    pub uid_plus: bool,
    /// SASL-IR: the initial response on the AUTHENTICATE line (RFC 4959).
    pub sasl_ir: bool,
    /// LOGINDISABLED: LOGIN is refused, AUTHENTICATE is not.
    pub login_disabled: bool,
    /// APPENDLIMIT: the largest message in bytes (RFC 7889).
    pub append_limit: Option<u64>,
}

/// How the replies of a server leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Every socket option at its default and one write for each piece of reply: the peer
    /// on which a client that sends literal and CRLF apart stalls 40 ms a message.
    Naive,
    /// TCP_NODELAY, and the replies to everything that one read brought leave in one write.
    Careful,
}

/// What a commit waits for before its OK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The page cache: survives the process, not a power cut.
    PageCache,
    /// fsync of every message, of the folder and of the index.
    Fsync,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            literal_plus: true,
            literal_minus: false,
            multi_append: true,
            uid_plus: true,
            sasl_ir: true,
            login_disabled: false,
            append_limit: None,
        }
    }
}

impl Capabilities {
    /// Whether a `{n+}` of this size may be sent.
    pub(crate) fn allows_unwaited(&self, bytes: u64) -> bool {
        self.literal_plus || (self.literal_minus && bytes <= LITERAL_MINUS_BYTES)
    }

    /// The words of the CAPABILITY reply.
    pub(crate) fn line(&self, logged_in: bool) -> String {
        let mut line = String::from("IMAP4rev1");
        let mut word = |condition: bool, text: &str| {
            if condition {
                line.push(' ');
                line.push_str(text);
            }
        };
        word(!logged_in, "AUTH=PLAIN");
        word(!logged_in && self.sasl_ir, "SASL-IR");
        word(!logged_in && self.login_disabled, "LOGINDISABLED");
        word(self.literal_plus, "LITERAL+");
        word(self.literal_minus && !self.literal_plus, "LITERAL-");
        word(self.multi_append, "MULTIAPPEND");
        word(self.uid_plus, "UIDPLUS");
        word(true, "NAMESPACE");
        word(true, "UNSELECT");
        if let Some(limit) = self.append_limit {
            word(true, &format!("APPENDLIMIT={limit}"));
        }
        line
    }
}

impl Personality {
    /// Everything offered, and TCP manners that cost a client dearly.
    #[must_use]
    pub fn naive() -> Self {
        Self {
            manners: Manners::Naive,
            ..Self::careful()
        }
    }

    /// Everything offered, and replies that never wait.
    #[must_use]
    pub fn careful() -> Self {
        Self {
            capabilities: Capabilities::default(),
            manners: Manners::Careful,
            durability: Durability::PageCache,
            connection_limit: CONNECTION_LIMIT,
        }
    }

    /// Offers LITERAL+ or not.
    #[must_use]
    pub fn literal_plus(mut self, on: bool) -> Self {
        self.capabilities.literal_plus = on;
        self
    }

    /// Offers LITERAL- in the place of LITERAL+, or neither.
    #[must_use]
    pub fn literal_minus(mut self, on: bool) -> Self {
        self.capabilities.literal_minus = on;
        self.capabilities.literal_plus = false;
        self
    }

    /// Offers MULTIAPPEND or not.
    #[must_use]
    pub fn multi_append(mut self, on: bool) -> Self {
        self.capabilities.multi_append = on;
        self
    }

    /// Offers UIDPLUS or not; without it an APPEND is answered without its UID.
    #[must_use]
    pub fn uid_plus(mut self, on: bool) -> Self {
        self.capabilities.uid_plus = on;
        self
    }

    /// Offers SASL-IR or not.
    #[must_use]
    pub fn sasl_ir(mut self, on: bool) -> Self {
        self.capabilities.sasl_ir = on;
        self
    }

    /// Refuses LOGIN, so that AUTHENTICATE has to be used.
    #[must_use]
    pub fn login_disabled(mut self, on: bool) -> Self {
        self.capabilities.login_disabled = on;
        self
    }

    /// Announces and enforces the largest message in bytes.
    #[must_use]
    pub fn append_limit(mut self, bytes: Option<u64>) -> Self {
        self.capabilities.append_limit = bytes;
        self
    }

    /// Chooses what a commit waits for.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Serves at most so many connections at once.
    #[must_use]
    pub fn connection_limit(mut self, connections: usize) -> Self {
        self.connection_limit = connections;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_listed_as_they_are_kept() {
        let careful = Personality::careful();
        assert_eq!(
            careful.capabilities.line(false),
            "IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ MULTIAPPEND UIDPLUS NAMESPACE UNSELECT"
        );
        let gmail = Personality::careful()
            .literal_minus(true)
            .multi_append(false)
            .append_limit(Some(35_651_584));
        assert_eq!(
            gmail.capabilities.line(true),
            "IMAP4rev1 LITERAL- UIDPLUS NAMESPACE UNSELECT APPENDLIMIT=35651584"
        );
    }

    #[test]
    fn unwaited_literals_follow_the_capability() {
        let check = |personality: Personality, bytes: u64, expected: bool| {
            assert_eq!(personality.capabilities.allows_unwaited(bytes), expected);
        };
        check(Personality::careful(), 1 << 30, true);
        check(Personality::careful().literal_plus(false), 1, false);
        check(Personality::careful().literal_minus(true), 4096, true);
        check(Personality::careful().literal_minus(true), 4097, false);
    }
}
