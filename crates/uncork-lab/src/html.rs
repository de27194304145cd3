//! What the pages of all verbs have in common: frame, style and escaping.

const STYLE: &str = include_str!("html/style.css");

/// A page that needs nothing but itself.
///
/// No script, no font, no picture is loaded, so the page can be mailed, archived and opened
/// from a file.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// Text, which will be escaped.
    pub title: &'a str,
    /// The style sheet, behind the common one.
    pub style: &'a str,
    /// The content, as HTML.
    pub main: &'a str,
    /// One paragraph of HTML.
    pub footer: &'a str,
}

impl Document<'_> {
    /// The whole page. Its policy forbids every load: a text that slipped through unescaped
    /// could fetch nothing.
    #[must_use]
    pub fn html(&self) -> String {
        let Self {
            style,
            main,
            footer,
            ..
        } = self;
        let title = escape(self.title);
        format!(
            "<!doctype html>\n<html lang=\"en\">\n\
             <head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>\n{STYLE}{style}</style>\n</head>\n\
             <body>\n<main>\n{main}</main>\n<footer>\n<p>{footer}</p>\n</footer>\n</body>\n</html>\n"
        )
    }
}

/// Text for element content and for quoted attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escape("<a b=\"c\">d & 'e'</a> µ"),
            "&lt;a b=&quot;c&quot;&gt;d &amp; &#39;e&#39;&lt;/a&gt; µ"
        );
    }
}
