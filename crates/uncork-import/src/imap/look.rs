//! Looking at what a folder has: the commands that read.
//!
//! The folder is selected only while it is looked at: appending to the selected folder makes some
//! servers tell of every new mail, and slow.

use std::collections::HashMap;

use super::fetch::Fetched;
use super::response::{Response, Status, StatusKind, number, strip_word};
use super::session::Session;
use super::uid_set::UidSet;
use crate::ImportError;
use crate::mail::{Digest, Identity, OnServer};
use crate::run::folder::PermittedFlags;

/// UIDs that one command names: a line of less than 8 KiB, which all servers take.
const UIDS_MAX: usize = 500;

/// What selecting a folder tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) uid_validity: u64,
    /// The UID that the next mail gets.
    pub(crate) uid_next: u64,
    /// The mails in it.
    pub(crate) messages: u64,
    pub(crate) permitted: PermittedFlags,
}

/// How a folder is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// SELECT: the only way to learn which flags it takes.
    Write,
    /// EXAMINE: nothing can be changed, not by accident either.
    Read,
}

impl Session {
    /// Selects a folder; `Err` with the server's word where it does not let itself be selected.
    pub(crate) async fn select(
        &mut self,
        wire: &str,
        access: Access,
    ) -> Result<Result<Selected, Status>, ImportError> {
        let verb = match access {
            Access::Write => "SELECT",
            Access::Read => "EXAMINE",
        };
        let mut told = Told::default();
        let status = self
            .exchange(&format!("{verb} {wire}"), |response| told.take(response))
            .await?;
        if status.kind != StatusKind::Ok {
            return Ok(Err(status));
        }
        let uid_next = match told.uid_next {
            Some(uid_next) => uid_next,
            // Old servers do not tell it.
            None => self.last_uid().await?.map_or(1, |uid| u64::from(uid) + 1),
        };
        Ok(Ok(Selected {
            uid_validity: told.uid_validity.unwrap_or(0),
            uid_next,
            messages: told.messages,
            permitted: told.permitted.unwrap_or(PermittedFlags::All),
        }))
    }

    /// Leaves the folder that is selected, without expunging anything.
    pub(crate) async fn deselect(&mut self, wire: &str) -> Result<(), ImportError> {
        if self.capabilities.has("UNSELECT") {
            self.exchange("UNSELECT", |_| {}).await?;
            return Ok(());
        }
        // CLOSE expunges, but not where the folder was only examined (RFC 3501, section 6.4.2).
        let examined = self.exchange(&format!("EXAMINE {wire}"), |_| {}).await?;
        if examined.kind == StatusKind::Ok {
            self.exchange("CLOSE", |_| {}).await?;
        }
        Ok(())
    }

    /// The mails of the selected folder from one UID on, as far as they are recognised by.
    pub(crate) async fn mails_from(
        &mut self,
        first: u64,
        mut each: impl FnMut(OnServer),
    ) -> Result<(), ImportError> {
        let line = format!(
            "UID FETCH {}:* (UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE RECEIVED)])",
            first.max(1)
        );
        self.fetch(&line, |fetched| {
            let (Some(len), Some(header)) = (fetched.size, fetched.header) else {
                return;
            };
            // `n:*` has the last mail in it even where that is before n.
            if u64::from(fetched.uid) >= first {
                each(OnServer {
                    uid: fetched.uid,
                    identity: Identity::of_header(&header),
                    len,
                });
            }
        })
        .await
    }

    /// The digests of mails of the selected folder.
    pub(crate) async fn texts(
        &mut self,
        uids: &[u32],
    ) -> Result<HashMap<u32, Digest>, ImportError> {
        let mut digests = HashMap::new();
        for uids in uids.chunks(UIDS_MAX) {
            let set: UidSet = uids.iter().copied().collect();
            self.fetch(&format!("UID FETCH {set} (UID BODY.PEEK[])"), |fetched| {
                if let Some(text) = fetched.text {
                    digests.insert(fetched.uid, text.digest);
                }
            })
            .await?;
        }
        Ok(digests)
    }

    pub(crate) async fn fetch(
        &mut self,
        line: &str,
        mut each: impl FnMut(Fetched),
    ) -> Result<(), ImportError> {
        let status = self
            .exchange(line, |response| {
                if let Response::Data(data) = response
                    && let Some(fetched) = Fetched::parse(data)
                {
                    each(fetched);
                }
            })
            .await?;
        if status.kind == StatusKind::Ok {
            return Ok(());
        }
        Err(ImportError::Unreadable {
            address: self.address.clone(),
            reason: status.reason(),
        })
    }

    async fn last_uid(&mut self) -> Result<Option<u32>, ImportError> {
        let mut last = None;
        self.fetch("UID FETCH * (UID)", |fetched| last = Some(fetched.uid))
            .await?;
        Ok(last)
    }
}

#[derive(Debug, Default)]
struct Told {
    uid_validity: Option<u64>,
    uid_next: Option<u64>,
    messages: u64,
    permitted: Option<PermittedFlags>,
}

impl Told {
    fn take(&mut self, response: Response) {
        match response {
            Response::Untagged(Status {
                code: Some(code), ..
            }) => {
                let told = |word| strip_word(&code, word).and_then(|rest| number(rest.trim()));
                self.uid_validity = told("UIDVALIDITY").or(self.uid_validity);
                self.uid_next = told("UIDNEXT").or(self.uid_next);
                if let Some(permitted) = PermittedFlags::parse(&code) {
                    self.permitted = Some(permitted);
                }
            }
            Response::Data(data) => {
                let told = data.text.split_once(' ');
                let exists = told.filter(|(_, word)| word.eq_ignore_ascii_case("EXISTS"));
                let messages = exists.and_then(|(count, _)| number(count));
                self.messages = messages.unwrap_or(self.messages);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::response::Data;

    #[test]
    fn numbers_without_a_sign() {
        let mut told = Told::default();
        for (code, exists) in [
            ("UIDVALIDITY 7", "3 exists"),
            ("UIDNEXT 9", "+4 EXISTS"),
            ("UIDVALIDITY +8", "EXISTS"),
            ("UIDNEXT -1", "x EXISTS"),
        ] {
            told.take(Response::Untagged(Status {
                kind: StatusKind::Ok,
                code: Some(code.to_owned()),
                text: String::new(),
            }));
            told.take(Response::Data(Data {
                text: exists.to_owned(),
                literals: Vec::new(),
            }));
        }
        assert_eq!((told.uid_validity, told.uid_next), (Some(7), Some(9)));
        assert_eq!(told.messages, 3);
    }
}
