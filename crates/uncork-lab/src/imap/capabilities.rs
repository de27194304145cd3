//! The extensions that a server offers.

/// The literal size up to which LITERAL- allows a literal without waiting (RFC 7888).
const LITERAL_MINUS_BYTES: u64 = 4096;

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
    /// UIDPLUS: the APPENDUID code, and UID EXPUNGE (RFC 4315).
    pub uid_plus: bool,
    /// SASL-IR: the initial response on the AUTHENTICATE line (RFC 4959).
    pub sasl_ir: bool,
    /// The ways of AUTHENTICATE.
    pub mechanisms: Vec<Mechanism>,
    /// LOGINDISABLED: LOGIN is refused, AUTHENTICATE is not.
    pub login_disabled: bool,
    /// APPENDLIMIT: the largest message in bytes (RFC 7889).
    pub append_limit: Option<u64>,
    /// MESSAGELIMIT: most messages that one command deals with (RFC 9738).
    pub message_limit: Option<u32>,
    /// SAVELIMIT: most messages that one APPEND stores (RFC 9738). Counts only where there is
    /// no MESSAGELIMIT, as the RFC has it.
    pub save_limit: Option<u32>,
    /// BINARY: literals with NUL, `~{n}` (RFC 3516). FETCH BINARY is not offered.
    pub binary: bool,
    /// SPECIAL-USE: LIST says what folders are for (RFC 6154).
    pub special_use: bool,
    /// LIST-EXTENDED: LIST with selection and RETURN options (RFC 5258).
    pub list_extended: bool,
    /// ENABLE and UTF8=ACCEPT: after ENABLE names are UTF-8 (RFC 5161, RFC 6855).
    pub utf8_accept: bool,
    /// COMPRESS=DEFLATE (RFC 4978).
    pub compress: bool,
}

/// A way of AUTHENTICATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Identity, user and password in one response (RFC 4616).
    Plain,
    /// User and password in one response each; never standardised, widely in use.
    Login,
    /// An OAuth 2.0 token, as Google made it.
    XOAuth2,
    /// An OAuth 2.0 token (RFC 7628).
    OAuthBearer,
}

impl Mechanism {
    /// As AUTHENTICATE names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::XOAuth2 => "XOAUTH2",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            literal_plus: true,
            literal_minus: false,
            multi_append: true,
            uid_plus: true,
            sasl_ir: true,
            mechanisms: vec![Mechanism::Plain],
            login_disabled: false,
            append_limit: None,
            message_limit: None,
            save_limit: None,
            binary: false,
            special_use: false,
            list_extended: false,
            utf8_accept: false,
            compress: false,
        }
    }
}

impl Capabilities {
    /// Whether a `{n+}` of this size may be sent.
    pub(crate) fn allows_unwaited(&self, bytes: u64) -> bool {
        self.literal_plus || (self.literal_minus && bytes <= LITERAL_MINUS_BYTES)
    }

    /// The way of AUTHENTICATE that goes by this name, if it is offered.
    pub(crate) fn mechanism(&self, name: &str) -> Option<Mechanism> {
        let mut offered = self.mechanisms.iter();
        offered
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
            .copied()
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
        for mechanism in &self.mechanisms {
            word(!logged_in, &format!("AUTH={}", mechanism.name()));
        }
        word(!logged_in && self.sasl_ir, "SASL-IR");
        word(!logged_in && self.login_disabled, "LOGINDISABLED");
        word(self.literal_plus, "LITERAL+");
        word(self.literal_minus && !self.literal_plus, "LITERAL-");
        word(self.multi_append, "MULTIAPPEND");
        word(self.uid_plus, "UIDPLUS");
        word(true, "NAMESPACE");
        word(true, "UNSELECT");
        word(self.binary, "BINARY");
        word(self.special_use, "SPECIAL-USE");
        word(self.list_extended, "LIST-EXTENDED");
        word(self.utf8_accept, "ENABLE");
        word(self.utf8_accept, "UTF8=ACCEPT");
        word(self.compress, "COMPRESS=DEFLATE");
        if let Some(limit) = self.append_limit {
            word(true, &format!("APPENDLIMIT={limit}"));
        }
        if let Some(limit) = self.message_limit {
            word(true, &format!("MESSAGELIMIT={limit}"));
        } else if let Some(limit) = self.save_limit {
            word(true, &format!("SAVELIMIT={limit}"));
        }
        line
    }

    /// Most messages in one APPEND, and the response code that says so.
    pub(crate) fn batch_limit(&self) -> Option<(u32, &'static str)> {
        let by = |limit: Option<u32>, code: &'static str| limit.map(|limit| (limit, code));
        by(self.message_limit, "MESSAGELIMIT").or(by(self.save_limit, "SAVELIMIT"))
    }
}
