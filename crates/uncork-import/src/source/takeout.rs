//! Google Takeout: one mbox with all mail, and what Gmail knows of each in X-Gmail-Labels.
//!
//! The field holds labels between commas, in the language of the user, as encoded words
//! (RFC 2047): `Archived,Unread,Work/Clients`. Some are folders, some are flags.

use std::borrow::Cow;

use super::keyword::keyword;
use crate::mail::{Flag, FolderPath};
use crate::options::Labels;

use encoded_word::decode;

mod encoded_word;

/// Most labels of a mail that count; each may be a folder to put it in.
const LABELS_MAX: usize = 256;
/// The longest label (Gmail: 225 characters).
const LABEL_BYTES_MAX: usize = 1024;

/// Where a mail belongs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Filed {
    /// Never empty.
    pub(crate) folders: Vec<FolderPath>,
    pub(crate) flags: Vec<Flag>,
}

/// Files a mail by the value of its X-Gmail-Labels.
///
/// A mail in the trash or in spam goes nowhere else, as Gmail shows it nowhere else. Archive is
/// for those without any other folder. With [`Labels::Once`] the first in the order of [`Rank`]
/// is taken, and of several labels of the user the first that stands there.
pub(crate) fn file(value: &[u8], labels: Labels) -> Filed {
    let mut filed = Filed::default();
    let mut ranked: Vec<(Rank, FolderPath)> = Vec::new();
    let mut is_read = true;
    for label in split(&decode(value)) {
        match Meaning::of(&label) {
            Meaning::Folder(rank) => ranked.push((rank, rank.folder(&label))),
            Meaning::Unread => is_read = false,
            Meaning::Flag(flag) => filed.add(flag),
            Meaning::Nothing => {}
        }
    }
    if is_read {
        filed.add(Cow::Borrowed("\\Seen"));
    }
    if ranked.iter().any(|&(rank, _)| rank == Rank::Drafts) {
        filed.add(Cow::Borrowed("\\Draft"));
    }
    // Stable, so that the labels of the user keep their order.
    ranked.sort_by_key(|&(rank, _)| rank);
    let first = ranked.first().map_or(Rank::Archive, |&(rank, _)| rank);
    let is_alone = labels == Labels::Once || matches!(first, Rank::Trash | Rank::Junk);
    for (rank, folder) in ranked {
        let is_wanted = filed.folders.is_empty() || !(is_alone || rank == Rank::Archive);
        if is_wanted && !folder.0.is_empty() && !filed.folders.contains(&folder) {
            filed.folders.push(folder);
        }
    }
    if filed.folders.is_empty() {
        filed.folders.push(Rank::Archive.folder(""));
    }
    filed
}

impl Filed {
    fn add(&mut self, flag: Flag) {
        if !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
    }
}

/// The folders, in the order in which one of them is chosen: what is in the trash or spam is
/// nothing else, a draft is no mail yet; the inbox is what waits to be done, a label says more
/// than that a mail was sent or archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Trash,
    Junk,
    Drafts,
    Inbox,
    /// A label of the user.
    User,
    Sent,
    Chat,
    Archive,
}

impl Rank {
    /// The folder; a label of the user names it, with `/` between levels.
    fn folder(self, label: &str) -> FolderPath {
        let name = match self {
            Self::Trash => "Trash",
            Self::Junk => "Junk",
            Self::Drafts => "Drafts",
            Self::Inbox => "INBOX",
            Self::Sent => "Sent",
            Self::Chat => "Chat",
            Self::Archive => "Archive",
            Self::User => {
                let levels = label.split('/').map(str::trim);
                let named = levels.filter(|level| !level.is_empty());
                return FolderPath(named.map(str::to_owned).collect());
            }
        };
        FolderPath(vec![name.to_owned()])
    }
}

/// What a label says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    Folder(Rank),
    Unread,
    Flag(Flag),
    /// That it was read, or what Gmail guesses it to be about: that dies with Gmail.
    Nothing,
}

impl Meaning {
    fn of(label: &str) -> Self {
        // Keywords that an IMAP client has set.
        if let Some(word) = label.strip_prefix("IMAP_") {
            return keyword(word.as_bytes()).map_or(Self::Nothing, Self::Flag);
        }
        let lower = label.to_lowercase();
        if is_category(&lower) {
            return Self::Nothing;
        }
        let named = NAMES
            .iter()
            .find(|(_, names)| names.split(", ").any(|name| name == lower));
        named.map_or(Self::Folder(Rank::User), |(meaning, _)| meaning.clone())
    }
}

