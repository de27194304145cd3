//! Reading everything back: the server's mails held against what was sent.

use crate::ImportError;
use crate::look::Access;
use crate::report::List;
use crate::run::Run;
use crate::session::Session;

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
        let selected = session.select(&wire, Access::Read).await?;
        if let Ok(selected) = selected {
            let mut failed = None;
            if selected.messages > 0 {
                session
                    .fetch("UID FETCH 1:* (UID BODY.PEEK[])", |fetched| {
                        let Some(text) = fetched.text else { return };
                        match run.journal.borrow_mut().see_back(id, &text.digest) {
                            Ok(is_ours) => verified += u64::from(is_ours),
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
        let missing = run.journal.borrow_mut().not_seen_back(id)?;
        let mut report = run.report.borrow_mut();
        for item in &missing.first {
            let source = format!("a mail of {} bytes, BLAKE3 {}", item.len, hex(&item.digest));
            let reason = "it is not in the folder as it was sent";
            report.list(List::NotVerified, &source, &name, reason);
        }
        report.not_verified_messages += missing.count - missing.first.len() as u64;
    }
    run.report.borrow_mut().verified = Some(verified);
    Ok(())
}

fn hex(digest: &[u8]) -> String {
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
