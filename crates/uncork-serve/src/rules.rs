//! How one site is served: what its section of the configuration says.

/// The rules of one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// `index`: names that are tried, in order, where a path ends with `/`.
    pub index: Vec<String>,
    /// `html_suffix`: `/about` is `about.html` where there is no `about`.
    pub html_suffix: bool,
    /// `spa`: a path from the root that is served with 200 where nothing else is there.
    pub spa: Option<String>,
    /// `listing`: a folder without an index is shown.
    pub listing: bool,
    /// `hidden`: files and folders whose names begin with a dot are served. (`.well-known` always is.)
    pub hidden: bool,
    /// `symlinks`.
    pub symlinks: Symlinks,
    /// `precompressed`: `.br`, `.zst` and `.gz` beside a file are served in its place.
    pub precompressed: bool,
    /// `etag`.
    pub etag: Etag,
    /// `cache_control`: the header's value, for all paths that no [`HeaderRule`] gives another one.
    pub cache_control: Option<String>,
    /// `[[site.headers]]`, in their order: a later one replaces an earlier one's header of one name.
    pub headers: Vec<HeaderRule>,
    /// `[[site.redirects]]`, in their order: the first that fits is taken, before any file.
    pub redirects: Vec<Redirect>,
    /// `[site.error_pages]`: 403, 404, 405 or 503, and the path of its page from the root. Without an entry for
    /// 404, `/404.html` is taken where it exists.
    pub error_pages: Vec<(u16, String)>,
    /// `[site.types]`: an extension in lower case without the dot, and its `Content-Type`.
    pub types: Vec<(String, String)>,
}

/// Which symbolic links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Symlinks {
    /// Those that stay beneath the site's root.
    Inside,
    /// None.
    Deny,
}

/// Of what an ETag is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Etag {
    /// Time of change and size; the content where that time means nothing (in the first day of the
    /// epoch, as packers of images and stores set it).
    Auto,
    /// The content's BLAKE3 digest.
    Content,
    /// None is sent.
    Off,
}

/// Response headers of all paths that fit a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// A glob over the path of a request or of its file, such as `/assets/**`. `*` stays within one folder.
    pub path: glob::Pattern,
    /// Names and values, validated. An empty value takes the header away.
    pub set: Vec<(String, String)>,
}

/// A path that is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The path, as a request's path after decoding. With `/*` at its end: all beneath.
    pub from: String,
    /// Where: a path or a URL. A `*` at its end stands for what `*` stood for in `from`.
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            index: vec!["index.html".to_owned()],
            html_suffix: true,
            spa: None,
            listing: false,
            hidden: false,
            symlinks: Symlinks::Inside,
            precompressed: true,
            etag: Etag::Auto,
            cache_control: None,
            headers: Vec::new(),
            redirects: Vec::new(),
            error_pages: Vec::new(),
            types: Vec::new(),
        }
    }
}
