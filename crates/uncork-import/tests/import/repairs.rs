//! What a server must have of a mail, made in the plainest way: the repairs that the import
//! names, written down a second time.

/// Most line ends that stray CRs in a row become.
const EMPTY_LINES_MAX: usize = 1024;

/// Most bytes of a mail in which a stray CR can be in the header.
const FOLDED_BYTES_MAX: usize = 64 * 1024;

/// A mail as it is sent to a server without BINARY; `None` where it is refused because there
/// is nothing in it.
pub(crate) fn repaired(text: &[u8]) -> Option<Vec<u8>> {
    let mut text = with_line_ends(text);
    for byte in &mut text {
        if *byte == 0 {
            *byte = 0x80;
        }
    }
    if text.trim_ascii().is_empty() && !text.contains(&b'\x0b') {
        return None;
    }
    let mut at = 0;
    while at < text.len() {
        let end = text[at..].iter().position(|byte| *byte == b'\n');
        let end = end.map_or(text.len(), |end| at + end + 1);
        let line = &text[at..end];
        if is_field(line) {
            return Some(text[at..].to_vec());
        }
        let is_from = line.starts_with(b"From ") || line.starts_with(b">From ");
        if !is_from && !line.trim_ascii().is_empty() {
            break;
        }
        at = end;
    }
    if text.starts_with(b"\r\n") {
        return Some(text);
    }
    Some([b"\r\n", &text[..]].concat())
}

/// A line with a name of graphic ASCII before a colon, and perhaps blanks between.
fn is_field(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let name = line[..colon].trim_ascii_end();
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

/// All lines end in CRLF. CRs before an LF are one line end with it; a stray CR is a line end
/// in a body, or where the first line ends in one, and else a fold.
fn with_line_ends(text: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    let mut is_cr_mail = None;
    let mut in_header = true;
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'\r' && byte != b'\n' {
            out.push(byte);
            rest = after;
            continue;
        }
        let crs = rest.iter().take_while(|byte| **byte == b'\r').count();
        rest = &rest[crs..];
        if let [b'\n', after @ ..] = rest {
            is_cr_mail.get_or_insert(false);
            out.extend_from_slice(b"\r\n");
            rest = after;
            continue;
        }
        in_header = in_header
            && out.len() <= FOLDED_BYTES_MAX
            && !out.starts_with(b"\r\n")
            && !has_empty_line(&out);
        if *is_cr_mail.get_or_insert(true) || !in_header {
            out.extend_from_slice(&b"\r\n".repeat(crs.min(EMPTY_LINES_MAX)));
        } else {
            out.extend_from_slice(b"\r\n");
            if !matches!(rest.first(), None | Some(b' ' | b'\t')) {
                out.push(b' ');
            }
        }
    }
    out
}

fn has_empty_line(text: &[u8]) -> bool {
    text.windows(4).any(|four| four == b"\r\n\r\n")
}
