//! The header of a mail: who, when, on which way, about what.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::coding::{Charset, WordEncoding, encoded_words};
use super::dice::Dice;
use super::words::{DOMAINS, MAIL_PROGRAMS, PEOPLE, RELAYS, sentence};

/// Where lines are folded, RFC 5322 section 2.1.1.
const FOLD_COLUMNS: usize = 78;

/// Below this size a mail gets only the fields that it must have.
const TERSE_BELOW_BYTES: usize = 1_500;

/// What the header of one mail is made from.
#[derive(Debug)]
pub(super) struct Occasion<'o> {
    pub(super) ordinal: u64,
    pub(super) internal_date: Timestamp,
    /// The size that the whole mail is to have.
    pub(super) mail_bytes: usize,
    /// Message-IDs of the mails before this one, the latest last.
    pub(super) thread: &'o [String],
}

/// Appends all fields but those about the content, and gives back the Message-ID.
pub(super) fn write(dice: &mut Dice, occasion: &Occasion<'_>, out: &mut Vec<u8>) -> String {
    let sender = Person::draw(dice);
    let receiver = Person::draw(dice);
    let is_terse = occasion.mail_bytes < TERSE_BELOW_BYTES;
    let zone = dice.pick(&[0, 0, 1, 2, -5, -8, 9]);
    let zone = TimeZone::fixed(Offset::constant(zone));

    field(out, "Return-Path", &format!("<{}>", sender.address));
    if !is_terse && dice.one_in(3) {
        field(out, "Delivered-To", &receiver.address);
    }
    let hops = if is_terse { 1 } else { dice.between(2, 5) };
    for hop in 0..hops {
        received(dice, out, &receiver, &occasion.internal_date, &zone, hop);
    }
    if !is_terse && dice.one_in(3) {
        signature(dice, out, &sender);
    }
    let seconds_on_the_way = i64::from(dice.between(u32::from(hops > 1), 600));
    let written = Timestamp::from_second(occasion.internal_date.as_second() - seconds_on_the_way)
        .unwrap_or(occasion.internal_date);
    let date = written.to_zoned(zone).strftime(RFC_5322_DATE).to_string();
    field(out, "Date", &date);
    list(out, "From", &[sender.mailbox(dice)]);
    let also = match dice.below(12) {
        0 if !is_terse => dice.between(5, 25),
        1..=3 => dice.between(1, 3),
        _ => 0,
    };
    let mut receivers = vec![receiver.mailbox(dice)];
    receivers.extend((0..also).map(|_| Person::draw(dice).mailbox(dice)));
    list(out, "To", &receivers);
    if dice.one_in(4) {
        let copies: Vec<String> = (0..dice.between(1, 4))
            .map(|_| Person::draw(dice).mailbox(dice))
            .collect();
        list(out, "Cc", &copies);
    }
    let is_answer = !occasion.thread.is_empty() && dice.one_in(3);
    subject(dice, out, if is_answer { "Re: " } else { "" });
    let message_id = format!(
        "<{:016x}.{}@{}>",
        dice.number(),
        occasion.ordinal,
        dice.pick(DOMAINS)
    );
    field(out, "Message-ID", &message_id);
    if is_answer {
        if let Some(answered) = occasion.thread.last() {
            field(out, "In-Reply-To", answered);
        }
        field(out, "References", &occasion.thread.join("\n "));
    }
    if !is_terse && dice.one_in(2) {
        let name = dice.pick(&["User-Agent", "X-Mailer"]);
        field(out, name, dice.pick(MAIL_PROGRAMS));
    }
    field(out, "MIME-Version", "1.0");
    message_id
}

const RFC_5322_DATE: &str = "%a, %d %b %Y %H:%M:%S %z";

/// Appends a field whose value is already folded where it must be.
pub(super) fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

struct Person {
    name: &'static str,
    address: String,
}

impl Person {
    fn draw(dice: &mut Dice) -> Self {
        let (name, local) = dice.pick(PEOPLE);
        let address = format!("{local}@{}", dice.pick(DOMAINS));
        Self { name, address }
    }

    fn mailbox(&self, dice: &mut Dice) -> String {
        let address = &self.address;
        if self.name.is_empty() {
            return address.clone();
        }
        if !self.name.is_ascii() {
            let words = encode(dice, self.name).join("\n ");
            return format!("{words} <{address}>");
        }
        let is_phrase = |byte: u8| byte.is_ascii_alphanumeric() || b" '-".contains(&byte);
        if self.name.bytes().all(is_phrase) {
            format!("{} <{address}>", self.name)
        } else {
            format!("\"{}\" <{address}>", self.name)
        }
    }
}

/// Encoded words in a charset that has all of the text's characters.
fn encode(dice: &mut Dice, text: &str) -> Vec<String> {
    let charset = if text.chars().all(|char| u8::try_from(char).is_ok()) {
        dice.pick(&[Charset::Latin1, Charset::Utf8])
    } else {
        Charset::Utf8
    };
    let encoding = dice.pick(&[WordEncoding::B, WordEncoding::Q]);
    encoded_words(text, charset, encoding)
}

