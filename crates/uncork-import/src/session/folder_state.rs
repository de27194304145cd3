//! A folder as an upload finds it.

use super::Session;
use crate::ImportError;
use crate::mailbox::quoted_mailbox;
use crate::response::{Status, StatusKind, strip_word};

/// What a folder held when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FolderState {
    /// Another one means another folder of the same name: no UID of the one is in the other.
    pub(crate) uid_validity: u64,
    /// The UID that the next mail gets.
    pub(crate) uid_next: u64,
}

impl Session {
    /// Makes sure that the folder is there, making it where it is not.
    pub(crate) async fn prepare_folder(
        &mut self,
        folder: &str,
    ) -> Result<FolderState, ImportError> {
        if let Ok(state) = self.folder_state(folder).await? {
            return Ok(state);
        }
        let mailbox = quoted_mailbox(folder);
        let (_, created) = self.command(&format!("CREATE {mailbox}")).await?;
        if created.kind == StatusKind::Ok {
            // Where this fails the folder is there all the same, only not subscribed.
            self.command(&format!("SUBSCRIBE {mailbox}")).await?;
        }
        let state = self.folder_state(folder).await?;
        state.map_err(|status| match created.kind {
            StatusKind::Ok => ImportError::folder(folder, &status),
            // The answer to CREATE says why, that to STATUS only that it is not there.
            _ => ImportError::folder(folder, &created),
        })
    }

    /// What the folder holds now, or why the server does not say.
    pub(crate) async fn folder_state(
        &mut self,
        folder: &str,
    ) -> Result<Result<FolderState, Status>, ImportError> {
        let mailbox = quoted_mailbox(folder);
        let line = format!("STATUS {mailbox} (UIDVALIDITY UIDNEXT)");
        let (data, status) = self.command(&line).await?;
        let state = data.iter().find_map(|text| parse_folder_state(text));
        Ok(match (status.kind, state) {
            (StatusKind::Ok, Some(state)) => Ok(state),
            _ => Err(status),
        })
    }
}

/// Reads `STATUS "x" (UIDVALIDITY 3 UIDNEXT 4)`.
fn parse_folder_state(text: &str) -> Option<FolderState> {
    // Some servers say more behind the list, if only a space.
    let list = strip_word(text, "STATUS")?.rsplit_once('(')?.1;
    let words: Vec<&str> = list.split(')').next()?.split_whitespace().collect();
    let number = |name: &str| {
        let mut pairs = words.chunks_exact(2);
        pairs.find_map(|pair| {
            let is_named = pair[0].eq_ignore_ascii_case(name);
            is_named.then(|| pair[1].parse().ok()).flatten()
        })
    };
    Some(FolderState {
        uid_validity: number("UIDVALIDITY")?,
        uid_next: number("UIDNEXT")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_states() {
        let state = |uid_validity, uid_next| {
            Some(FolderState {
                uid_validity,
                uid_next,
            })
        };
        for (text, expected) in [
            ("STATUS INBOX (UIDVALIDITY 3 UIDNEXT 4)", state(3, 4)),
            (
                "status \"a (b)\" (uidnext 9 X 1 uidvalidity 0)",
                state(0, 9),
            ),
            ("STATUS INBOX (UIDVALIDITY 3 UIDNEXT 4) ", state(3, 4)),
            ("STATUS INBOX (UIDVALIDITY 3)", None),
            ("STATUS INBOX (UIDVALIDITY x UIDNEXT 4)", None),
            ("LIST INBOX (UIDVALIDITY 3 UIDNEXT 4)", None),
            ("STATUS", None),
        ] {
            assert_eq!(parse_folder_state(text), expected, "{text}");
        }
    }
}
