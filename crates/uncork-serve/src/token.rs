//! Which connection is meant: its place, and which of those that were there.

/// Names a connection of one worker. A place is used again after its connection has ended; what still
/// comes for the earlier one does not meet the later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Token(u64);

/// Generations come again after this many: the highest bits tell tokens from other events.
const GENERATIONS: u64 = 1 << 31;

impl Token {
    /// The `generation`-th connection, at a place.
    pub(crate) fn new(place: usize, generation: u64) -> Self {
        Self((generation % GENERATIONS) << 32 | (place as u64 & u64::from(u32::MAX)))
    }

    /// From the data of an event, unless that is another event's.
    pub(crate) fn of_event(data: u64) -> Option<Self> {
        (data < GENERATIONS << 32).then_some(Self(data))
    }

    /// The data of its events.
    pub(crate) fn event(self) -> u64 {
        self.0
    }

    /// Its place.
    pub(crate) fn place(self) -> usize {
        usize::try_from(self.0 & u64::from(u32::MAX)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_used_again_has_another_token() {
        let first = Token::new(7, 1);
        let second = Token::new(7, 2);
        assert_ne!(first, second);
        assert_eq!((first.place(), second.place()), (7, 7));
        assert_eq!(Token::of_event(first.event()), Some(first));
        let late = Token::new(7, u64::MAX);
        assert_eq!(Token::of_event(late.event()), Some(late));
        assert_eq!(Token::of_event(u64::MAX), None);
        assert_eq!(Token::of_event(u64::MAX - 1000), None);
    }
}
