//! Cuts an mbox into mails: bytes in, events out, no matter how the input comes in pieces.

use jiff::Timestamp;
use memchr::memmem::Finder;

use super::envelope::{
    BYTE_ORDER_MARK, Before, Envelope, Follows, JUDGED_BYTES, empty_line_bytes, envelope,
    first_envelope, follows,
};
use super::header::{HEADER_BYTES_MAX, content_length, header_end};
use super::style::{Lengths, Style};

/// How much is read at once: little enough to stay in a CPU's cache until it is searched.
pub(super) const READ_BYTES: usize = 256 * 1024;
/// Most text that is held back until it is known whether a Content-Length is right. Where a
/// `From ` line that could begin a mail stands further than this before the promised end of its
/// mail, it does begin one: then the mail with a whole mbox of such a size in it, unquoted,
/// comes as several, but no mail with a wrong length can swallow others.
pub(super) const HELD_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// What stays back of a text of which more may come: an empty line and the start of a quoted
/// `From `, `\r\n>From`.
const TAIL_BYTES: usize = 8;
/// What is kept of the bytes before: enough to see that a line is empty, `\n\r\n`.
const CONTEXT_BYTES: usize = 3;

/// What the splitter found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// A mail begins with the `From ` line at this offset.
    Begin {
        offset: u64,
        received: Option<Timestamp>,
    },
    /// The next piece of its text, unquoted.
    Text(&'a [u8]),
    /// The mail is whole.
    End,
    /// Text before the first `From ` line, which belongs to no mail.
    Stray { offset: u64, bytes: u64 },
    /// Nothing more until there is more input: see [`Splitter::space`].
    More,
    /// The input has ended, and so has its last mail.
    Over,
}

/// The state of the cut.
pub(super) struct Splitter {
    style: Style,
    from: Finder<'static>,
    /// What was read and not yet handed out, `start..end`, and [`CONTEXT_BYTES`] before it.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Up to here there is no `From ` that has not been dealt with.
    searched: usize,
    /// Where in the input the buffer begins.
    offset: u64,
    /// Whether the input has ended.
    is_whole: bool,
    state: State,
    promise: Promise,
    /// The `>` that were handed out of a line that has nothing else so far.
    quotes: Option<u64>,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum State {
    /// The start of the input, with blank lines perhaps.
    Start,
    /// Text of no mail, from this offset on.
    Stray(u64),
    /// The `From ` line of a mail.
    Envelope(Envelope),
    /// The header of a mail, which may hold its length.
    Header,
    Text,
    /// The end of a mail, of which all text is out, and after it so many bytes of no mail.
    End(usize, Follows),
    Over,
}

/// Where a mail ends by its Content-Length, as an offset in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    None,
    /// It can't be known yet whether that is so; nothing beyond is touched before.
    Unchecked(u64),
    /// It is: these many bytes that belong to no mail follow, and then that.
    Kept(u64, usize, Follows),
}

/// What the search for `From ` comes to.
enum Search {
    /// All is text up to this place; what follows can't be judged yet.
    Text(usize),
    /// Here a `>` quotes a `From `.
    Quote(usize),
    /// The text ends here; then come so many bytes that belong to no mail.
    End(usize, usize, Follows),
}

impl Splitter {
    pub(super) fn new() -> Self {
        Self {
            style: Style::default(),
            from: Finder::new(b"From "),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            searched: 0,
            offset: 0,
            is_whole: false,
            state: State::Start,
            promise: Promise::None,
            quotes: None,
        }
    }

