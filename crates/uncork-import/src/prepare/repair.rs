//! What is done to a mail so that IMAP can carry it.

use std::fmt;

/// One thing that had to be done to a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Repair {
    /// Line ends that were LF became CRLF. Unix keeps mail so, hence nothing was wrong.
    BareLf,
    /// CRs with no LF behind them, or several before one, became CRLF.
    BareCr,
    /// NUL bytes were replaced, because the server has no BINARY.
    Nul,
    /// A byte order mark before the header was removed.
    ByteOrderMark,
    /// The line of an mbox (`From `) before the header was removed.
    LeadingFromLine,
    /// Empty lines before the header were removed.
    LeadingBlankLines,
    /// It began with text: an empty line before it makes it a body.
    NoHeader,
    /// It had dates, but none that can be its INTERNALDATE.
    DateOutOfRange,
}

impl Repair {
    /// All of them, in the order in which a report lists them.
    pub const ALL: [Self; 8] = [
        Self::BareLf,
        Self::BareCr,
        Self::Nul,
        Self::ByteOrderMark,
        Self::LeadingFromLine,
        Self::LeadingBlankLines,
        Self::NoHeader,
        Self::DateOutOfRange,
    ];

    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BareLf => "bare_lf",
            Self::BareCr => "bare_cr",
            Self::Nul => "nul",
            Self::ByteOrderMark => "byte_order_mark",
            Self::LeadingFromLine => "leading_from_line",
            Self::LeadingBlankLines => "leading_blank_lines",
            Self::NoHeader => "no_header",
            Self::DateOutOfRange => "date_out_of_range",
        }
    }

    /// What was done, for people.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::BareLf => "line ends LF made CRLF",
            Self::BareCr => "stray CRs made line ends",
            Self::Nul => "NUL bytes replaced by 0x80",
            Self::ByteOrderMark => "byte order mark before the header removed",
            Self::LeadingFromLine => "mbox line (From ) before the header removed",
            Self::LeadingBlankLines => "empty lines before the header removed",
            Self::NoHeader => "no header: the text made the body of a mail without one",
            Self::DateOutOfRange => "no usable date: the server takes the time of the import",
        }
    }

    /// Whether it is no sign of damage: worth a count, but neither a line for each mail, nor a
    /// copy of the original, nor a refusal where repairs are not wanted.
    #[must_use]
    pub fn is_routine(self) -> bool {
        matches!(self, Self::BareLf)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What was done to one mail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Repairs(u8);

impl Repairs {
    /// Adds one.
    pub(crate) fn insert(&mut self, repair: Repair) {
        self.0 |= repair.bit();
    }

    /// Adds all of the others.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Whether it is among them.
    #[must_use]
    pub(crate) fn contains(self, repair: Repair) -> bool {
        self.0 & repair.bit() != 0
    }

    /// Whether nothing was done.
    #[must_use]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that a person wants to know of mail by mail.
    #[must_use]
    pub(crate) fn notable(self) -> Self {
        self.iter().filter(|repair| !repair.is_routine()).fold(
            Self::default(),
            |mut notable, repair| {
                notable.insert(repair);
                notable
            },
        )
    }

    /// One after the other, in the order of [`Repair::ALL`].
    pub(crate) fn iter(self) -> impl Iterator<Item = Repair> {
        Repair::ALL
            .into_iter()
            .filter(move |&repair| self.contains(repair))
    }
}

/// As a person reads it: the phrases, with semicolons between.
impl fmt::Display for Repairs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, repair) in self.iter().enumerate() {
            if index > 0 {
                formatter.write_str("; ")?;
            }
            formatter.write_str(repair.phrase())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        for repair in Repair::ALL {
            let mut repairs = Repairs::default();
            assert!(repairs.is_empty());
            repairs.insert(repair);
            repairs.insert(repair);
            assert_eq!(repairs.iter().collect::<Vec<_>>(), [repair]);
            assert_eq!(repairs.notable().is_empty(), repair == Repair::BareLf);
            assert_eq!(repairs.to_string(), repair.phrase());
        }
    }

    #[test]
    fn what_a_person_reads() {
        let mut repairs = Repairs::default();
        repairs.insert(Repair::Nul);
        repairs.insert(Repair::BareLf);
        let both = "line ends LF made CRLF; NUL bytes replaced by 0x80";
        assert_eq!(repairs.to_string(), both);
        assert_eq!(repairs.notable().to_string(), Repair::Nul.phrase());
    }
}
