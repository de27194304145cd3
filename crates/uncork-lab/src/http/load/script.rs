//! The requests of a load, laid out so that any few in a row are one slice.

/// Requests that are sent over and over, one after the other.
#[derive(Debug)]
pub(super) struct Script {
    /// The requests, and behind the last one the first ones again, `depth - 1` of them.
    bytes: Vec<u8>,
    /// Where each of them starts in `bytes`, and the end of the last.
    starts: Vec<usize>,
    bodies: Vec<Body>,
}

/// Whether a body follows the head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Follows,
    /// The request was HEAD.
    Never,
}

impl Script {
    /// At most `depth` requests will be asked for at once.
    pub(super) fn new(requests: &[Vec<u8>], depth: usize) -> Self {
        let mut script = Self {
            bytes: Vec::new(),
            starts: vec![0],
            bodies: requests.iter().map(|request| Body::of(request)).collect(),
        };
        let laid_out = requests.len() + depth.saturating_sub(1);
        for request in requests.iter().cycle().take(laid_out) {
            script.bytes.extend_from_slice(request);
            script.starts.push(script.bytes.len());
        }
        script
    }

    /// How many different requests there are.
    pub(super) fn len(&self) -> usize {
        self.bodies.len()
    }

    /// `count` requests from the one at `first` on.
    pub(super) fn batch(&self, first: usize, count: usize) -> &[u8] {
        &self.bytes[self.starts[first]..self.starts[first + count]]
    }

    /// The index of the request that comes `count` behind `first`.
    pub(super) fn behind(&self, first: usize, count: usize) -> usize {
        (first + count) % self.len()
    }

    pub(super) fn body(&self, index: usize) -> Body {
        self.bodies[index]
    }
}

impl Body {
    fn of(request: &[u8]) -> Self {
        if request.starts_with(b"HEAD ") {
            Self::Never
        } else {
            Self::Follows
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_goes_over_the_end() {
        let check = |depth: usize, first: usize, count: usize, expected: &str| {
            let requests = ["a", "bb", "ccc"].map(|request| request.as_bytes().to_vec());
            let script = Script::new(&requests, depth);
            assert_eq!(script.batch(first, count), expected.as_bytes());
        };
        check(1, 2, 1, "ccc");
        check(2, 2, 2, "ccca");
        check(8, 1, 8, "bbcccabbcccabbccc");
        check(8, 0, 0, "");
    }

    #[test]
    fn only_head_has_no_body() {
        let script = Script::new(&[b"HEAD / HTTP/1.1".to_vec(), b"GET /HEAD ".to_vec()], 1);
        assert_eq!([0, 1].map(|n| script.body(n)), [Body::Never, Body::Follows]);
    }
}
