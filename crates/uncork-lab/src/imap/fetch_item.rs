//! What a FETCH asks for.

use super::section::{Listed, Section};
use super::token::{Cursor, SyntaxError};

/// Items in one FETCH, and field names in one item.
const ITEMS_MAX: usize = 32;
const FIELDS_MAX: usize = 128;

/// One thing to fetch of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Flags,
    InternalDate,
    Size,
    Uid,
    Body(Body),
}

/// A section, and how it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) section: Section,
    pub(crate) look: Look,
    /// First byte and count of `<first.count>`.
    pub(crate) partial: Option<(u64, u64)>,
    /// What the reply calls it.
    pub(crate) label: String,
}

/// Whether fetching sets `\Seen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Peek,
    SetSeen,
}

/// Parses one item, a macro, or a list of items.
pub(crate) fn parse_items(cursor: &mut Cursor<'_>) -> Result<Vec<Item>, SyntaxError> {
    if !cursor.take(b'(') {
        if cursor.word("FAST") {
            return Ok(vec![Item::Flags, Item::InternalDate, Item::Size]);
        }
        return Ok(vec![item(cursor)?]);
    }
    let mut items = Vec::new();
    loop {
        items.push(item(cursor)?);
        if cursor.take(b')') {
            return Ok(items);
        }
        if items.len() >= ITEMS_MAX {
            return Err(SyntaxError::TooMany("items"));
        }
        cursor.space()?;
    }
}

fn item(cursor: &mut Cursor<'_>) -> Result<Item, SyntaxError> {
    let name = cursor
        .run(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        .to_ascii_uppercase();
    let old = |label: &str, section: Section, look: Look| {
        Item::Body(Body {
            section,
            look,
            partial: None,
            label: label.to_owned(),
        })
    };
    match name.as_slice() {
        b"FLAGS" => Ok(Item::Flags),
        b"INTERNALDATE" => Ok(Item::InternalDate),
        b"RFC822.SIZE" => Ok(Item::Size),
        b"UID" => Ok(Item::Uid),
        b"RFC822" => Ok(old("RFC822", Section::Whole, Look::SetSeen)),
        b"RFC822.HEADER" => Ok(old("RFC822.HEADER", Section::Header, Look::Peek)),
        b"RFC822.TEXT" => Ok(old("RFC822.TEXT", Section::Text, Look::SetSeen)),
        b"BODY" if cursor.peek() == Some(b'[') => body(cursor, Look::SetSeen),
        b"BODY.PEEK" => body(cursor, Look::Peek),
        b"BODY" | b"BODYSTRUCTURE" | b"ENVELOPE" | b"ALL" | b"FULL" => {
            Err(SyntaxError::Unsupported("ENVELOPE and BODYSTRUCTURE are"))
        }
        _ => Err(SyntaxError::Expected("a FETCH item")),
    }
}

fn body(cursor: &mut Cursor<'_>, look: Look) -> Result<Item, SyntaxError> {
    cursor.byte(b'[', "a section")?;
    let (section, mut label) = if cursor.word("HEADER.FIELDS.NOT") {
        fields(cursor, Listed::Unwanted)?
    } else if cursor.word("HEADER.FIELDS") {
        fields(cursor, Listed::Wanted)?
    } else if cursor.word("HEADER") {
        (Section::Header, "HEADER".to_owned())
    } else if cursor.word("TEXT") {
        (Section::Text, "TEXT".to_owned())
    } else if cursor.peek() == Some(b']') {
        (Section::Whole, String::new())
    } else {
        return Err(SyntaxError::Unsupported("MIME parts are"));
    };
    cursor.byte(b']', "the end of a section")?;
    label = format!("BODY[{label}]");
    let mut partial = None;
    if cursor.take(b'<') {
        let first = cursor.number()?;
        cursor.byte(b'.', "the count of a partial fetch")?;
        partial = Some((first, cursor.number()?));
        cursor.byte(b'>', "the end of a partial fetch")?;
        label = format!("{label}<{first}>");
    }
    Ok(Item::Body(Body {
        section,
        look,
        partial,
        label,
    }))
}

fn fields(cursor: &mut Cursor<'_>, listed: Listed) -> Result<(Section, String), SyntaxError> {
    cursor.space()?;
    cursor.byte(b'(', "a list of field names")?;
    let mut names = Vec::new();
    loop {
        let name = cursor.astring()?;
        let fits = !name.is_empty()
            && name
                .iter()
                .all(|byte| byte.is_ascii_graphic() && !b":\"\\(){}".contains(byte));
        match String::from_utf8(name.into_owned()) {
            Ok(name) if fits => names.push(name),
            _ => return Err(SyntaxError::Expected("a field name")),
        }
        if cursor.take(b')') {
            break;
        }
        if names.len() >= FIELDS_MAX {
            return Err(SyntaxError::TooMany("field names"));
        }
        cursor.space()?;
    }
    let word = if listed == Listed::Wanted {
        "HEADER.FIELDS"
    } else {
        "HEADER.FIELDS.NOT"
    };
    let label = format!("{word} ({})", names.join(" "));
    Ok((Section::Fields { names, listed }, label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items() {
        let check = |input: &str, expected: Option<&[&str]>| {
            let mut cursor = Cursor::new(input.as_bytes());
            let items = parse_items(&mut cursor).ok().filter(|_| cursor.is_at_end());
            let names: Option<Vec<String>> = items.map(|items| {
                items
                    .iter()
                    .map(|item| match item {
                        Item::Body(body) => format!("{} {:?}", body.label, body.look),
                        other => format!("{other:?}"),
                    })
                    .collect()
            });
            assert_eq!(names.is_some(), expected.is_some(), "{input}");
            assert_eq!(
                names.unwrap_or_default(),
                expected.unwrap_or_default(),
                "{input}"
            );
        };
        check("FLAGS", Some(&["Flags"]));
        check("fast", Some(&["Flags", "InternalDate", "Size"]));
        check(
            "(UID RFC822.SIZE INTERNALDATE)",
            Some(&["Uid", "Size", "InternalDate"]),
        );
        check("BODY[]", Some(&["BODY[] SetSeen"]));
        check("(BODY.PEEK[]<0.100>)", Some(&["BODY[]<0> Peek"]));
        check(
            "BODY.PEEK[HEADER.FIELDS (Message-ID \"X-TUID\")]",
            Some(&["BODY[HEADER.FIELDS (Message-ID X-TUID)] Peek"]),
        );
        check("BODY[HEADER]", Some(&["BODY[HEADER] SetSeen"]));
        check("RFC822", Some(&["RFC822 SetSeen"]));
        check("BODY[1]", None);
        check("BODY", None);
        check("ENVELOPE", None);
        check("()", None);
        check("(FLAGS", None);
        check("BODY[HEADER.FIELDS ()]", None);
        check("BODY[HEADER.FIELDS (\"a: b\r\n\")]", None);
        check(&format!("({})", ["UID"; ITEMS_MAX + 1].join(" ")), None);
    }
}
