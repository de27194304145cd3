//! The report in words: what both the terminal and the page say.

use uncork_import::{FolderReport, Refused, Repair, Report, Target};

use crate::words::{are, count, counted, rounded, size, time, were};

/// A report, and what has to be known beside it to talk about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary<'a> {
    pub(super) report: &'a Report,
    pub(super) target: &'a Target,
}

/// Mails that a person should look at.
#[derive(Debug)]
pub(super) struct List<'a> {
    /// How many, and what is the matter with them.
    pub(super) title: String,
    pub(super) count: u64,
    /// As many of them as the report names.
    pub(super) mails: &'a [Refused],
    /// What can be done about it.
    pub(super) advice: Option<&'static str>,
    pub(super) is_refused: bool,
}

impl<'a> Summary<'a> {
    /// What went where, in one sentence.
    pub(super) fn headline(&self) -> String {
        let report = self.report;
        let place = format!("{} on {}", self.folder(), self.target.host);
        if report.dry_run {
            let mails = counted(report.would_import, "mail");
            return format!("dry run, nothing was changed: {mails} would go into {place}");
        }
        let mails = counted(report.imported, "mail");
        match (report.imported, report.already_there) {
            (0, 0) => return format!("nothing was imported into {place}"),
            (0, _) if report.sources_read => return format!("nothing new for {place}"),
            (0, _) => return format!("nothing was imported into {place} yet"),
            _ => {}
        }
        format!(
            "{mails} {} imported into {place} ({} in {}, {} a second)",
            were(report.imported),
            size(report.bytes),
            time(report.seconds),
            counted(rounded(report.messages_per_second), "mail"),
        )
    }

    /// The folder, or how many.
    fn folder(&self) -> String {
        match &self.report.folders[..] {
            [] => self
                .target
                .folder
                .clone()
                .unwrap_or_else(|| "INBOX".to_owned()),
            [folder] => folder.folder.clone(),
            folders => counted(folders.len() as u64, "folder"),
        }
    }

    /// What else is to be said, each only where it applies.
    pub(super) fn sentences(&self) -> Vec<String> {
        let report = self.report;
        let mut sentences = Vec::new();
        let there = report.already_there;
        if there > 0 {
            let mails = counted(there, "mail");
            sentences.push(match report.dry_run {
                true => format!("{mails} {} there already", are(there)),
                false => format!("{mails} {} there already, and not sent again", were(there)),
            });
        }
        if let Some(verified) = report.verified {
            let (mails, were) = (counted(verified, "mail"), were(verified));
            sentences.push(format!("{mails} {were} read back, and are what was sent"));
        }
        let dropped = report.flags_dropped;
        if dropped > 0 {
            let (flags, were) = (counted(dropped, "flag"), were(dropped));
            sentences.push(format!(
                "{flags} that the server does not take {were} left out; the mails are in"
            ));
        }
        let not_sent = report.not_sent_messages;
        if not_sent > 0 {
            let (mails, were) = (counted(not_sent, "mail"), were(not_sent));
            sentences.push(format!("{mails} {were} read and not sent"));
        }
        if !report.sources_read && report.connections > 0 {
            sentences.push("there is more mail in the sources, which was not read".to_owned());
        }
        let waited = report.waited_seconds;
        if waited >= 1.0 {
            let summed = match report.connections {
                0 | 1 => "",
                _ => ", all connections together",
            };
            sentences.push(format!(
                "{waited:.0} s went by in waiting, as the server or a limit asked{summed}"
            ));
        }
        if report.reconnects > 0 {
            let times = counted(report.reconnects, "time");
            sentences.push(format!("a connection was made anew {times}"));
        }
        sentences
    }

    /// What was made use of, for those who compare servers.
    pub(super) fn means(&self) -> Option<String> {
        let report = self.report;
        if report.imported == 0 {
            return None;
        }
        let connections = counted(report.connections.into(), "connection");
        let used = report.capabilities_used.iter().cloned();
        let words: Vec<String> = used.chain([connections]).collect();
        Some(words.join(", "))
    }

    /// What was repaired, and in how many mails.
    pub(super) fn repairs(&self) -> Vec<(u64, &'static str)> {
        let repaired = &self.report.repaired;
        let count = |repair: Repair| Some((*repaired.get(repair.name())?, repair.phrase()));
        Repair::ALL.into_iter().filter_map(count).collect()
    }

    /// Mails that a person should look at, the worst first.
    pub(super) fn lists(&self) -> Vec<List<'a>> {
        let report = self.report;
        let lists = [
            List {
                title: match report.dry_run {
                    true => "would not go in".to_owned(),
                    false => "did not go in".to_owned(),
                },
                count: report.refused_messages,
                mails: &report.refused,
                advice: None,
                is_refused: true,
            },
            List {
                title: "may be in or not, because no answer came".to_owned(),
                count: report.unknown_messages,
                mails: &report.unknown,
                advice: Some(
                    "run the same again: the server is asked, and only what is missing is sent",
                ),
                is_refused: false,
            },
            List {
                title: "could not be read back as sent".to_owned(),
                count: report.not_verified_messages,
                mails: &report.not_verified,
                advice: None,
                is_refused: false,
            },
            List {
                title: format!(
                    "{} in, but the server changed what was sent",
                    are(report.altered_messages)
                ),
                count: report.altered_messages,
                mails: &report.altered,
                advice: None,
                is_refused: false,
            },
        ];
        let lists = lists.into_iter().filter(|list| list.count > 0);
        lists
            .map(|list| List {
                title: format!("{} {}", counted(list.count, "mail"), list.title),
                ..list
            })
            .collect()
    }

    /// Which figures of the folders say anything.
    pub(super) fn folder_columns(&self) -> Vec<Column> {
        let folders = &self.report.folders;
        let says = |column: &Column| folders.iter().any(|folder| (column.figure)(folder) > 0);
        COLUMNS.into_iter().filter(says).collect()
    }
}

/// A figure of each folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    figure: fn(&FolderReport) -> u64,
    in_words: fn(u64) -> String,
}

impl Column {
    const fn new(
        name: &'static str,
        figure: fn(&FolderReport) -> u64,
        in_words: fn(u64) -> String,
    ) -> Self {
        Self {
            name,
            figure,
            in_words,
        }
    }

    /// What stands in it for this folder.
    pub(super) fn text(&self, folder: &FolderReport) -> String {
        (self.in_words)((self.figure)(folder))
    }
}

const COLUMNS: [Column; 5] = [
    Column::new("would go in", |folder| folder.would_import, count),
    Column::new("imported", |folder| folder.imported, count),
    Column::new("there already", |folder| folder.already_there, count),
    Column::new("refused", |folder| folder.refused_messages, count),
    Column::new("size", |folder| folder.bytes, size),
];

/// What was done until an error came, for who reads nothing else.
pub(super) fn stopped_after(report: &Report) -> String {
    let stored = report.imported;
    let mut text = format!(
        "stopped after {} {} stored",
        counted(stored, "mail"),
        were(stored)
    );
    let others = [
        (report.refused_messages, "did not go in"),
        (
            report.unknown_messages,
            "may be stored (sent, and no answer came)",
        ),
        (report.not_sent_messages, "not sent"),
    ];
    for (number, what) in others.into_iter().filter(|(number, _)| *number > 0) {
        text.push_str(&format!(", {} {what}", count(number)));
    }
    text
}
