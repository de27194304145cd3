//! One response, many times over.

/// How many bytes of responses are laid out in a row; a longer response stands alone.
const ROW_BYTES: usize = 256 * 1024;

/// How many responses are laid out in a row at most.
const ROW_RESPONSES: usize = 64;

/// A response and its copies in a row, so that one send can carry many of them.
#[derive(Debug)]
pub(super) struct Replies {
    row: Vec<u8>,
    response_bytes: usize,
}

/// What a connection is still owed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Debt {
    bytes: usize,
}

impl Replies {
    pub(super) fn new(response: &[u8]) -> Self {
        let fit = ROW_BYTES / response.len().max(1);
        Self {
            row: response.repeat(fit.clamp(1, ROW_RESPONSES)),
            response_bytes: response.len(),
        }
    }

    /// The debt after so many more requests.
    pub(super) fn owe(&self, debt: &mut Debt, requests: usize) {
        debt.bytes += requests * self.response_bytes;
    }

    /// What to send next, `None` where nothing is owed.
    pub(super) fn next(&self, debt: Debt) -> Option<&[u8]> {
        if debt.bytes == 0 {
            return None;
        }
        // A debt always ends with a whole response, which tells how much of the first has left.
        let first = match debt.bytes % self.response_bytes {
            0 => 0,
            left => self.response_bytes - left,
        };
        let last = self.row.len().min(first.saturating_add(debt.bytes));
        Some(&self.row[first..last])
    }
}

impl Debt {
    /// The debt after so many bytes have left.
    pub(super) fn pay(&mut self, sent_bytes: usize) {
        self.bytes = self.bytes.saturating_sub(sent_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_in_parts_is_whole_responses() {
        let check = |response_bytes: usize, requests: usize, part_bytes: usize| {
            let response: Vec<u8> = (0..=255).cycle().take(response_bytes).collect();
            let replies = Replies::new(&response);
            let mut debt = Debt::default();
            replies.owe(&mut debt, requests);
            let mut sent = Vec::new();
            while let Some(next) = replies.next(debt) {
                let part = &next[..next.len().min(part_bytes)];
                sent.extend_from_slice(part);
                debt.pay(part.len());
            }
            assert!(sent == response.repeat(requests), "{response_bytes} bytes");
        };
        check(1, 1, 1);
        check(300, 16, usize::MAX);
        check(300, 1000, usize::MAX);
        check(300, 7, 299);
        check(300, 7, 301);
        check(ROW_BYTES + 1, 3, 100_000);
    }

    #[test]
    fn sixteen_short_responses_are_one_send() {
        let replies = Replies::new(&[b'r'; 1300]);
        let mut debt = Debt::default();
        assert_eq!(replies.next(debt), None);
        replies.owe(&mut debt, 16);
        assert_eq!(replies.next(debt).map(<[u8]>::len), Some(16 * 1300));
    }
}
