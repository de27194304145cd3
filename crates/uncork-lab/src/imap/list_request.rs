//! What LIST and LSUB ask for (RFC 3501, RFC 5258, RFC 6154).

use std::borrow::Cow;

use super::command::spaced;
use super::token::{Cursor, SyntaxError};

/// Options in one list of them, and patterns in one LIST.
const OPTIONS_MAX: usize = 16;
const PATTERNS_MAX: usize = 64;

/// Which folders, and what of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListRequest<'a> {
    /// What the reply begins with.
    pub(crate) word: &'static str,
    pub(crate) reference: Cow<'a, [u8]>,
    pub(crate) patterns: Vec<Cow<'a, [u8]>>,
    /// Only folders that the user has subscribed to.
    pub(crate) only_subscribed: bool,
    /// Only folders that are for something.
    pub(crate) only_special: bool,
    /// Says of each folder whether it is subscribed.
    pub(crate) says_subscribed: bool,
    /// Says of each folder whether there are others below it.
    pub(crate) says_children: bool,
    /// Options of LIST-EXTENDED are in it.
    pub(crate) is_extended: bool,
}

impl<'a> ListRequest<'a> {
    /// Parses what follows LIST.
    pub(crate) fn parse_list(cursor: &mut Cursor<'a>) -> Result<Self, SyntaxError> {
        let mut request = Self::new("LIST");
        let mut ahead = cursor.clone();
        if ahead.take(b' ') && ahead.peek() == Some(b'(') {
            cursor.space()?;
            for option in options(cursor)? {
                match option.as_str() {
                    "SUBSCRIBED" => {
                        request.only_subscribed = true;
                        request.says_subscribed = true;
                    }
                    "SPECIAL-USE" => request.only_special = true,
                    "REMOTE" | "RECURSIVEMATCH" => {}
                    _ => return Err(SyntaxError::Expected("a selection option known here")),
                }
            }
            request.is_extended = true;
        }
        request.reference = spaced(cursor)?;
        cursor.space()?;
        if cursor.take(b'(') {
            request.is_extended = true;
            loop {
                request.patterns.push(cursor.list_pattern()?);
                if cursor.take(b')') {
                    break;
                }
                if request.patterns.len() >= PATTERNS_MAX {
                    return Err(SyntaxError::TooMany("patterns"));
                }
                cursor.space()?;
            }
        } else {
            request.patterns.push(cursor.list_pattern()?);
        }
        if cursor.word(" RETURN ") {
            for option in options(cursor)? {
                match option.as_str() {
                    "SUBSCRIBED" => request.says_subscribed = true,
                    "CHILDREN" => request.says_children = true,
                    // What folders are for is always said.
                    "SPECIAL-USE" => {}
                    _ => return Err(SyntaxError::Expected("a return option known here")),
                }
            }
            request.is_extended = true;
        }
        Ok(request)
    }

    /// Parses what follows LSUB.
    pub(crate) fn parse_lsub(cursor: &mut Cursor<'a>) -> Result<Self, SyntaxError> {
        let mut request = Self::new("LSUB");
        request.only_subscribed = true;
        request.reference = spaced(cursor)?;
        cursor.space()?;
        request.patterns.push(cursor.list_pattern()?);
        Ok(request)
    }

    fn new(word: &'static str) -> Self {
        Self {
            word,
            reference: Cow::Borrowed(b""),
            patterns: Vec::new(),
            only_subscribed: false,
            only_special: false,
            says_subscribed: false,
            says_children: false,
            is_extended: false,
        }
    }
}

fn options(cursor: &mut Cursor<'_>) -> Result<Vec<String>, SyntaxError> {
    cursor.byte(b'(', "a list of options")?;
    let mut options = Vec::new();
    if cursor.take(b')') {
        return Ok(options);
    }
    loop {
        options.push(cursor.atom()?.to_ascii_uppercase());
        if cursor.take(b')') {
            return Ok(options);
        }
        if options.len() >= OPTIONS_MAX {
            return Err(SyntaxError::TooMany("options"));
        }
        cursor.space()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let check = |input: &'static str, expected: Option<(&[&str], &str)>| {
            let mut cursor = Cursor::new(input.as_bytes());
            let found = ListRequest::parse_list(&mut cursor).ok();
            let found = found.filter(|_| cursor.is_at_end()).map(|request| {
                let flags = [
                    (request.only_subscribed, 's'),
                    (request.only_special, 'u'),
                    (request.says_subscribed, 'S'),
                    (request.says_children, 'C'),
                    (request.is_extended, 'x'),
                ];
                let set: String = flags.iter().filter(|(on, _)| *on).map(|(_, c)| c).collect();
                (request.patterns, set)
            });
            let expected = expected.map(|(patterns, flags)| {
                let patterns = patterns.iter().map(|text| Cow::Borrowed(text.as_bytes()));
                (patterns.collect::<Vec<_>>(), flags.to_owned())
            });
            assert_eq!(found, expected, "{input}");
        };
        check(" \"\" *", Some((&["*"], "")));
        check(" \"\" \"\"", Some((&[""], "")));
        check(" a/ (b \"%\")", Some((&["b", "%"], "x")));
        check(" (SPECIAL-USE) \"\" *", Some((&["*"], "ux")));
        check(
            " (subscribed) \"\" * RETURN (CHILDREN SPECIAL-USE)",
            Some((&["*"], "sSCx")),
        );
        check(" () \"\" * RETURN ()", Some((&["*"], "x")));
        check(" (FOO) \"\" *", None);
        check(" \"\" * RETURN (FOO)", None);
        check(" \"\" ()", None);
        check(" \"\"", None);
    }
}
