//! The texts of mails, and the dates in them.

use jiff::Timestamp;
use memchr::{memchr2, memmem};

use super::{Input, pieces};
use crate::mail::Text;
use crate::prepare::date::{internal_date, parse};
use crate::prepare::draft::{Body, Draft};
use crate::prepare::normalise::Normaliser;

/// Any bytes become what an IMAP literal can carry, in whatever pieces they come, and stay so.
pub fn normalise(data: &[u8]) {
    let mut input = Input(data);
    let keeps_nul = input.byte() % 2 == 1;
    let sizes = input.sizes();
    let text = input.0;
    let (whole, by_whole) = normalised(text, keeps_nul, &[usize::MAX]);
    let (cut, by_pieces) = normalised(text, keeps_nul, &sizes);
    assert_eq!(
        cut.escape_ascii().to_string(),
        whole.escape_ascii().to_string()
    );
    assert_eq!(by_pieces.repairs(), by_whole.repairs());
    assert_eq!(by_pieces.has_nul(), by_whole.has_nul());
    assert_eq!(by_whole.has_nul(), whole.contains(&0));
    assert!(keeps_nul || !whole.contains(&0));
    // A CR becomes a fold at most.
    assert!(whole.len() <= text.len() * b"\r\n ".len());
    assert_ends_are_crlf(&whole);
    let (again, by_second) = normalised(&whole, keeps_nul, &sizes);
    assert!(again == whole && by_second.repairs().is_empty());
    match (
        drafted(text, keeps_nul, &[usize::MAX]),
        drafted(text, keeps_nul, &sizes),
    ) {
        (Ok(whole), Ok(cut)) => {
            assert_eq!((cut.digest, cut.repairs), (whole.digest, whole.repairs));
            stays(&whole, keeps_nul);
        }
        (whole, cut) => assert_eq!(cut.err(), whole.err()),
    }
}

fn normalised(text: &[u8], keeps_nul: bool, sizes: &[usize]) -> (Vec<u8>, Normaliser) {
    let mut normaliser = Normaliser::new(keeps_nul);
    let mut out = Vec::new();
    for piece in pieces(text, sizes) {
        normaliser.push(piece, &mut out);
    }
    normaliser.finish(&mut out);
    (out, normaliser)
}

fn drafted(text: &[u8], keeps_nul: bool, sizes: &[usize]) -> Result<Body, String> {
    let mut draft = Draft::new(keeps_nul);
    pieces(text, sizes).for_each(|piece| draft.push(piece));
    draft.finish()
}

/// What is sent of a mail is what it says it is, and would be sent the same were it read back
/// and imported again: otherwise a second run would not know it.
fn stays(body: &Body, keeps_nul: bool) {
    let Text::Memory(text) = &body.text else {
        return;
    };
    assert_eq!(body.len, text.len() as u64);
    assert_eq!(body.digest, *blake3::hash(text).as_bytes());
    assert_eq!(body.has_nul, text.contains(&0));
    assert_ends_are_crlf(text);
    let again = drafted(text, keeps_nul, &[usize::MAX]);
    assert_eq!(again.map(|again| again.digest), Ok(body.digest));
}

fn assert_ends_are_crlf(text: &[u8]) {
    let mut rest = text;
    while let Some(at) = memchr2(b'\r', b'\n', rest) {
        assert!(rest[at..].starts_with(b"\r\n"), "{}", text.escape_ascii());
        rest = &rest[at + 2..];
    }
}

/// Dates of any form are read or not; what IMAP can say of one is read as the same.
pub fn date(data: &[u8]) {
    let parsed = parse(data);
    let by_number = Timestamp::from_second(i64::from(Input(data).number()));
    let far = Timestamp::from_second(i64::from(Input(data).number()) * 50);
    let known = parsed.into_iter().chain(by_number.ok()).chain(far.ok());
    for date in known.filter(|date| *date > Timestamp::UNIX_EPOCH) {
        let said = internal_date(date);
        assert_eq!(said.len(), "\"01-Feb-2003 04:05:06 +0000\"".len());
        let heard = parse(said.trim_matches('"').as_bytes());
        assert_eq!(
            heard.map(Timestamp::as_second),
            Some(date.as_second()),
            "{said}"
        );
    }
    // A comment says nothing.
    if parsed.is_some() && data.len() < 100 && memmem::find(data, b"(").is_none() {
        let commented = [b"(1 \\) (Feb) 2003) ", data].concat();
        assert_eq!(parse(&commented), parsed);
    }
}