    /// Where the next input is to be put; [`filled`](Self::filled) says how much was.
    pub(super) fn space(&mut self) -> &mut [u8] {
        let is_full = self.buffer.len() - self.end < READ_BYTES;
        let gone = self.start.saturating_sub(CONTEXT_BYTES);
        // Moved only where enough has gone, so that what is held back is not moved at each read.
        if is_full && gone > (self.end - gone) / 2 {
            self.buffer.copy_within(gone..self.end, 0);
            self.offset += gone as u64;
            self.start -= gone;
            self.end -= gone;
            self.searched = self.searched.max(self.start + gone) - gone;
        }
        if self.buffer.len() - self.end < READ_BYTES {
            self.buffer.resize(self.end + READ_BYTES, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes were put into the space; none means that the input has ended.
    pub(super) fn filled(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.buffer.len());
        self.is_whole |= bytes == 0;
    }

    /// What has been read and not handed out.
    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// How the mbox is written; to be set before the first event is taken.
    pub(super) fn set_style(&mut self, style: Style) {
        self.style = style;
    }

    /// The next event.
    pub(super) fn next(&mut self) -> Event<'_> {
        loop {
            match self.state {
                State::Start => {
                    if !self.skip_blank() {
                        return Event::More;
                    }
                }
                State::Stray(from) => match self.search() {
                    Search::Text(end) => {
                        self.pass(end);
                        return Event::More;
                    }
                    Search::Quote(at) => self.pass(at),
                    Search::End(end, separator_bytes, follows) => {
                        self.start = end + separator_bytes;
                        self.state = follows.into();
                        return Event::Stray {
                            offset: from,
                            bytes: self.position(end) - from,
                        };
                    }
                },
                State::Envelope(envelope) => return self.begin(envelope),
                State::Header => {
                    if !self.read_promise() {
                        return Event::More;
                    }
                    self.state = State::Text;
                }
                State::Text => match self.search() {
                    Search::Text(end) if end > self.start => return self.hand_out(end, 0),
                    Search::Text(_) => return Event::More,
                    Search::Quote(at) if at > self.start => return self.hand_out(at, 1),
                    Search::Quote(at) => self.start = at + 1,
                    Search::End(end, separator_bytes, follows) => {
                        self.state = State::End(separator_bytes, follows);
                        if end > self.start {
                            return self.hand_out(end, 0);
                        }
                    }
                },
                State::End(separator_bytes, follows) => {
                    self.start += separator_bytes;
                    self.state = follows.into();
                    return Event::End;
                }
                State::Over => return Event::Over,
            }
        }
    }

    /// Skips what may stand before the first `From ` line: a byte order mark, blank lines. False
    /// where there is not enough yet to see what follows.
    fn skip_blank(&mut self) -> bool {
        if self.position(self.start) == 0 && self.unread().starts_with(BYTE_ORDER_MARK) {
            self.start += BYTE_ORDER_MARK.len();
        }
        let rest = self.unread().trim_ascii_start();
        let (blank_bytes, rest_bytes) = (self.unread().len() - rest.len(), rest.len());
        if rest_bytes < JUDGED_BYTES && !self.is_whole {
            // A mark that is cut in two must not be taken for text, nor skipped blanks for it.
            if rest_bytes == 0 && blank_bytes > 0 {
                self.start += blank_bytes;
            }
            return false;
        }
        self.state = match first_envelope(rest) {
            _ if rest.is_empty() => State::Over,
            Some(envelope) => State::Envelope(envelope),
            None => State::Stray(self.position(self.start + blank_bytes)),
        };
        self.start += blank_bytes;
        self.searched = self.start;
        true
    }

    fn begin(&mut self, envelope: Envelope) -> Event<'_> {
        let offset = self.position(self.start);
        self.start += envelope.line_bytes;
        self.searched = self.start;
        self.quotes = Some(0);
        self.promise = Promise::None;
        self.state = match self.style.lengths {
            Lengths::Checked => State::Header,
            Lengths::Ignored => State::Text,
        };
        Event::Begin {
            offset,
            received: envelope.received,
        }
    }

    /// Reads the Content-Length of the mail that begins here. False where the header is not all
    /// there yet.
    fn read_promise(&mut self) -> bool {
        let text = self.unread();
        let head = &text[..text.len().min(HEADER_BYTES_MAX)];
        let Some(header_bytes) = header_end(head, 0) else {
            return self.is_whole || head.len() == HEADER_BYTES_MAX;
        };
        let end = content_length(&head[..header_bytes])
            .and_then(|bytes| self.position(self.start + header_bytes).checked_add(bytes));
        self.promise = end.map_or(Promise::None, Promise::Unchecked);
        true
    }