/// What Gmail calls its own labels, in lower case: English, German, French, Spanish, Italian,
/// Portuguese, Dutch; several where it has changed or Portugal differs from Brazil. A name that
/// is not here makes a folder of that name. Names that users give their own labels are left out
/// ("Todos" for all mail, "Concept" for a draft).
const NAMES: &[(Meaning, &str)] = &[
    (
        Meaning::Folder(Rank::Inbox),
        "inbox, posteingang, boîte de réception, recibidos, bandeja de entrada, posta \
         in arrivo, caixa de entrada, postvak in",
    ),
    (
        Meaning::Folder(Rank::Sent),
        "sent, gesendet, envoyé, envoyés, messages envoyés, enviado, enviados, \
         inviati, posta inviata, e-mails enviados, verzonden, verzonden items",
    ),
    (
        Meaning::Folder(Rank::Drafts),
        "drafts, entwürfe, brouillons, borradores, bozze, rascunhos, concepten",
    ),
    (Meaning::Folder(Rank::Junk), "spam"),
    (
        Meaning::Folder(Rank::Trash),
        "trash, bin, papierkorb, corbeille, papelera, cestino, lixeira, lixo, \
         prullenbak",
    ),
    (Meaning::Folder(Rank::Chat), "chat, chats, bate-papo"),
    (
        Meaning::Folder(Rank::Archive),
        "archived, archiviert, archivé, archivés, messages archivés, archivado, \
         archivados, archiviato, archiviati, arquivado, arquivados, gearchiveerd, all \
         mail, alle nachrichten, tous les messages, tutti i messaggi, todos os \
         e-mails, alle berichten",
    ),
    (
        Meaning::Unread,
        "unread, ungelesen, non lu, non lus, no leído, no leídos, non letto, non \
         letti, da leggere, não lido, não lidos, não lida, não lidas, ongelezen",
    ),
    (
        Meaning::Nothing,
        "opened, geöffnet, ouvert, ouverts, abierto, abiertos, aperto, aperti, \
         aberto, abertos, geopend",
    ),
    (
        Meaning::Flag(Cow::Borrowed("\\Flagged")),
        "starred, markiert, suivi, suivis, messages suivis, destacado, destacados, \
         con estrella, speciale, speciali, com estrela, met ster",
    ),
    (
        Meaning::Flag(Cow::Borrowed("$Important")),
        "important, importants, wichtig, importante, importantes, importanti, \
         belangrijk",
    ),
];

/// Whether Gmail has guessed what the mail is about: `Category Updates`, `Kategorie: „Werbung“`.
/// English has no colon there, and so needs the whole name.
fn is_category(lower: &str) -> bool {
    const ENGLISH: [&str; 8] = [
        "personal",
        "social",
        "promotions",
        "updates",
        "forums",
        "travel",
        "purchases",
        "reservations",
    ];
    const OTHERS: [&str; 5] = [
        "kategorie",
        "catégorie",
        "categoría",
        "categoria",
        "categorie",
    ];
    if let Some(name) = lower.strip_prefix("category ") {
        return ENGLISH.contains(&name);
    }
    let name = lower.split_once(':').map(|(before, _)| before.trim_end());
    name.is_some_and(|name| OTHERS.contains(&name))
}

