//! What a test does to a server's folders, and sees of them, without a connection.
//!
//! Folders go by the names that clients have for them, in modified UTF-7.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::batch::Batch;
use super::fetch::{Extent, read_message};
use super::folder::Folder;
use super::folder_name::FolderName;
use super::house::lock;
use super::namespace::Spelling;
use super::server::ImapServer;
use super::store::StoreError;

/// A message as it lies in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The message's UID.
    pub uid: u32,
    /// System flags and then keywords, `\Recent` never among them.
    pub flags: Vec<String>,
    /// INTERNALDATE, to the second.
    pub internal_date: Timestamp,
    /// The whole message.
    pub bytes: Vec<u8>,
}

impl ImapServer {
    /// The messages of a folder in the order of their UIDs, read from disk.
    ///
    /// # Errors
    /// Where there is no such folder, or a message can't be read.
    pub fn folder_contents(&self, name: &str) -> io::Result<Vec<Stored>> {
        let folder = self.folder(name)?;
        let entries = folder.state().messages.clone();
        let read = |entry: &Arc<super::index::Entry>| {
            let system = entry.flags.system.each().map(|(_, name)| name.to_owned());
            Ok(Stored {
                uid: entry.uid,
                flags: system.chain(entry.flags.keywords.clone()).collect(),
                internal_date: Timestamp::from_second(entry.date).map_err(io::Error::other)?,
                bytes: read_message(&folder, entry, Extent::Whole)?,
            })
        };
        entries.iter().map(read).collect()
    }

    /// The folder's UIDVALIDITY, and its UIDNEXT.
    ///
    /// # Errors
    /// Where there is no such folder.
    pub fn folder_uids(&self, name: &str) -> io::Result<(u32, u32)> {
        let folder = self.folder(name)?;
        let state = folder.state();
        Ok((state.uid_validity(), state.uid_next()))
    }

    /// The names of all folders, in order.
    #[must_use]
    pub fn folder_names(&self) -> Vec<String> {
        let namespace = &self.house.personality.namespace;
        let names = self.house.store.names();
        let spell = |name: &FolderName| namespace.spell(name, Spelling::ModifiedUtf7);
        names.iter().map(spell).collect()
    }

    /// Makes a folder, and those above it, as another client would.
    ///
    /// # Errors
    /// Where the name is none, or there is such a folder.
    pub fn create_folder(&self, name: &str) -> io::Result<()> {
        Ok(self.house.store.create(&self.name(name)?)?)
    }

    /// Deletes a folder, as another client would. Who has it selected gets BYE.
    ///
    /// # Errors
    /// Where there is no such folder.
    pub fn delete_folder(&self, name: &str) -> io::Result<()> {
        Ok(self.house.store.delete(&self.name(name)?)?)
    }

    /// Puts an empty folder with another UIDVALIDITY in the place of this one, as if it had been
    /// deleted and made again. Who has the old one selected gets BYE.
    ///
    /// # Errors
    /// Where there is no such folder.
    pub fn replace_folder(&self, name: &str) -> io::Result<()> {
        Ok(self.house.store.replace(&self.name(name)?)?)
    }

    /// Gives all messages of a folder new UIDs under another UIDVALIDITY, as servers do whose
    /// index was lost. Who has it selected gets BYE.
    ///
    /// # Errors
    /// Where there is no such folder.
    pub fn renumber_folder(&self, name: &str) -> io::Result<()> {
        Ok(self.house.store.renumber(&self.name(name)?)?)
    }

    /// Puts a message into a folder, as another client or a delivery agent would, and tells its
    /// UID. Faults and alterations don't apply, and [`stored`](Self::stored) does not count it.
    ///
    /// # Errors
    /// Where there is no such folder, or the disk fails.
    pub fn deliver(&self, name: &str, message: &[u8]) -> io::Result<u32> {
        Batch::deliver(&self.house, self.folder(name)?, message)
    }

    /// Takes this OAuth 2.0 access token from now on.
    pub fn accept_token(&self, token: &str) {
        lock(&self.house.tokens).insert(token.to_owned());
    }

    /// Takes this token no longer: it has expired. Who has logged in with it stays so.
    pub fn expire_token(&self, token: &str) {
        lock(&self.house.tokens).remove(token);
    }

    /// Dies, and restarts at the same address with what is on disk. All connections are cut.
    pub fn crash(&self) {
        self.house.crash();
    }

    fn folder(&self, name: &str) -> io::Result<Arc<Folder>> {
        let name = self.name(name)?;
        self.house.store.folder(&name).map_err(|error| match error {
            StoreError::NoFolder => io::Error::new(io::ErrorKind::NotFound, error.to_string()),
            other => other.into(),
        })
    }

    fn name(&self, name: &str) -> io::Result<FolderName> {
        let namespace = &self.house.personality.namespace;
        let parsed = namespace.parse(name.as_bytes(), Spelling::ModifiedUtf7);
        parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))
    }
}
