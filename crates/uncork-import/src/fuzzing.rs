//! What the fuzz targets in `fuzz/` run: one function for each parser, which takes any bytes and
//! panics where something does not hold that must. No part of the interface.
//!
//! The first bytes of an input choose how the rest of it is cut and read, so that a fuzzer can
//! change the one without the other.

mod answers;
mod names;
mod texts;

pub use answers::{fetch, listing, responses, uid_set};
pub(crate) use names::is_flag;
pub use names::{labels, utf7};
pub use texts::{date, normalise};

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets by their names, which are also those of the folders with their seeds.
pub const TARGETS: [(&str, Target); 10] = [
    ("date", date),
    ("fetch", fetch),
    ("labels", labels),
    ("listing", listing),
    ("maildir", maildir),
    ("mbox", mbox),
    ("normalise", normalise),
    ("responses", responses),
    ("uid_set", uid_set),
    ("utf7", utf7),
];

/// Mboxes: any bytes are split with each of them accounted for, and mails that were joined are
/// the same when they are split.
pub fn mbox(data: &[u8]) {
    let mut input = Input(data);
    crate::source::mbox::fuzzing::any_bytes(input);
    input.byte();
    crate::source::mbox::fuzzing::joined_and_split(input);
}

/// What a Maildir, or another tree, says by its names.
pub fn maildir(data: &[u8]) {
    crate::source::fuzzing::names(Input(data));
}

/// An input, taken from its front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'d>(pub(crate) &'d [u8]);

impl<'d> Input<'d> {
    /// The next byte; 0 where there is none.
    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    /// The next four bytes as a number.
    pub(crate) fn number(&mut self) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Lengths of pieces: short ones, which cut where it hurts, and longer ones.
    pub(crate) fn sizes(&mut self) -> [usize; 3] {
        let mut size = || match usize::from(self.byte()) {
            short @ 0..200 => short % 20 + 1,
            long => (long - 199) * 40,
        };
        [size(), size(), size()]
    }
}

/// Cuts bytes into pieces of these lengths, over and over.
pub(crate) fn pieces<'d>(data: &'d [u8], sizes: &[usize]) -> impl Iterator<Item = &'d [u8]> {
    let mut rest = data;
    sizes.iter().cycle().map_while(move |&size| {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seeds, and with them each input that once broke a target.
    #[test]
    fn all_targets_hold_for_their_seeds() {
        uncork_lab::seeds::try_all(&TARGETS);
    }

    #[test]
    fn pieces_are_the_whole() {
        let data: Vec<_> = (0..100).collect();
        let mut input = Input(&[0, 19, 255]);
        let sizes = input.sizes();
        assert_eq!(sizes, [1, 20, 2240]);
        let lens: Vec<_> = pieces(&data, &sizes).map(<[u8]>::len).collect();
        assert_eq!(lens, [1, 20, 79]);
        assert_eq!(pieces(&data, &sizes).collect::<Vec<_>>().concat(), data);
    }
}