/// The labels of a decoded field. Those with a comma in them stand between quotes; quotes within
/// a label mean nothing.
fn split(value: &str) -> Vec<String> {
    let mut labels = Vec::new();
    let mut rest = value.trim();
    while !rest.is_empty() && labels.len() < LABELS_MAX {
        let quoted = rest
            .strip_prefix('"')
            .and_then(|text| Some((text, closing_quote(text)?)));
        let (label, after) = match quoted {
            Some((text, end)) => (text[..end].replace("\\\"", "\""), &text[end + 1..]),
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        let label: String = label.chars().filter(|char| !char.is_control()).collect();
        let label = label.trim();
        if (1..=LABEL_BYTES_MAX).contains(&label.len()) {
            labels.push(label.to_owned());
        }
        let after = after.trim_start();
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
    }
    labels
}

/// The quote that ends a label: the next after which there is a comma, or nothing.
fn closing_quote(text: &str) -> Option<usize> {
    text.match_indices('"').map(|(at, _)| at).find(|&at| {
        let after = text[at + 1..].trim_start();
        !text[..at].ends_with('\\') && (after.is_empty() || after.starts_with(','))
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(value: &str, labels: Labels, folders: &[&str], flags: &[&str]) {
        let filed = file(value.as_bytes(), labels);
        let found: Vec<_> = filed
            .folders
            .iter()
            .map(|folder| folder.0.join("/"))
            .collect();
        assert_eq!(found, folders, "{value:?}");
        assert_eq!(filed.flags, flags, "{value:?}");
    }

    #[test]
    fn labels_in_english() {
        use Labels::{Each, Once};
        check(
            "Inbox,Important,Opened,Category Personal",
            Each,
            &["INBOX"],
            &["$Important", "\\Seen"],
        );
        check("Archived,Unread", Each, &["Archive"], &[]);
        check("", Each, &["Archive"], &["\\Seen"]);
        check(
            "Starred,Opened",
            Each,
            &["Archive"],
            &["\\Flagged", "\\Seen"],
        );
        check("Archived,Work/Clients,Unread", Each, &["Work/Clients"], &[]);
        check(
            "b,Archived,a,Inbox,Sent,Unread",
            Each,
            &["INBOX", "b", "a", "Sent"],
            &[],
        );
        check("b,Archived,a,Inbox,Sent,Unread", Once, &["INBOX"], &[]);
        check("Archived,Sent,b,a,Unread", Once, &["b"], &[]);
        check("Sent,Archived", Once, &["Sent"], &["\\Seen"]);
        check("Work,Trash,Unread", Each, &["Trash"], &[]);
        check("Spam,Unread,Inbox", Each, &["Junk"], &[]);
        check(
            "Drafts,Unread,Work",
            Each,
            &["Drafts", "Work"],
            &["\\Draft"],
        );
        check("Drafts,Unread,Work", Once, &["Drafts"], &["\\Draft"]);
        check(
            "Chat,IMAP_$Forwarded,IMAP_a b,Unread",
            Each,
            &["Chat"],
            &["$Forwarded"],
        );
        check("Category theory,Unread", Each, &["Category theory"], &[]);
        check("/,//,/a//b/ , \u{1},Unread", Each, &["a/b"], &[]);
        check("a,a,Unread,Archive", Each, &["a", "Archive"], &[]);
        check(
            "\"a, b\",\"c,\\\"d\\\"\" , \"e,Unread",
            Each,
            &["a, b", "c,\"d\"", "\"e"],
            &[],
        );
    }

    #[test]
    fn labels_in_other_languages() {
        use Labels::Each;
        for value in [
            "Posteingang,Wichtig,Markiert,Ungelesen,Kategorie: \"Neuigkeiten\"",
            "Boîte de réception,Important,Suivis,Non lus,Catégorie\u{a0}: E-mails personnels",
            "Recibidos,Importante,Destacados,No leídos,Categoría: Promociones",
            "Posta in arrivo,Importante,Speciali,Da leggere,Categoria: Aggiornamenti",
            "Caixa de entrada,Importante,Com estrela,Não lidas,Categoria: Social",
            "Postvak IN,Belangrijk,Met ster,Ongelezen,Categorie: Updates",
        ] {
            check(value, Each, &["INBOX"], &["$Important", "\\Flagged"]);
        }
        check("Archiviert,Geöffnet,Gesendet", Each, &["Sent"], &["\\Seen"]);
        check("Archivés,Envoyé", Each, &["Sent"], &["\\Seen"]);
        check("Papelera,Abierto", Each, &["Trash"], &["\\Seen"]);
    }

    proptest! {
        /// Any bytes give a mail at least one folder, and no name that could end a line.
        #[test]
        fn hostile_labels(value in prop::collection::vec(any::<u8>(), 0..200)) {
            let filed = file(&value, Labels::Each);
            prop_assert!(!filed.folders.is_empty());
            for folder in filed.folders {
                prop_assert!(!folder.0.is_empty());
                prop_assert!(folder.0.iter().all(|level| !level.contains(char::is_control)));
            }
        }

        /// What is written as Gmail does is read as it was.
        #[test]
        fn labels_go_round(labels in prop::collection::vec("[a-z,é]{1,8}", 1..5)) {
            let field: Vec<_> = labels.iter().map(|label| format!("\"{label}\"")).collect();
            let encoded = format!("=?UTF-8?B?{}?=", STANDARD.encode(field.join(",")));
            prop_assume!(encoded.len() < 150);
            prop_assert_eq!(split(&decode(encoded.as_bytes())), labels);
        }
    }
}
