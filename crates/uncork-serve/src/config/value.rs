//! What a single value of the configuration may be. Everything here ends in a response or beside a
//! path, so each is refused where it could be misread there.

use super::error::Fault;
use crate::resource::is_hidden;
use crate::rules::Redirect;

/// Headers that frame the response, belong to the connection or say how the body is coded: a rule that
/// touched them could make a client read one response as two, or another body.
const OWN_HEADERS: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "date",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers by which conditional requests are answered: they can be left out, and not be others.
const VALIDATORS: [&str; 2] = ["etag", "last-modified"];

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A header's name that a rule may set.
pub(super) fn header_name(text: &str) -> Result<(), Fault> {
    let value = text.to_owned();
    if !is_token(text) {
        return Err(Fault::HeaderName { value });
    }
    if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(text)) {
        return Err(Fault::HeaderOwn { value });
    }
    Ok(())
}

/// A header's name that a rule may set to this value.
pub(super) fn header_of_value(name: &str, value: &str) -> Result<(), Fault> {
    let is_validator = VALIDATORS.iter().any(|own| own.eq_ignore_ascii_case(name));
    if is_validator && !value.is_empty() {
        return Err(Fault::HeaderValidator {
            value: name.to_owned(),
        });
    }
    Ok(())
}

/// A header's value; it may be empty.
pub(super) fn header_value(text: &str) -> Result<(), Fault> {
    let printable = text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    if printable && text.trim() == text {
        return Ok(());
    }
    Err(Fault::HeaderValue {
        value: text.to_owned(),
    })
}

/// A media type with its parameters, as `Content-Type` takes it.
pub(super) fn media_type(text: &str) -> Result<(), Fault> {
    header_value(text)?;
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    match essence.split_once('/') {
        Some((kind, sub)) if is_token(kind) && is_token(sub) => Ok(()),
        _ => Err(Fault::MediaType {
            value: text.to_owned(),
        }),
    }
}

/// A path from a site's root: as a request's path is after decoding.
pub(super) fn path(text: &str) -> Result<(), Fault> {
    let reason = match text.strip_prefix('/') {
        None => "it has to begin with /",
        Some(_)
            if text
                .bytes()
                .any(|byte| byte.is_ascii_control() || byte == b'\\') =>
        {
            "it has a control character or a backslash"
        }
        Some(rest) if rest.split('/').any(|segment| matches!(segment, "." | "..")) => {
            "it has a `.` or `..` segment"
        }
        Some(_) if text.contains("//") => "it has an empty segment",
        Some(_) => return Ok(()),
    };
    Err(Fault::Path {
        value: text.to_owned(),
        reason,
    })
}

/// A path from a site's root that names a file.
pub(super) fn file_path(text: &str) -> Result<(), Fault> {
    path(text)?;
    if text.ends_with('/') {
        return Err(Fault::Path {
            value: text.to_owned(),
            reason: "it has to be a file",
        });
    }
    Ok(())
}

/// A path that is served where hidden names are not.
pub(super) fn served(text: &str) -> Result<(), Fault> {
    if is_hidden(text.as_bytes()) {
        return Err(Fault::Hidden {
            value: text.to_owned(),
        });
    }
    Ok(())
}

/// A name of a file, without a folder.
pub(super) fn file_name(text: &str) -> Result<(), Fault> {
    let bad = text.is_empty()
        || matches!(text, "." | "..")
        || text
            .bytes()
            .any(|byte| byte.is_ascii_control() || matches!(byte, b'/' | b'\\'));
    if bad {
        return Err(Fault::FileName {
            value: text.to_owned(),
        });
    }
    Ok(())
}

/// A glob over paths.
pub(super) fn glob(text: &str) -> Result<glob::Pattern, Fault> {
    let fault = |reason: String| Fault::Glob {
        value: text.to_owned(),
        reason,
    };
    // A `*` alone takes no slash, with which every path begins.
    if !["/", "**", "*/"]
        .iter()
        .any(|begin| text.starts_with(begin))
    {
        return Err(fault(format!(
            "it would fit none, as each begins with /: in every folder it is /**/{text}"
        )));
    }
    glob::Pattern::new(text).map_err(|error| fault(error.msg.to_owned()))
}

/// A path that is redirected: with `/*` at its end, all beneath.
pub(super) fn redirect_from(text: &str) -> Result<(), Fault> {
    path(text)?;
    let plain = text.strip_suffix("/*").unwrap_or(text);
    if plain.contains('*') {
        return Err(Fault::Path {
            value: text.to_owned(),
            reason: "a `*` may only stand at the end, after a slash",
        });
    }
    let mut encoded = text.as_bytes().windows(3);
    if encoded.any(|three| three[0] == b'%' && three[1..].iter().all(u8::is_ascii_hexdigit)) {
        return Err(Fault::Path {
            value: text.to_owned(),
            reason: "it is percent-encoded, and would fit none: paths are compared decoded",
        });
    }
    Ok(())
}

/// Where a redirect goes: it becomes `Location` as it is.
pub(super) fn redirect_to(text: &str, from: &str) -> Result<(), Fault> {
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let host = ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let reason = if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "it has to be printable ASCII without spaces (percent-encode the rest)"
    } else if text.contains('\\') {
        "it has a backslash, which browsers take for a slash"
    } else if !is_path && host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
        "it is neither a path nor an http(s) URL"
    } else if text.trim_end_matches('*').contains('*') || text.ends_with("**") {
        "a `*` may only stand at its end"
    } else if text.ends_with('*') && !from.ends_with("/*") {
        "its `*` stands for nothing: `from` has none"
    } else if host.is_some_and(|host| host.ends_with('*') && !host.contains('/')) {
        "its `*` would be a part of the host"
    } else if text == from {
        "it is where it comes from"
    } else {
        return Ok(());
    };
    Err(Fault::RedirectTo {
        value: text.to_owned(),
        reason,
    })
}

/// Refuses `to` of the last rule where what it leads to is redirected by that rule again, for ever.
/// An earlier rule that fits would be taken in its place.
pub(super) fn redirects_end(rules: &[Redirect], to: &str) -> Result<(), Fault> {
    if !to.starts_with('/') {
        return Ok(());
    }
    // Of what stands behind a `*` the begin is known.
    let (to_path, takes_rest) = match to.split_once(['?', '#']) {
        Some((path, _)) => (path, false),
        None => (to.trim_end_matches('*'), to.ends_with('*')),
    };
    let landing: Vec<u8> = percent_encoding::percent_decode_str(to_path).collect();
    let fits = |rule: &Redirect| match rule.from.strip_suffix('*') {
        Some(above) => landing.starts_with(above.as_bytes()),
        None => !takes_rest && rule.from.as_bytes() == landing,
    };
    if rules.iter().position(fits) == rules.len().checked_sub(1) {
        return Err(Fault::RedirectTo {
            value: to.to_owned(),
            reason: "it is redirected by this rule again, for ever",
        });
    }
    Ok(())
}
