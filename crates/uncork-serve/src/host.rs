//! Host names, normalised in one way everywhere: the `Host` header, the configuration, and the names
//! of folders.

/// Most bytes of a host name (RFC 1035, section 2.3.4).
pub const HOST_BYTES_MAX: usize = 253;

/// A normalised host name: lower case, no trailing dot, no port, A-labels (`xn--…`); an IPv6 address
/// in its brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName(pub(crate) smallvec::SmallVec<[u8; 64]>);

/// What a site is called: a host name, all names beneath one, or whatever is left.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `example.org`
    Exact(HostName),
    /// `*.example.org`: any name with more labels in front; holds `example.org`.
    Beneath(HostName),
    /// `_default`
    Default,
}
