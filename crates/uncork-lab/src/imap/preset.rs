//! Servers that people have, as far as an importer can tell them apart.

use super::capabilities::Mechanism;
use super::content::{Alteration, Strictness};
use super::permitted::PermanentFlags;
use super::personality::{Atomicity, Expunging, Oversize, Personality, ReplyOrder};

/// What Gmail and Exchange announce as the largest message.
const GMAIL_APPEND_LIMIT: u64 = 35_651_584;
const EXCHANGE_APPEND_LIMIT: u64 = 45 * 1024 * 1024;

/// The largest command of Stalwart.
const STALWART_COMMAND_BYTES_MAX: u64 = 50 * 1024 * 1024;

impl Personality {
    /// Dovecot: everything offered, and NUL replaced.
    #[must_use]
    pub fn like_dovecot() -> Self {
        Self::careful()
            .special_folders(&[("Sent", "\\Sent"), ("Trash", "\\Trash")])
            .list_extended(true)
            .compress(true)
            .expunging(Expunging::Done)
            .alterations([Alteration::NulReplaced])
    }

    /// Cyrus: strict about what is in a message, and impatient with large ones.
    #[must_use]
    pub fn like_cyrus() -> Self {
        Self::careful()
            .namespace("INBOX.", '.')
            .binary(true)
            .strictness(Strictness::cyrus())
            .alterations([Alteration::HeaderMasked])
            .oversize(Oversize::HangsUp)
            .expunging(Expunging::Done)
    }

    /// Stalwart: a MULTIAPPEND that fails leaves what came before, replies come out of order,
    /// and a command is bounded.
    #[must_use]
    pub fn like_stalwart() -> Self {
        Self::careful()
            .atomicity(Atomicity::Prefix)
            .reply_order(ReplyOrder::Reversed)
            .command_bytes_max(Some(STALWART_COMMAND_BYTES_MAX))
            .expunging(Expunging::Done)
    }

    /// Courier: no literal without waiting, no keywords, four connections, and a namespace.
    #[must_use]
    pub fn like_courier() -> Self {
        Self::careful()
            .literal_plus(false)
            .multi_append(false)
            .sasl_ir(false)
            .namespace("INBOX.", '.')
            .permanent_flags(PermanentFlags::System)
            .connection_limit(4)
            .expunging(Expunging::Done)
    }

    /// Gmail: LITERAL-, tokens, fifteen connections.
    #[must_use]
    pub fn like_gmail() -> Self {
        Self::careful()
            .literal_minus(true)
            .multi_append(false)
            .mechanisms([Mechanism::Plain, Mechanism::XOAuth2, Mechanism::OAuthBearer])
            .append_limit(Some(GMAIL_APPEND_LIMIT))
            .login_limit(Some(15))
            .compress(true)
            .expunging(Expunging::Done)
    }

    /// Exchange: LITERAL+ without MULTIAPPEND, tokens, and no keywords.
    #[must_use]
    pub fn like_exchange() -> Self {
        Self::careful()
            .multi_append(false)
            .mechanisms([Mechanism::Plain, Mechanism::XOAuth2])
            .append_limit(Some(EXCHANGE_APPEND_LIMIT))
            .permanent_flags(PermanentFlags::System)
            .expunging(Expunging::Done)
    }
}
