//! Chooses a server's personality, one trait at a time.

use super::capabilities::Mechanism;
use super::content::{Alteration, Strictness};
use super::namespace::Namespace;
use super::permitted::{PermanentFlags, Unpermitted};
use super::personality::{
    Atomicity, Durability, Expunging, Oversize, Personality, ReplyOrder, Tls,
};

impl Personality {
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

    /// Offers these ways of AUTHENTICATE.
    #[must_use]
    pub fn mechanisms(mut self, mechanisms: impl Into<Vec<Mechanism>>) -> Self {
        self.capabilities.mechanisms = mechanisms.into();
        self
    }

    /// Announces MESSAGELIMIT: larger batches are refused, and a FETCH of more messages gets
    /// only the last so many.
    #[must_use]
    pub fn message_limit(mut self, messages: Option<u32>) -> Self {
        self.capabilities.message_limit = messages;
        self
    }

    /// Announces SAVELIMIT and refuses larger batches.
    #[must_use]
    pub fn save_limit(mut self, messages: Option<u32>) -> Self {
        self.capabilities.save_limit = messages;
        self
    }

    /// Offers BINARY or not.
    #[must_use]
    pub fn binary(mut self, on: bool) -> Self {
        self.capabilities.binary = on;
        self
    }

    /// Offers LIST-EXTENDED or not.
    #[must_use]
    pub fn list_extended(mut self, on: bool) -> Self {
        self.capabilities.list_extended = on;
        self
    }

    /// Offers UTF8=ACCEPT or not.
    #[must_use]
    pub fn utf8_accept(mut self, on: bool) -> Self {
        self.capabilities.utf8_accept = on;
        self
    }

    /// Offers COMPRESS=DEFLATE or not.
    #[must_use]
    pub fn compress(mut self, on: bool) -> Self {
        self.capabilities.compress = on;
        self
    }

    /// Offers SPECIAL-USE, with these folders from the start: `[("Sent", "\\Sent")]`. Names are
    /// without the namespace's prefix, with `/` between levels.
    #[must_use]
    pub fn special_folders(mut self, folders: &[(&str, &str)]) -> Self {
        self.capabilities.special_use = true;
        let owned = |(name, r#use): &(&str, &str)| ((*name).to_owned(), (*r#use).to_owned());
        self.special_folders = folders.iter().map(owned).collect();
        self
    }

    /// Refuses these folders and what is below, named as in
    /// [`special_folders`](Self::special_folders).
    #[must_use]
    pub fn forbidden_folders(mut self, folders: &[&str]) -> Self {
        self.forbidden_folders = folders.iter().map(ToString::to_string).collect();
        self
    }

    /// Spells folders' names with this prefix, `INBOX.` for example, and this separator, `/` or
    /// `.`.
    #[must_use]
    pub fn namespace(mut self, prefix: &str, separator: char) -> Self {
        self.namespace = Namespace {
            prefix: prefix.to_owned(),
            separator,
        };
        self
    }

    /// Refuses a login where the user has so many connections already.
    #[must_use]
    pub fn login_limit(mut self, connections: Option<usize>) -> Self {
        self.login_limit = connections;
        self
    }

    /// Chooses where TLS is to be had.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Chooses which flags are kept.
    #[must_use]
    pub fn permanent_flags(mut self, flags: PermanentFlags) -> Self {
        self.permanent_flags = flags;
        self
    }

    /// Chooses what becomes of flags that are not kept.
    #[must_use]
    pub fn unpermitted_flags(mut self, unpermitted: Unpermitted) -> Self {
        self.unpermitted_flags = unpermitted;
        self
    }

    /// Chooses which messages are refused for what is in them.
    #[must_use]
    pub fn strictness(mut self, strictness: Strictness) -> Self {
        self.strictness = strictness;
        self
    }

    /// Changes messages before it stores them.
    #[must_use]
    pub fn alterations(mut self, alterations: impl Into<Vec<Alteration>>) -> Self {
        self.alterations = alterations.into();
        self
    }

    /// Chooses what too large a literal comes to that was sent without waiting.
    #[must_use]
    pub fn oversize(mut self, oversize: Oversize) -> Self {
        self.oversize = oversize;
        self
    }

    /// Refuses larger commands with `[LIMIT]`; Stalwart takes 50 MiB.
    #[must_use]
    pub fn command_bytes_max(mut self, bytes: Option<u64>) -> Self {
        self.command_bytes_max = bytes;
        self
    }

    /// Chooses what is stored of a MULTIAPPEND that fails.
    #[must_use]
    pub fn atomicity(mut self, atomicity: Atomicity) -> Self {
        self.atomicity = atomicity;
        self
    }

    /// Chooses in which order pipelined APPENDs are answered.
    #[must_use]
    pub fn reply_order(mut self, order: ReplyOrder) -> Self {
        self.reply_order = order;
        self
    }

    /// Chooses what EXPUNGE and CLOSE do.
    #[must_use]
    pub fn expunging(mut self, expunging: Expunging) -> Self {
        self.expunging = expunging;
        self
    }
}
