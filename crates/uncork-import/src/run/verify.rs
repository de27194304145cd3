//! Reading everything back: the server's mails held against what was sent.

use std::collections::HashSet;

use super::Run;
use crate::ImportError;
use crate::imap::look::Access;
use crate::imap::session::Session;
use crate::journal::FolderId;
use crate::mail::Identity;
use crate::report::List;

/// Mails that are not as they were sent, and are remembered by their identity.
const OTHERS_MAX: usize = 100_000;

/// Reads back what this run stored, or met as stored; the session, where it is still good.
pub(crate) async fn verify(run: &Run<'_>, mut session: Session) -> Option<Session> {
    let result = verify_folders(run, &mut session).await;
    match result {
        Ok(()) => Some(session),
        Err(error) => {
            run.fail(error);
            None
        }
    }
}

async fn verify_folders(run: &Run<'_>, session: &mut Session) -> Result<(), ImportError> {
    let mut verified = 0;
    for (id, name, wire) in run.open_folders() {
        run.progress.say(&format!("reading back {name}"));
        let mut others = HashSet::new();
        if let Ok(selected) = session.select(&wire, Access::Read).await? {
            let mut failed = None;
            if selected.messages > 0 {
                session
                    .fetch("UID FETCH 1:* (UID BODY.PEEK[])", |fetched| {
                        let Some(text) = fetched.text else { return };
                        match run.journal.borrow_mut().see_back(id, &text.digest) {
                            Ok(true) => verified += 1,
                            Ok(false) if others.len() < OTHERS_MAX => {
                                others.insert(Identity::of_header(&text.head));
                            }
                            Ok(false) => {}
                            Err(error) => drop(failed.get_or_insert(error)),
                        }
                    })
                    .await?;
            }
            if let Some(error) = failed {
                return Err(error.into());
            }
            session.deselect(&wire).await?;
        }
        tell_missing(run, id, &name, &others)?;
    }
    run.report.borrow_mut().verified = Some(verified);
    Ok(())
}

/// Tells what was not found as it was sent: altered where the folder has it by its Message-ID and
/// dates, else missing.
fn tell_missing(
    run: &Run<'_>,
    folder: FolderId,
    name: &str,
    others: &HashSet<Identity>,
) -> Result<(), ImportError> {
    let missing = run.journal.borrow_mut().not_seen_back(folder)?;
    let mut report = run.report.borrow_mut();
    for item in &missing.first {
        let source = format!("a mail of {} bytes, BLAKE3 {}", item.len, hex(&item.digest));
        if item.identity.has_message_id && others.contains(&item.identity) {
            let reason = "the server has it, not as it was sent";
            report.list(List::Altered, &source, name, reason);
        } else {
            let reason = "it is not in the folder as it was sent";
            report.list(List::NotVerified, &source, name, reason);
        }
    }
    report.not_verified_messages += missing.count - missing.first.len() as u64;
    Ok(())
}

fn hex(digest: &[u8]) -> String {
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
