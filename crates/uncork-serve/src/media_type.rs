//! What a file is, by its name: the `Content-Type`.

use std::borrow::Cow;

/// What a file is of which nothing is known.
pub const UNKNOWN: &str = "application/octet-stream";

/// The media type of a file with this name: what the site says of its extension, else what it is
/// generally known as. Only the last extension counts; a name that only begins with a dot has none.
///
/// Text is UTF-8. JSON is UTF-8 by definition and its type has no such parameter (RFC 8259); of XML,
/// SVG among it, the document itself says what it is, and a parameter would outdo that (RFC 7303).
///
/// Allocates for kinds of text that are rare.
#[must_use]
pub fn of<'t>(file_name: &[u8], types: &'t [(String, String)]) -> Cow<'t, str> {
    let Some(extension) = extension_of(file_name) else {
        return Cow::Borrowed(UNKNOWN);
    };
    let own = types
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(extension));
    if let Some((_, media_type)) = own {
        return Cow::Borrowed(media_type);
    }
    let usual = USUAL
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(extension));
    if let Some((_, media_type)) = usual {
        return Cow::Borrowed(media_type);
    }
    match mime_guess::from_ext(extension).first_raw() {
        None => Cow::Borrowed(UNKNOWN),
        Some("text/xml") => Cow::Borrowed("text/xml"),
        Some("application/javascript") => Cow::Borrowed("text/javascript; charset=utf-8"),
        Some(text) if text.starts_with("text/") => Cow::Owned(format!("{text}; charset=utf-8")),
        Some(other) => Cow::Borrowed(other),
    }
}

/// What follows the last dot of a name.
fn extension_of(file_name: &[u8]) -> Option<&str> {
    let dot = memchr::memrchr(b'.', file_name)?;
    // A folder in front of the name may have a dot, too.
    let is_named = !matches!(file_name[..dot].last(), None | Some(b'/'));
    let extension = std::str::from_utf8(&file_name[dot + 1..]).ok()?;
    (is_named && !extension.is_empty() && !extension.contains('/')).then_some(extension)
}

/// The usual files of sites, and those of which the `mime_guess` crate has another opinion than
/// browsers or the registry of IANA.
const USUAL: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("txt", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("webmanifest", "application/manifest+json"),
    ("xml", "text/xml"),
    ("svg", "image/svg+xml"),
    ("wasm", "application/wasm"),
    ("avif", "image/avif"),
    ("webp", "image/webp"),
    ("ico", "image/x-icon"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("gz", "application/gzip"),
    ("tgz", "application/gzip"),
    ("zst", "application/zstd"),
    ("ts", "video/mp2t"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        let types = [
            ("foo".to_owned(), "x/foo".to_owned()),
            (
                "html".to_owned(),
                "text/html; charset=iso-8859-1".to_owned(),
            ),
        ];
        // Only the site of the names beginning with `own` has types of its own.
        let types = if name.starts_with("own") {
            &types[..]
        } else {
            &[]
        };
        assert_eq!(of(name.as_bytes(), types), expected, "{name:?}");
    }

    #[test]
    fn types_by_names() {
        check("index.html", "text/html; charset=utf-8");
        check("INDEX.HTM", "text/html; charset=utf-8");
        check("a.css", "text/css; charset=utf-8");
        check("a.js", "text/javascript; charset=utf-8");
        check("a.mjs", "text/javascript; charset=utf-8");
        check("a.vtt", "text/vtt; charset=utf-8");
        check("a.ics", "text/calendar; charset=utf-8");
        check("a.json", "application/json");
        check("a.css.map", "application/json");
        check("a.webmanifest", "application/manifest+json");
        check("a.xml", "text/xml");
        check("a.xsl", "text/xml");
        check("a.atom", "application/atom+xml");
        check("a.svg", "image/svg+xml");
        check("a.wasm", "application/wasm");
        check("a.avif", "image/avif");
        check("a.woff2", "font/woff2");
        check("a.png", "image/png");
        check("a.jpeg", "image/jpeg");
        check("a.pdf", "application/pdf");
        check("a.mp4", "video/mp4");
        check("archive.tar.gz", "application/gzip");
        check("archive.TGZ", "application/gzip");
        check("b/a.b/c.txt", "text/plain; charset=utf-8");
        for unknown in [
            "",
            "a",
            "a.",
            ".html",
            "x/.html",
            ".",
            "..",
            "Makefile",
            "a.b/c",
            "a.nonsense",
            "a.é",
            "x.html/",
        ] {
            check(unknown, UNKNOWN);
        }
        assert_eq!(of(b"a.\xff\xfe", &[]), UNKNOWN);
    }

    #[test]
    fn types_of_a_site_come_first() {
        check("own.foo", "x/foo");
        check("own.FOO", "x/foo");
        check("own.html", "text/html; charset=iso-8859-1");
        check("own.css", "text/css; charset=utf-8");
    }

    #[test]
    fn usual_names_are_in_lower_case() {
        for (extension, _) in USUAL {
            assert_eq!(*extension, extension.to_ascii_lowercase());
        }
    }
}
