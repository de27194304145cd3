//! Where a socket's time went: one bar, and its legend.

use uncork_trace::report::{Limit, SocketReport};

use super::super::summary::parts;
use super::super::words;
use super::{capitalised, escape, percent};

/// Height of the bar.
const BAR_PX: u32 = 22;

/// The bar with its legend; nothing where no time was seen.
pub(super) fn figure(number: usize, socket: &SocketReport) -> String {
    let (parts, whole) = parts(socket);
    if parts.is_empty() {
        return String::new();
    }
    // What is too little for a word is left out of the bar, too.
    let named: f64 = parts.iter().map(|(_, ms)| ms).sum();
    let mut from = 0.0;
    let (mut bar, mut legend, mut description) = (String::new(), String::new(), Vec::new());
    for (limit, ms) in parts {
        let class = class(limit);
        let to = from + ms / named;
        bar.push_str(&format!(
            "<rect class=\"{class}\" x=\"{}\" width=\"{}\" height=\"{BAR_PX}\"/>",
            percent(from),
            percent(to - from)
        ));
        from = to;
        let share = escape(&words::share(ms, whole));
        let name = escape(words::limit(limit));
        let time = escape(&words::time(ms));
        legend.push_str(&format!(
            "<li><i class=\"{class}\"></i><b>{share}</b> {name} <small>{time}</small></li>\n"
        ));
        description.push(format!("{share} {name}"));
    }
    let description = capitalised(&description.join("; "));
    format!(
        "<figure>\n<figcaption><h4>Where its time went</h4></figcaption>\n\
         <svg class=\"shares\" role=\"img\" aria-labelledby=\"shares-{number}\" width=\"100%\" \
         height=\"{BAR_PX}\"><title id=\"shares-{number}\">{description}.</title>{bar}</svg>\n\
         <ul class=\"legend\">\n{legend}</ul>\n</figure>\n"
    )
}

/// The colour, by name.
fn class(limit: Limit) -> &'static str {
    match limit {
        Limit::Nagle => "nagle",
        Limit::Cork => "cork",
        Limit::Device => "device",
        Limit::CongestionWindow => "network",
        Limit::ReceiveWindow => "window",
        Limit::SendBuffer => "buffer",
        Limit::Peer => "peer",
        Limit::Program => "program",
        Limit::Unseen => "unseen",
    }
}
