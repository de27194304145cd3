//! What a folder is for (RFC 6154), by its attribute on a server and by its name in a source.

/// A use that mail programs give a folder of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SpecialUse {
    Sent,
    Drafts,
    Trash,
    Junk,
    Archive,
}

impl SpecialUse {
    /// The use that an attribute of LIST tells; `\Spam` is how XLIST, which came before RFC 6154,
    /// calls junk.
    pub(crate) fn of_attribute(attribute: &str) -> Option<Self> {
        Some(match attribute.to_ascii_lowercase().as_str() {
            "\\sent" => SpecialUse::Sent,
            "\\drafts" => SpecialUse::Drafts,
            "\\trash" => SpecialUse::Trash,
            "\\junk" | "\\spam" => SpecialUse::Junk,
            "\\archive" => SpecialUse::Archive,
            _ => return None,
        })
    }

    /// The use that mail programs in their languages give a folder of this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let name = name.trim().to_lowercase();
        NAMES
            .iter()
            .find(|(_, names)| names.contains(&name.as_str()))
            .map(|(special, _)| *special)
    }
}

/// In lower case: what Thunderbird, Outlook, Apple Mail, Gmail and webmailers call them.
const NAMES: [(SpecialUse, &[&str]); 5] = [
    (
        SpecialUse::Sent,
        &[
            "sent",
            "sent items",
            "sent mail",
            "sent messages",
            "sent-mail",
            "gesendet",
            "gesendete elemente",
            "gesendete objekte",
            "gesendete nachrichten",
            "gesendete e-mails",
            "envoyés",
            "éléments envoyés",
            "messages envoyés",
            "courrier envoyé",
            "enviados",
            "elementos enviados",
            "mensajes enviados",
            "correo enviado",
            "itens enviados",
            "enviadas",
            "mensagens enviadas",
            "e-mails enviados",
            "enviats",
            "inviati",
            "posta inviata",
            "inviata",
            "messaggi inviati",
            "verzonden",
            "verzonden items",
            "verzonden berichten",
            "skickat",
            "skickade",
            "skickade objekt",
            "sendt",
            "sendte",
            "sendte elementer",
            "sendt post",
            "sendte beskeder",
            "lähetetyt",
            "lähetetyt viestit",
            "wysłane",
            "elementy wysłane",
            "odeslané",
            "odeslaná pošta",
            "odoslané",
            "elküldött",
            "elküldött elemek",
            "trimise",
            "изпратени",
            "отправленные",
            "надіслані",
            "відправлені",
            "gönderilmiş öğeler",
            "gönderilenler",
            "απεσταλμένα",
            "נשלחו",
            "送信済み",
            "送信済みメール",
            "送信済みアイテム",
            "已发送",
            "已发送邮件",
            "寄件備份",
            "보낸 편지함",
        ],
    ),
    (
        SpecialUse::Drafts,
        &[
            "drafts",
            "draft",
            "entwürfe",
            "entwurf",
            "brouillons",
            "brouillon",
            "borradores",
            "borrador",
            "rascunhos",
            "esborranys",
            "bozze",
            "concepten",
            "utkast",
            "kladder",
            "luonnokset",
            "kopie robocze",
            "wersje robocze",
            "koncepty",
            "rozepsané",
            "piszkozatok",
            "ciorne",
            "чернови",
            "черновики",
            "чернетки",
            "taslaklar",
            "πρόχειρα",
            "טיוטות",
            "下書き",
            "草稿",
            "草稿箱",
            "임시 보관함",
        ],
    ),
    (
        SpecialUse::Trash,
        &[
            "trash",
            "bin",
            "deleted",
            "deleted items",
            "deleted messages",
            "papierkorb",
            "gelöscht",
            "gelöschte elemente",
            "gelöschte objekte",
            "corbeille",
            "éléments supprimés",
            "messages supprimés",
            "papelera",
            "papelera de reciclaje",
            "elementos eliminados",
            "lixeira",
            "lixo",
            "itens excluídos",
            "itens eliminados",
            "paperera",
            "cestino",
            "posta eliminata",
            "elementi eliminati",
            "prullenbak",
            "prullenmand",
            "verwijderde items",
            "papperskorgen",
            "borttagna objekt",
            "papirkurv",
            "slettet post",
            "slettede elementer",
            "søppelkurv",
            "roskakori",
            "poistetut",
            "kosz",
            "elementy usunięte",
            "koš",
            "odstraněná pošta",
            "kôš",
            "kuka",
            "törölt elemek",
            "coș de gunoi",
            "кошче",
            "корзина",
            "удаленные",
            "удалённые",
            "кошик",
            "видалені",
            "çöp kutusu",
            "silinmiş öğeler",
            "κάδος απορριμμάτων",
            "אשפה",
            "ゴミ箱",
            "削除済みアイテム",
            "已删除",
            "已删除邮件",
            "垃圾桶",
            "휴지통",
        ],
    ),
    (
        SpecialUse::Junk,
        &[
            "junk",
            "junk e-mail",
            "junk email",
            "junk mail",
            "junk-e-mail",
            "spam",
            "bulk",
            "bulk mail",
            "spamverdacht",
            "werbung",
            "unerwünscht",
            "courrier indésirable",
            "indésirables",
            "pourriel",
            "correo no deseado",
            "correo basura",
            "lixo eletrônico",
            "lixo electrónico",
            "posta indesiderata",
            "ongewenste e-mail",
            "ongewenste reclame",
            "skräppost",
            "uønsket e-post",
            "uønsket mail",
            "søppelpost",
            "roskaposti",
            "niechciane",
            "wiadomości-śmieci",
            "nevyžádaná pošta",
            "nevyžiadaná pošta",
            "levélszemét",
            "спам",
            "нежелательная почта",
            "istenmeyen e-posta",
            "önemsiz e-posta",
            "ανεπιθύμητα",
            "迷惑メール",
            "垃圾邮件",
            "垃圾郵件",
            "스팸",
            "스팸함",
        ],
    ),
    (
        SpecialUse::Archive,
        &[
            "archive",
            "archives",
            "archiv",
            "archivo",
            "archivio",
            "arquivo",
            "arquivar",
            "archief",
            "arkiv",
            "arkisto",
            "archiwum",
            "archivum",
            "архив",
            "архів",
            "arşiv",
            "アーカイブ",
            "存档",
            "封存",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("Sent", Some(SpecialUse::Sent)),
            ("SENT ITEMS", Some(SpecialUse::Sent)),
            ("Éléments envoyés", Some(SpecialUse::Sent)),
            ("ENTWÜRFE", Some(SpecialUse::Drafts)),
            (" Papierkorb ", Some(SpecialUse::Trash)),
            ("迷惑メール", Some(SpecialUse::Junk)),
            ("Archives", Some(SpecialUse::Archive)),
            ("Inbox", None),
            ("Sent 2004", None),
            ("", None),
        ] {
            assert_eq!(SpecialUse::of_name(name), expected, "{name}");
        }
    }

    #[test]
    fn attributes() {
        for (attribute, expected) in [
            ("\\Sent", Some(SpecialUse::Sent)),
            ("\\DRAFTS", Some(SpecialUse::Drafts)),
            ("\\Spam", Some(SpecialUse::Junk)),
            ("\\All", None),
            ("Sent", None),
        ] {
            assert_eq!(SpecialUse::of_attribute(attribute), expected, "{attribute}");
        }
    }

    #[test]
    fn each_name_has_one_use_and_can_be_found() {
        for (special, names) in NAMES {
            for name in names {
                assert_eq!(SpecialUse::of_name(name), Some(special), "{name}");
                assert_eq!(name.to_lowercase(), *name);
            }
        }
    }
}
