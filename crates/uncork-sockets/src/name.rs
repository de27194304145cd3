//! What a process is called. It chooses its name itself, so that a name is shown only after what could
//! move a terminal's cursor, or turn the line round, has been taken out.

use std::fs::File;
use std::io::Read;

/// The longest `comm`: TASK_COMM_LEN is 16, and kernel threads add theirs.
const COMMAND_BYTES_MAX: u64 = 64;

/// How much of a command line is read, and how much of it is shown.
const COMMAND_LINE_BYTES_MAX: u64 = 4096;
const COMMAND_LINE_CHARS_MAX: usize = 80;

/// What the process calls itself (`/proc/PID/comm`), made [`harmless`]; `None` if it is gone.
#[must_use]
pub fn command(pid: u32) -> Option<String> {
    let bytes = read(pid, "comm", COMMAND_BYTES_MAX)?;
    Some(harmless(bytes.strip_suffix(b"\n").unwrap_or(&bytes)))
}

/// How the process was started (`/proc/PID/cmdline`), made [`harmless`] and cut after 80 characters;
/// its [`command`] in brackets where it has none, as kernel threads; `None` if it is gone.
#[must_use]
pub fn command_line(pid: u32) -> Option<String> {
    let bytes = read(pid, "cmdline", COMMAND_LINE_BYTES_MAX)?;
    let arguments = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if arguments.is_empty() {
        return Some(format!("[{}]", command(pid)?));
    }
    let words: Vec<u8> = arguments
        .iter()
        .map(|byte| if *byte == 0 { b' ' } else { *byte })
        .collect();
    Some(shortened(&harmless(&words), COMMAND_LINE_CHARS_MAX))
}

/// Text for a terminal, or a log, of bytes that somebody else chose: control characters, and those
/// that turn the direction of the text, become U+FFFD, as does what is no UTF-8.
#[must_use]
pub fn harmless(bytes: &[u8]) -> String {
    let is_harmful = |character: char| {
        character.is_control()
            || matches!(character,
                '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{061c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    let text = String::from_utf8_lossy(bytes);
    let characters = text.chars();
    characters
        .map(|character| {
            if is_harmful(character) {
                char::REPLACEMENT_CHARACTER
            } else {
                character
            }
        })
        .collect()
}

fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn read(pid: u32, file: &str, bytes_max: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{pid}/{file}")).ok()?;
    file.take(bytes_max).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A word as a shell takes it: quoted where it must be, and without what a terminal must not get.
#[must_use]
pub fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    if harmless(word.as_bytes()) == word {
        return format!("'{}'", word.replace('\'', "'\\''"));
    }
    // Line breaks, and what a terminal must not get (POSIX 2024, 2.2.4; `\U` is of bash and zsh).
    let escaped = |c: char| match c {
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        '\\' | '\'' => format!("\\{c}"),
        c if harmless(c.encode_utf8(&mut [0; 4]).as_bytes()).starts_with(c) => c.to_string(),
        c => format!("\\U{:08x}", u32::from(c)),
    };
    format!("$'{}'", word.chars().map(escaped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_harm_is_replaced() {
        for (bytes, expected) in [
            (&b"python3"[..], "python3"),
            (b"\x1b[2J\x07evil\n", "\u{fffd}[2J\u{fffd}evil\u{fffd}"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            ("käse \u{202e}txt.exe".as_bytes(), "käse \u{fffd}txt.exe"),
            (
                "\u{9b}31m\u{200b}\u{feff}".as_bytes(),
                "\u{fffd}31m\u{fffd}\u{fffd}",
            ),
        ] {
            assert_eq!(harmless(bytes), expected);
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äöü…");
    }

    #[test]
    fn of_this_process() {
        let pid = std::process::id();
        assert!(command(pid).is_some_and(|name| !name.is_empty()));
        assert!(command_line(pid).is_some_and(|line| line.contains("uncork_sockets")));
        assert_eq!(command(u32::MAX), None);
        assert_eq!(command_line(u32::MAX), None);
    }

    #[test]
    fn words_for_a_shell() {
        for (word, expected) in [
            ("a.py", "a.py"),
            ("", "''"),
            ("it's; rm", r"'it'\''s; rm'"),
            ("print 'a'\n\x1b\\", r"$'print \'a\'\n\U0000001b\\'"),
        ] {
            assert_eq!(shell_word(word), expected);
        }
    }
}
