//! What servers say.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use super::Input;
use crate::folder_map::FolderMap;
use crate::folder_map::listing::{Namespace, Presence, parse_list, parse_namespaces};
use crate::folder_map::mailbox::{MailboxEncoding, quoted};
use crate::folder_map::namespace::ServerFolders;
use crate::imap::capability::Capabilities;
use crate::imap::fetch::Fetched;
use crate::imap::response::{Data, Response, Responses, Status};
use crate::imap::throttle::Setback;
use crate::imap::uid_set::UidSet;
use crate::mail::FolderPath;
use crate::prepare::head::HEAD_BYTES_MAX;
use crate::run::folder::PermittedFlags;

/// Any bytes are the same responses in whatever pieces they come, even where whoever waits for
/// them gives up at each, and everything that reads responses bears them.
pub fn responses(data: &[u8]) {
    let mut input = Input(data);
    let sizes = input.sizes();
    let stream = input.0;
    let (whole, end) = responses_of(Pieces::new(stream, &[usize::MAX]));
    assert!(whole.len() <= stream.len());
    for sizes in [&sizes[..], &[1]] {
        let (cut, cut_end) = responses_of(Pieces::new(stream, sizes));
        assert_eq!((cut, cut_end), (whole.clone(), end.clone()));
    }
    let mut folders = ServerFolders::new(MailboxEncoding::ModifiedUtf7);
    for response in whole {
        match response {
            Response::Continue(text) => assert_printable(&text),
            Response::Untagged(status) | Response::Tagged(_, status) => bears_status(&status),
            Response::Data(data) => bears_data(data, &mut folders),
        }
    }
    can_be_named(folders);
}

/// All responses, and why there are no more.
fn responses_of(pieces: Pieces<'_>) -> (Vec<Response>, String) {
    let mut responses = Responses::new(pieces);
    let mut all = Vec::new();
    loop {
        match responses.next().now_or_never() {
            Some(Ok(response)) => all.push(response),
            Some(Err(error)) => return (all, error.to_string()),
            // It was dropped while it waited for the next piece.
            None => {}
        }
    }
}

fn bears_status(status: &Status) {
    assert_printable(&status.reason());
    let _ = Setback::of(status);
    if let Some(capabilities) = status.capabilities() {
        let _ = Capabilities::parse(capabilities).append();
    }
    if let Some(code) = &status.code {
        let _ = PermittedFlags::parse(code);
        if let Some((_, uids)) = UidSet::of_append(code) {
            check_uids(&uids);
        }
    }
}

fn bears_data(data: Data, folders: &mut ServerFolders) {
    assert_printable(&data.text);
    assert!(
        data.literals
            .iter()
            .all(|literal| literal.head.len() <= HEAD_BYTES_MAX)
    );
    let literals: Vec<_> = data
        .literals
        .iter()
        .map(|literal| literal.head.clone())
        .collect();
    folders.absorb(&data.text, &literals);
    if let Some(fetched) = Fetched::parse(data) {
        assert_ne!(fetched.uid, 0);
    }
}

