//! The configuration as it stands in the file: keys and types, with the places of what is checked later.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use crate::log::LogFormat;
use crate::rules::{Etag, Symlinks};

/// A string with its place.
pub(super) type Text = Spanned<String>;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<Vec<Text>>,
    pub(super) threads: Option<Spanned<u64>>,
    pub(super) admin: Option<Text>,
    pub(super) user: Option<Text>,
    pub(super) hosts: Option<Text>,
    #[serde(default)]
    pub(super) defaults: Section,
    #[serde(default)]
    pub(super) limits: Limits,
    pub(super) log: Option<Spanned<Log>>,
    #[serde(default, deserialize_with = "sites")]
    pub(super) site: Vec<Spanned<Section>>,
}

/// A `[[site]]`, or `[defaults]`, in which `hosts` and `root` are refused. One type for both: serde's
/// `flatten` would lose the places and would let unknown keys pass.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Section {
    pub(super) hosts: Option<Spanned<Vec<Text>>>,
    pub(super) root: Option<Text>,
    pub(super) index: Option<Vec<Text>>,
    pub(super) html_suffix: Option<bool>,
    pub(super) spa: Option<Text>,
    pub(super) listing: Option<bool>,
    pub(super) hidden: Option<Spanned<bool>>,
    pub(super) symlinks: Option<Symlinks>,
    pub(super) precompressed: Option<bool>,
    pub(super) etag: Option<Etag>,
    pub(super) cache_control: Option<Text>,
    #[serde(default, deserialize_with = "headers")]
    pub(super) headers: Option<Vec<Headers>>,
    #[serde(default, deserialize_with = "redirects")]
    pub(super) redirects: Option<Vec<Redirect>>,
    pub(super) error_pages: Option<Pairs>,
    pub(super) types: Option<Pairs>,
}

/// `[[site.headers]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Headers {
    pub(super) path: Text,
    pub(super) set: Pairs,
}

/// `[[site.redirects]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Redirect {
    pub(super) from: Text,
    pub(super) to: Text,
    pub(super) status: Option<Spanned<u64>>,
}

/// `[limits]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) head_bytes: Option<Spanned<u64>>,
    pub(super) target_bytes: Option<Spanned<u64>>,
    pub(super) headers: Option<Spanned<u64>>,
    pub(super) body_bytes: Option<Spanned<u64>>,
    pub(super) head_seconds: Option<Spanned<Seconds>>,
    pub(super) idle_seconds: Option<Spanned<Seconds>>,
    pub(super) send_bytes_per_second: Option<Spanned<u64>>,
    pub(super) send_window_seconds: Option<Spanned<Seconds>>,
    pub(super) requests_per_connection: Option<Spanned<u64>>,
    pub(super) connections: Option<Spanned<u64>>,
    pub(super) connections_per_address: Option<Spanned<u64>>,
    pub(super) ranges: Option<Spanned<u64>>,
    pub(super) cache_entries: Option<Spanned<u64>>,
    pub(super) cache_bytes: Option<Spanned<u64>>,
    pub(super) drain_seconds: Option<Spanned<Seconds>>,
}

/// `[log]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub(super) format: Option<LogFormat>,
    pub(super) file: Option<Text>,
    pub(super) per_host: Option<Text>,
}

/// Seconds: an integer or a float.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seconds(pub(super) f64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Seconds;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds")
            }
            fn visit_i64<E>(self, seconds: i64) -> Result<Seconds, E> {
                #[expect(clippy::cast_precision_loss, reason = "bounded to a year afterwards")]
                Ok(Seconds(seconds as f64))
            }
            fn visit_f64<E>(self, seconds: f64) -> Result<Seconds, E> {
                Ok(Seconds(seconds))
            }
        }
        from.deserialize_any(Number)
    }
}

/// A table of strings with the places of keys and values, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Pairs(pub(super) Vec<(Text, Text)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry::<Text, Text>()? {
                    pairs.push(pair);
                }
                // toml gives its tables sorted by key.
                pairs.sort_by_key(|(key, _)| key.span().start);
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(Table)
    }
}

fn sites<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Spanned<Section>>, D::Error> {
    from.deserialize_any(Several::headed("[[site]]"))
}

fn headers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Headers>>, D::Error> {
    let several = Several::headed("[[site.headers]]");
    from.deserialize_any(several).map(Some)
}

fn redirects<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Redirect>>, D::Error> {
    let several = Several::headed("[[site.redirects]]");
    from.deserialize_any(several).map(Some)
}

/// Tables of which there may be several. Whoever heads one with single brackets is told so.
struct Several<T> {
    heading: &'static str,
    of: PhantomData<T>,
}

impl<T> Several<T> {
    fn headed(heading: &'static str) -> Self {
        let of = PhantomData;
        Self { heading, of }
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Several<T> {
    type Value = Vec<T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tables headed {}", self.heading)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element()? {
            all.push(one);
        }
        Ok(all)
    }
    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Vec<T>, A::Error> {
        let heading = self.heading;
        Err(A::Error::custom(format_args!(
            "there may be several of these: write {heading}, with two brackets"
        )))
    }
}