    /// Hands out the text up to `end`, and passes over `skipped` bytes after it.
    fn hand_out(&mut self, end: usize, skipped: usize) -> Event<'_> {
        let start = self.start;
        self.pass(end);
        self.start += skipped;
        Event::Text(&self.buffer[start..end])
    }

    /// Passes over text up to `end`.
    fn pass(&mut self, end: usize) {
        self.quotes = self.quotes_before(end);
        self.start = end;
    }

    /// Looks for the next `From ` that means something.
    fn search(&mut self) -> Search {
        self.check_promise();
        let (stop, is_end) = match self.promise {
            Promise::None => (self.end, self.is_whole),
            Promise::Unchecked(end) => (self.index(end), false),
            Promise::Kept(end, ..) => {
                let stop = self.index(end);
                (stop, self.position(stop) == end)
            }
        };
        self.searched = self.searched.clamp(self.start.min(stop), stop);
        while let Some(found) = self.from.find(&self.buffer[self.searched..stop]) {
            let at = self.searched + found;
            self.searched = at;
            match self.quotes_before(at) {
                Some(0) => {
                    if let Some(search) = self.judge(at) {
                        return search;
                    }
                }
                Some(quotes) if self.style.unquote.applies(quotes) => {
                    self.searched = at + b"From ".len();
                    return Search::Quote(at - 1);
                }
                _ => {}
            }
            self.searched = at + b"From ".len();
        }
        // The start of a `From ` may be at the very end.
        self.searched = self.searched.max(stop.saturating_sub(b"From".len()));
        if !is_end {
            // Not up to the end by an unchecked length either: that may be in a `From ` line.
            return Search::Text(stop.saturating_sub(TAIL_BYTES).max(self.start));
        }
        if let Promise::Kept(_, separator_bytes, follows) = self.promise {
            return Search::End(stop, separator_bytes, follows);
        }
        let text_end = (stop - self.empty_line_before(stop)).max(self.start);
        Search::End(text_end, stop - text_end, Follows::Nothing)
    }

    /// Judges the line that begins with the `From ` at `at`. `None`: it is text.
    fn judge(&mut self, at: usize) -> Option<Search> {
        if let Promise::Kept(..) = self.promise {
            return None;
        }
        let empty_line_bytes = self.empty_line_before(at);
        let text_end = (at - empty_line_bytes).max(self.start);
        if self.end - at < JUDGED_BYTES && !self.is_whole {
            return Some(Search::Text(text_end));
        }
        let before = match empty_line_bytes {
            0 => Before::Text,
            _ => Before::EmptyLine,
        };
        let envelope = envelope(&self.buffer[at..self.end], before, self.style.separation)?;
        if let Promise::Unchecked(end) = self.promise
            && end.saturating_sub(self.position(at)) <= HELD_BYTES_MAX
        {
            return Some(Search::Text(text_end));
        }
        Some(Search::End(
            text_end,
            at - text_end,
            Follows::Mail(envelope),
        ))
    }

    /// Finds out whether the Content-Length is right, as soon as that can be known.
    fn check_promise(&mut self) {
        let Promise::Unchecked(end) = self.promise else {
            return;
        };
        let at = self.index(end);
        let is_seen = self.position(at) == end;
        if self.is_whole || (is_seen && self.end - at >= JUDGED_BYTES + b"\r\n".len()) {
            let input = &self.buffer[..self.end];
            self.promise = match follows(input, at).filter(|_| is_seen) {
                Some((separator_bytes, follows)) => Promise::Kept(end, separator_bytes, follows),
                None => Promise::None,
            };
        }
    }

    /// How many `>` stand between the start of a line and `at`; `None` where there is anything
    /// else.
    fn quotes_before(&self, at: usize) -> Option<u64> {
        let text = &self.buffer[self.start..at];
        let quotes = text.iter().rev().take_while(|&&byte| byte == b'>').count();
        match text.len().checked_sub(quotes + 1).map(|at| text[at]) {
            Some(b'\n') => Some(quotes as u64),
            Some(_) => None,
            None => self.quotes.map(|before| before + quotes as u64),
        }
    }

    /// The length of the empty line that ends at `at`; 0 if there is none.
    fn empty_line_before(&self, at: usize) -> usize {
        empty_line_bytes(&self.buffer[..at])
    }

    /// The offset in the input of a place in the buffer.
    fn position(&self, at: usize) -> u64 {
        self.offset + at as u64
    }

    /// The place in the buffer of an offset in the input; the buffer's end where it is beyond.
    fn index(&self, position: u64) -> usize {
        let at = usize::try_from(position.saturating_sub(self.offset));
        at.map_or(self.end, |at| at.min(self.end))
    }
}

impl From<Follows> for State {
    fn from(follows: Follows) -> Self {
        match follows {
            Follows::Mail(envelope) => Self::Envelope(envelope),
            Follows::Nothing => Self::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes what there is of `chunk`, repeated, and gives the largest that the buffer grew.
    fn buffer_bytes_max(style: Style, first: &str, chunk: &str, chunks: usize) -> usize {
        let mut splitter = Splitter::new();
        splitter.set_style(style);
        let mut input = std::iter::once(first).chain(std::iter::repeat_n(chunk, chunks));
        let mut max = 0;
        loop {
            match splitter.next() {
                Event::More => {
                    let next = input.next().unwrap_or_default().as_bytes();
                    splitter.space()[..next.len()].copy_from_slice(next);
                    splitter.filled(next.len());
                    max = max.max(splitter.buffer.len());
                }
                Event::Over => return max,
                _ => {}
            }
        }
    }

    #[test]
    fn memory_is_bounded() {
        let envelope = "From ada Thu Feb  1 04:05:06 2001\n";
        let text = "x".repeat(READ_BYTES);
        // A mail of one line, and one of nothing but quotes.
        for chunk in [text.clone(), text.replace('x', ">")] {
            let max = buffer_bytes_max(Style::default(), envelope, &chunk, 100);
            assert!(max <= 3 * READ_BYTES, "{max}");
        }
        // Lengths that are all wrong, so that each mail is held back as long as may be.
        let held = usize::try_from(HELD_BYTES_MAX).unwrap();
        let mail = format!("{envelope}Content-Length: {}\n\n", held - 10_000);
        let mails = format!("{mail}{}\n\n", "y".repeat(10_000)).repeat(20);
        let style = Style {
            lengths: Lengths::Checked,
            ..Style::default()
        };
        let max = buffer_bytes_max(style, &mails, &mails, 3 * held / mails.len());
        assert!(held < max && max <= 2 * held, "{max}");
    }
}