fn received(
    dice: &mut Dice,
    out: &mut Vec<u8>,
    receiver: &Person,
    internal_date: &Timestamp,
    zone: &TimeZone,
    hop: u32,
) {
    let from = dice.pick(RELAYS);
    let by = dice.pick(RELAYS);
    let address = dice.between(1, 254);
    let software = dice.pick(&["Postfix", "Exim 4.94.2", "8.17.1/8.17.1", "envelope-sender"]);
    let protocol = dice.pick(&["SMTP", "ESMTP", "ESMTPS", "ESMTPSA", "LMTP"]);
    let queue = dice.number();
    // The first field is the last hop.
    let second = internal_date.as_second() - i64::from(hop);
    let date = Timestamp::from_second(second)
        .unwrap_or(*internal_date)
        .to_zoned(zone.clone())
        .strftime(RFC_5322_DATE)
        .to_string();
    let addressee = &receiver.address;
    let value = format!(
        "from {from} ({from} [192.0.2.{address}])\n\tby {by} ({software}) with {protocol} \
         id {queue:x}\n\tfor <{addressee}>; {date}"
    );
    field(out, "Received", &value);
}

/// A DKIM signature: long, and folded in the middle of its values.
fn signature(dice: &mut Dice, out: &mut Vec<u8>, sender: &Person) {
    let domain = sender.address.rsplit('@').next().unwrap_or_default();
    let mut value = format!(
        "v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain};\n\ts=sel{}; \
         h=from:to:cc:subject:date:message-id:mime-version;\n\tb=",
        dice.below(10)
    );
    let mut bytes = [0; 192];
    dice.fill(&mut bytes);
    let mut lines = Vec::new();
    super::coding::base64_lines(&bytes, &mut lines);
    let folded = String::from_utf8_lossy(&lines)
        .trim_end()
        .replace('\n', "\n\t ");
    value.push_str(&folded);
    field(out, "DKIM-Signature", &value);
}

/// Appends a list of addresses, folded after a comma where a line would be too long.
fn list(out: &mut Vec<u8>, name: &str, items: &[String]) {
    let mut value = String::new();
    let mut column = name.len() + 2;
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            let is_full = column + item.len() + 2 > FOLD_COLUMNS;
            value.push_str(if is_full { ",\n " } else { ", " });
            column = if is_full { 1 } else { column + 2 };
        }
        value.push_str(item);
        column += item.len();
    }
    field(out, name, &value);
}

/// Appends the subject: mostly ASCII, often encoded words, now and then raw UTF-8, as some
/// programs send it whatever RFC 5322 says.
fn subject(dice: &mut Dice, out: &mut Vec<u8>, prefix: &str) {
    let columns = dice.between(8, 120) as usize;
    let value = match dice.below(10) {
        0..=5 => fold(
            &sentence(dice, Charset::Ascii, columns),
            "Subject: Re: ".len(),
        ),
        6 => fold(
            &sentence(dice, Charset::Utf8, columns),
            "Subject: Re: ".len(),
        ),
        7 => {
            let text = sentence(dice, Charset::Latin1, columns);
            encode(dice, &text).join("\n ")
        }
        _ => {
            let text = sentence(dice, Charset::Utf8, columns);
            encode(dice, &text).join("\n ")
        }
    };
    field(out, "Subject", &format!("{prefix}{value}"));
}

/// Folds at spaces. A word longer than a line stays whole.
fn fold(text: &str, first_column: usize) -> String {
    let mut folded = String::with_capacity(text.len() + 8);
    let mut column = first_column;
    for (n, word) in text.split(' ').enumerate() {
        if n > 0 {
            let is_full = column + 1 + word.len() > FOLD_COLUMNS;
            folded.push_str(if is_full { "\n " } else { " " });
            column = if is_full { 1 } else { column + 1 };
        }
        folded.push_str(word);
        column += word.len();
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_folds_at_spaces_only() {
        let long = "x".repeat(100);
        for (text, first_column, expected) in [
            ("", 9, String::new()),
            ("one two", 9, "one two".to_owned()),
            ("one two", 71, "one two".to_owned()),
            ("one two", 72, "one\n two".to_owned()),
            (&long, 9, long.clone()),
            (&format!("a {long} b"), 9, format!("a\n {long}\n b")),
        ] {
            assert_eq!(fold(text, first_column), expected);
        }
    }

    #[test]
    fn lists_fold_after_commas() {
        let mut out = Vec::new();
        let items: Vec<String> = (0..6)
            .map(|n| format!("somebody-{n}@example.org"))
            .collect();
        list(&mut out, "To", &items);
        let expected = "To: somebody-0@example.org, somebody-1@example.org, somebody-2@example.org,\n \
                        somebody-3@example.org, somebody-4@example.org, somebody-5@example.org\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn names_are_quoted_or_encoded_where_they_must_be() {
        let mut dice = Dice::new(1);
        for (name, begins) in [
            ("", "a@example.org"),
            ("Tom O'Brien", "Tom O'Brien <a@example.org>"),
            ("Smith, John", "\"Smith, John\" <a@example.org>"),
            ("Łukasz", "=?utf-8?"),
        ] {
            let address = "a@example.org".to_owned();
            let mailbox = Person { name, address }.mailbox(&mut dice);
            assert!(mailbox.starts_with(begins), "{mailbox}");
            assert!(mailbox.is_ascii());
        }
    }
}