fn assert_printable(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// Whatever a server says of its folders, a command that names one is one line.
fn can_be_named(server: ServerFolders) {
    let Ok(map) = FolderMap::new(None, &[], server) else {
        return;
    };
    for levels in [
        &[][..],
        &["Sent"],
        &["a", "b\"\\\r\n"],
        &["[Gmail]", "Trash"],
    ] {
        let path = FolderPath(levels.iter().map(|&level| level.to_owned()).collect());
        if let Ok(folder) = map.resolve(&path) {
            assert!(
                folder.wire.len() >= 2
                    && folder.wire.starts_with('"')
                    && folder.wire.ends_with('"')
            );
            assert!(
                !folder.wire.contains(['\r', '\n', '\0']),
                "{:?}",
                folder.wire
            );
        }
    }
}

/// Mails that a server tells of are those that it has, whatever else it tells between.
pub fn fetch(data: &[u8]) {
    let mut input = Input(data);
    let order = input.byte();
    let uid = input.number().max(1);
    let text = input.0;
    let (head, body) = text.split_at(text.len() / 3);
    let note = String::from_utf8_lossy(head).replace(['\r', '\n', '\0', '"', '\\'], "");
    let mut items = [
        format!("UID {uid}").into_bytes(),
        format!("RFC822.SIZE {}", text.len()).into_bytes(),
        item("BODY[HEADER.FIELDS (MESSAGE-ID \"DATE\")]", head),
        item("BODY[]", body),
        item("X-NOTES (NIL (a \"b)\")", head),
        format!("X-NOTE \"{note}\" FLAGS (\\Seen $x)").into_bytes(),
    ];
    // The list is still open.
    items[4].push(b')');
    items.rotate_left(usize::from(order) % 6);
    items.swap(0, usize::from(order >> 4) % 6);
    let line = [b"* 7 FETCH (", &items.join(&b' ')[..], b")\r\n"].concat();
    let (all, _) = responses_of(Pieces::new(&line, &[usize::MAX]));
    let Some(Response::Data(data)) = all.into_iter().next() else {
        panic_on(&line);
    };
    let Some(fetched) = Fetched::parse(data) else {
        panic_on(&line);
    };
    assert_eq!((fetched.uid, fetched.size), (uid, Some(text.len() as u64)));
    assert_eq!(fetched.header.as_deref(), Some(head));
    let digest = fetched.text.map(|text| text.digest);
    assert_eq!(digest, Some(*blake3::hash(body).as_bytes()));

    // Anything at all between the parentheses.
    let line = [b"* 7 FETCH (UID 5 ", text, b")\r\n"].concat();
    for response in responses_of(Pieces::new(&line, &[usize::MAX])).0 {
        if let Response::Data(data) = response {
            let _ = Fetched::parse(data);
        }
    }
}

fn item(name: &str, literal: &[u8]) -> Vec<u8> {
    [
        format!("{name} {{{}}}\r\n", literal.len()).as_bytes(),
        literal,
    ]
    .concat()
}

#[expect(clippy::panic, reason = "that is how a fuzzer learns of it")]
fn panic_on(line: &[u8]) -> ! {
    panic!("not understood: {}", line.escape_ascii());
}

/// LIST and NAMESPACE: any text is read or not, and names come back as they were told.
pub fn listing(data: &[u8]) {
    let mut input = Input(data);
    let form = input.byte();
    let text = String::from_utf8_lossy(input.0).replace(char::is_control, "?");
    let literals: Vec<_> = input
        .0
        .split(|&byte| byte == b'{')
        .map(<[u8]>::to_vec)
        .collect();
    let mut folders = ServerFolders::new(match form & 1 {
        0 => MailboxEncoding::ModifiedUtf7,
        _ => MailboxEncoding::Utf8,
    });
    for word in ["", "LIST ", "XLIST (\\Noselect) ", "NAMESPACE "] {
        folders.absorb(&format!("{word}{text}"), &literals);
    }
    can_be_named(folders);

    let attributes = ["", "\\Noselect", "\\HasChildren \\nonexistent \\Noselect"];
    let attributes = attributes[usize::from(form >> 1) % attributes.len()];
    let delimiter = (form & 0x40 == 0).then_some(if form & 0x20 == 0 { '/' } else { '"' });
    let shown = delimiter.map_or("NIL".to_owned(), |char| quoted(&char.to_string()));
    let (name, literals) = match form & 0x80 {
        0 => (quoted(&text), vec![]),
        _ => (
            format!("{{{}}}", text.len()),
            vec![text.clone().into_bytes()],
        ),
    };
    let line = format!("LIST ({attributes}) {shown} {name} (\"CHILDINFO\" (\"SUBSCRIBED\"))");
    let listed = parse_list(&line, &literals);
    let presence = match attributes {
        "" => Presence::Exists,
        "\\Noselect" => Presence::Noselect,
        _ => Presence::Missing,
    };
    let found = listed.map(|listed| (listed.name, listed.delimiter, listed.presence));
    assert_eq!(found, Some((text.clone(), delimiter, presence)), "{line}");

    let line = format!("NAMESPACE (({name} {shown} \"X-A\" (\"b)\"))) NIL ((\"~\" {shown}))");
    let own = parse_namespaces(&line, &literals).map(|spaces| spaces.personal);
    let expected = Namespace {
        prefix: text,
        delimiter,
    };
    assert_eq!(own, Some(vec![expected]), "{line}");
}

/// Sets of UIDs: what is read is told the same, and is all digits, colons and commas.
pub fn uid_set(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(uids) = UidSet::parse(&text) {
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_digit() || b":,".contains(&byte))
        );
        check_uids(&uids);
        let told = UidSet::of_append(&format!("APPENDUID 7 {text}"));
        assert_eq!(told, Some((7, uids)));
    }
    let _ = UidSet::of_append(&text);
    let uids: Vec<_> = data
        .chunks(4)
        .map(|mut bytes| Input(std::mem::take(&mut bytes)).number().max(1))
        .collect();
    let set: UidSet = uids.iter().copied().collect();
    assert_eq!(set.count(), uids.len() as u64);
    assert_eq!(set.highest(), uids.iter().copied().max());
    assert!(uids.iter().all(|&uid| set.contains(uid)));
    if !uids.is_empty() {
        check_uids(&set);
    }
}

fn check_uids(uids: &UidSet) {
    assert_eq!(UidSet::parse(&uids.to_string()).as_ref(), Some(uids));
    assert!(!uids.contains(0) && uids.count() > 0);
    assert!(uids.highest().is_some_and(|highest| uids.contains(highest)));
}

/// A connection that gives its bytes in pieces of these lengths, and has none ready before each.
struct Pieces<'d> {
    rest: &'d [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'d, usize>>,
    /// How much of the rest has come in.
    here: usize,
}

impl<'d> Pieces<'d> {
    fn new(data: &'d [u8], sizes: &'d [usize]) -> Self {
        Self {
            rest: data,
            sizes: sizes.iter().cycle(),
            here: 0,
        }
    }
}

impl AsyncBufRead for Pieces<'_> {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.here == 0 && !this.rest.is_empty() {
            let size = this.sizes.next().copied().unwrap_or(usize::MAX);
            this.here = size.min(this.rest.len());
            return Poll::Pending;
        }
        Poll::Ready(Ok(&this.rest[..this.here]))
    }

    fn consume(mut self: Pin<&mut Self>, bytes: usize) {
        self.rest = &self.rest[bytes..];
        self.here -= bytes;
    }
}

/// Asked for by [`AsyncBufRead`]; nothing reads so.
impl AsyncRead for Pieces<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
