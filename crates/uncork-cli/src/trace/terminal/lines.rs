//! Lines that end between words.

use std::io::{self, Write};

/// Columns before the text of a named line.
const INDENT: usize = 13;

/// Least columns, however narrow the terminal is.
const WIDTH_MIN: usize = 30;

/// Units, which stay on the line of their figure.
const UNITS: &[&str] = &["ms", "s", "min", "%", "B", "kB", "MB", "GB"];

/// Something to print on, with so many columns.
pub(super) struct Lines<'a, W> {
    out: &'a mut W,
    width: usize,
    copies: Copies,
}

/// What happens to lines that are there to be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copies {
    /// They stay whole, however long they are.
    Whole,
    /// They are broken like others: what doesn't fit would not be seen at all.
    Wrapped,
}

impl<'a, W: Write> Lines<'a, W> {
    pub(super) fn new(out: &'a mut W, width: usize, copies: Copies) -> Self {
        let width = width.max(WIDTH_MIN);
        Self { out, width, copies }
    }

    /// A line as it is.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A text in as many lines as it takes, of which all but the first are indented.
    pub(super) fn wrapped(&mut self, indent: usize, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", wrapped(text, indent, self.width))
    }

    /// The same, behind a bullet or what stands in its place.
    pub(super) fn item(&mut self, bullet: &str, text: &str) -> io::Result<()> {
        write!(self.out, "{bullet}")?;
        self.wrapped(bullet.chars().count(), text)
    }

    /// A text to be copied, behind what it is.
    pub(super) fn copy(&mut self, name: &str, text: &str) -> io::Result<()> {
        match self.copies {
            Copies::Whole => self.line(&format!("{name}{text}")),
            Copies::Wrapped => self.item(name, text),
        }
    }

    /// The same, behind its name.
    pub(super) fn named(&mut self, name: &str, text: &str) -> io::Result<()> {
        let columns = INDENT - 3;
        self.item(&format!("   {name:<columns$}"), text)
    }
}

/// Words are not broken, nor are figures from their units.
fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let mut lines = String::with_capacity(text.len() + text.len() / 8);
    let mut column = indent;
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        let mut word = word.to_owned();
        while let Some(unit) = words.next_if(|word| is_unit(word)) {
            word.push(' ');
            word.push_str(unit);
        }
        let letters = word.chars().count();
        let is_first = column == indent;
        if !is_first && column + 1 + letters > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if !is_first {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(&word);
        column += letters;
    }
    lines
}

fn is_unit(word: &str) -> bool {
    let is_mark = |letter: char| letter.is_ascii_punctuation() && letter != '%';
    UNITS.contains(&word.trim_end_matches(is_mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_between_words() {
        #[track_caller]
        fn check(text: &str, indent: usize, expected: &str) {
            assert_eq!(wrapped(text, indent, 40), expected);
        }
        let long = "x".repeat(50);
        check(&format!("a {long} b"), 2, &format!("a\n  {long}\n  b"));
        check("", 4, "");
        let long = "x".repeat(35);
        check(
            &format!("{long} 43 ms, (± 5 %)."),
            0,
            &format!("{long}\n43 ms, (± 5 %)."),
        );
    }
}
