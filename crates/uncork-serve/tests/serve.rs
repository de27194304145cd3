//! The server over raw sockets: in this process, with a site in a temporary folder.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: a panic is how they fail"
)]

#[path = "serve/bodies.rs"]
mod bodies;
#[path = "serve/changes.rs"]
mod changes;
#[path = "serve/conditions.rs"]
mod conditions;
#[path = "serve/connections.rs"]
mod connections;
#[path = "serve/hosts.rs"]
mod hosts;
#[path = "serve/hosts_folder.rs"]
mod hosts_folder;
#[path = "serve/limits.rs"]
mod limits;
#[path = "serve/listing.rs"]
mod listing;
#[path = "serve/load.rs"]
mod load;
#[path = "serve/malformed.rs"]
mod malformed;
#[path = "serve/methods.rs"]
mod methods;
#[path = "serve/pages.rs"]
mod pages;
#[path = "serve/pipelining.rs"]
mod pipelining;
#[path = "serve/precompressed.rs"]
mod precompressed;
#[path = "serve/ranges.rs"]
mod ranges;
#[path = "serve/rules.rs"]
mod rules;
#[path = "serve/segments.rs"]
mod segments;
#[path = "serve/special_files.rs"]
mod special_files;
#[path = "serve/support.rs"]
mod support;
#[path = "serve/targets.rs"]
mod targets;
