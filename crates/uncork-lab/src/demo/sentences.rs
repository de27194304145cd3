//! What was seen, in plain words: four sentences made of the figures, and of nothing else.

use super::report::{
    MailManner, MailRow, MailStory, Network, ProgramManner, ProgramRow, ProgramStory, WebStory,
};
use crate::web::WebManner;

/// From this share of mails on, the stall is said to have shown.
const STALL_SHARE: f64 = 0.5;

pub(super) fn sentences(mail: &MailStory, web: &WebStory, program: &ProgramStory) -> Vec<String> {
    vec![
        stall(mail),
        round_trips(mail),
        segments(web),
        unchanged(program),
    ]
}

fn find(mail: &MailStory, manner: MailManner, network: Network) -> Option<&MailRow> {
    mail.rows
        .iter()
        .find(|row| row.manner == manner && row.network == network)
}

fn rate(row: Option<&MailRow>) -> String {
    row.map_or_else(String::new, |row| rounded(row.messages_per_second))
}

/// A number for people: rounded to three digits that count, thousands separated.
fn rounded(number: f64) -> String {
    if number < 100.0 {
        return format!("{number:.0}");
    }
    let unit = 10f64.powf(number.log10().floor() - 2.0);
    let digits = format!("{:.0}", (number / unit).round() * unit);
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Whether the naive client stalled, and what ended it.
fn stall(mail: &MailStory) -> String {
    let Some(naive) = find(mail, MailManner::Naive, Network::Loopback) else {
        return "The naive client was not run.".to_owned();
    };
    let no_delay = find(mail, MailManner::NoDelay, Network::Loopback);
    let best = find(mail, MailManner::UncorkMultiAppend, Network::Loopback);
    let is_stalled = naive.messages_held as f64 >= STALL_SHARE * naive.messages as f64;
    if !is_stalled {
        return format!(
            "The stall did not show on this machine: the naive client put {} mails a second into \
             the server and {} of {} were held, which means that this kernel acknowledges small \
             segments at once here (no delayed ACK), so that Nagle's algorithm had nothing to wait \
             for.",
            rate(Some(naive)),
            naive.messages_held,
            naive.messages,
        );
    }
    let held_ms = naive.held_ms_total / (naive.messages_held.max(1) as f64);
    format!(
        "A client that writes each mail in pieces put {} mails a second into the server: the last \
         piece of {} of {} mails was held for {held_ms:.0} ms until a delayed ACK came; with \
         NODELAY the same client did {}, and uncork {}, {} times as many.",
        rate(Some(naive)),
        naive.messages_held,
        naive.messages,
        rate(no_delay),
        rate(best),
        best.map_or_else(String::new, |row| rounded(row.times_as_fast)),
    )
}

/// The cork's answer, and what is left when nothing is held any more.
fn round_trips(mail: &MailStory) -> String {
    let corked = find(mail, MailManner::Corked, Network::Loopback);
    let ends_it =
        corked.is_some_and(|row| (row.messages_held as f64) < STALL_SHARE * row.messages as f64);
    let verdict = if ends_it {
        "ends the wait just as NODELAY does"
    } else {
        "did not end the wait"
    };
    format!(
        "A cork around the message {verdict} ({} mails a second), but neither saves a round trip: \
         over a link of {:.0} ms two round trips a mail made {} mails a second, one made {}, and \
         batches that wait for nothing {}.",
        rate(corked),
        mail.link_round_trip_ms,
        rate(find(mail, MailManner::WholeMessage, Network::Link)),
        rate(find(mail, MailManner::Uncork, Network::Link)),
        rate(find(mail, MailManner::UncorkMultiAppend, Network::Link)),
    )
}

/// The packets that NODELAY alone wastes, and the sizes at which uncork wastes none.
fn segments(web: &WebStory) -> String {
    let waste = |manner: WebManner| {
        let rows = web.rows.iter().filter(move |row| row.manner == manner);
        rows.map(|row| row.segments.saturating_sub(row.least_segments))
    };
    let no_delay_most = waste(WebManner::TwoWritesNoDelay).max().unwrap_or(0);
    let uncork_most = waste(WebManner::Uncork).max().unwrap_or(0);
    let slow = web
        .rows
        .iter()
        .filter(|row| row.manner == WebManner::TwoWrites)
        .map(|row| row.latency_us / 1e3)
        .fold(0.0, f64::max);
    let held = if slow >= 10.0 {
        format!("made a small page wait {slow:.0} ms with Nagle's algorithm on")
    } else {
        "did not wait for an ACK here".to_owned()
    };
    let exact = if uncork_most == 0 {
        "uncork sent every size from 1 KB to 8 MB in the least number of segments".to_owned()
    } else {
        format!(
            "uncork sent at most {uncork_most} segments more than the least (a reader that falls \
             behind lets its window cut them)"
        )
    };
    format!(
        "A web server's header and file in two writes {held}, and sent up to {no_delay_most} \
         segments too many with it off; {exact}."
    )
}

/// What can be seen of a program from outside, and done about it.
fn unchanged(program: &ProgramStory) -> String {
    let find = |manner: ProgramManner| program.rows.iter().find(|row| row.manner == manner);
    let mut parts = Vec::new();
    if let Some(row) = find(ProgramManner::AsItIs)
        && let Some(seen) = &row.seen
    {
        let pattern = seen.pattern.as_deref();
        parts.push(format!(
            "`uncork trace` saw {} stalls in {} mails from outside ({})",
            seen.stalls,
            row.messages,
            pattern.unwrap_or("nothing was held"),
        ));
    }
    let taken = |row: &ProgramRow| format!("{:.2} ms a mail", row.ms_per_message);
    if let Some(row) = find(ProgramManner::Run) {
        parts.push(format!("started by `uncork run` it took {}", taken(row)));
    }
    if let Some(row) = find(ProgramManner::Fixed) {
        parts.push(format!(
            "and after `uncork fix`, while it ran, {}",
            taken(row)
        ));
    }
    if parts.is_empty() {
        return "Neither `uncork trace` nor `uncork run` and `uncork fix` can be shown here."
            .to_owned();
    }
    format!("The naive client needn't be changed: {}.", parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::super::report::Seen;
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (number, expected) in [
            (22.7, "23"),
            (99.6, "100"),
            (123.4, "123"),
            (9876.0, "9,880"),
            (28_456.0, "28,500"),
            (1_234_567.0, "1,230,000"),
        ] {
            assert_eq!(rounded(number), expected);
        }
    }

    fn row(manner: MailManner, rate: f64, held: u64) -> MailRow {
        MailRow {
            manner,
            network: Network::Loopback,
            messages: 100,
            seconds: 100.0 / rate,
            messages_per_second: rate,
            ms_per_message: 1e3 / rate,
            segments_per_message: 3.0,
            messages_held: held,
            held_ms_total: held as f64 * 43.0,
            times_as_fast: rate / 22.0,
        }
    }

    #[test]
    fn a_stall_that_did_not_show_is_said() {
        let mut mail = MailStory {
            messages: 100,
            bytes: 1,
            link_round_trip_ms: 20.0,
            rows: vec![row(MailManner::Naive, 9000.0, 1)],
        };
        assert!(stall(&mail).contains("did not show"));
        mail.rows = vec![
            row(MailManner::Naive, 22.7, 99),
            row(MailManner::UncorkMultiAppend, 22_700.0, 0),
        ];
        let said = stall(&mail);
        assert!(said.contains("put 23 mails a second"), "{said}");
        assert!(
            said.contains("99 of 100 mails was held for 43 ms"),
            "{said}"
        );
        assert!(said.contains("uncork 22,700, 1,030 times"), "{said}");
    }

    #[test]
    fn what_can_not_be_shown_is_left_out() {
        let row = |manner, ms_per_message, seen| ProgramRow {
            manner,
            messages: 50,
            ms_per_message,
            seen,
        };
        let seen = Seen {
            engine: "sample".to_owned(),
            stalls: 49,
            held_ms_total: 2150.0,
            pattern: Some("write 351, write 2, read waits 43 ms".to_owned()),
        };
        let mut story = ProgramStory::default();
        assert!(unchanged(&story).contains("can be shown here"));
        story.rows = vec![row(ProgramManner::AsItIs, 44.0, Some(seen))];
        assert_eq!(
            unchanged(&story),
            "The naive client needn't be changed: `uncork trace` saw 49 stalls in 50 mails from \
             outside (write 351, write 2, read waits 43 ms)."
        );
        story.rows.push(row(ProgramManner::Run, 0.151, None));
        story.rows.push(row(ProgramManner::Fixed, 0.149, None));
        assert!(unchanged(&story).ends_with(
            "; started by `uncork run` it took 0.15 ms a mail; and after `uncork fix`, while it \
             ran, 0.15 ms a mail."
        ));
    }
}
