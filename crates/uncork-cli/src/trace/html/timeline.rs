//! What happened when: the whole trace as a strip, and a stretch with a few holds as lanes.

use uncork_trace::report::{Mark, MarkKind};

use super::{escape, percent};
use crate::trace::words;

mod lanes;

/// Columns of the strip.
const COLUMNS: usize = 200;

/// Height of the strip.
const STRIP_PX: f64 = 28.0;

/// Holds in the stretch that is shown in lanes, and marks at most.
const HOLDS_SHOWN: usize = 4;
const MARKS_SHOWN: usize = 120;

/// Part of the stretch that is left free on both sides.
const MARGIN: f64 = 0.04;

/// Marks that are taken from a report.
const MARKS_MAX: usize = 20_000;

/// Latest moment that is drawn: ten years.
const AT_MS_MAX: f64 = 3.2e11;

/// Strip and lanes; nothing where nothing was marked.
pub(super) fn figure(number: usize, marks: &[Mark]) -> String {
    let mut marks: Vec<Mark> = marks
        .iter()
        .copied()
        .filter(is_drawn)
        .take(MARKS_MAX)
        .collect();
    if marks.is_empty() {
        return String::new();
    }
    marks.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
    let stretch = Stretch::of(&marks);
    let strip = strip(number, &marks, &stretch);
    let lanes = lanes::svg(number, &marks, &stretch);
    let (from, to) = (
        words::time(stretch.from_ms.max(0.0)),
        words::time(stretch.to_ms),
    );
    let caption = escape(&format!("from {from} to {to} after the start"));
    format!(
        "<figure>\n<figcaption><h4>What happened when</h4>{caption}</figcaption>\n{lanes}</figure>\n\
         {strip}"
    )
}

/// Whether a mark has a place, whatever was computed.
fn is_drawn(mark: &Mark) -> bool {
    let has_length = match mark.kind {
        MarkKind::Hold { held_ms, .. } => (0.0..=AT_MS_MAX).contains(&held_ms),
        _ => true,
    };
    has_length && (0.0..=AT_MS_MAX).contains(&mark.at_ms)
}

/// When a mark is over.
fn end_ms(mark: &Mark) -> f64 {
    match mark.kind {
        MarkKind::Hold { held_ms, .. } => mark.at_ms + held_ms,
        _ => mark.at_ms,
    }
}

/// The part of the time that is shown in detail.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stretch {
    from_ms: f64,
    to_ms: f64,
}

impl Stretch {
    /// The first holds, or the beginning where there are none.
    fn of(marks: &[Mark]) -> Self {
        let is_hold = |mark: &&Mark| matches!(mark.kind, MarkKind::Hold { .. });
        let holds: Vec<&Mark> = marks.iter().filter(is_hold).take(HOLDS_SHOWN).collect();
        let ends = || holds.iter().map(|mark| end_ms(mark)).fold(0.0, f64::max);
        let (from_ms, to_ms) = match holds.first() {
            Some(first) => (first.at_ms, ends()),
            None => {
                let last = marks.get(MARKS_SHOWN).or(marks.last());
                (
                    marks.first().map_or(0.0, |mark| mark.at_ms),
                    last.map_or(0.0, end_ms),
                )
            }
        };
        let margin = ((to_ms - from_ms) * MARGIN).max(0.5);
        Self {
            from_ms: from_ms - margin,
            to_ms: to_ms + margin,
        }
    }

    /// Where a moment is, from 0 to 1; beyond these where it is outside.
    fn at(&self, ms: f64) -> f64 {
        (ms - self.from_ms) / (self.to_ms - self.from_ms)
    }

    fn holds(&self, mark: &Mark) -> bool {
        end_ms(mark) >= self.from_ms && mark.at_ms <= self.to_ms
    }
}

/// All of the time: which part of each column's time was held.
fn strip(number: usize, marks: &[Mark], stretch: &Stretch) -> String {
    let end = marks.iter().map(end_ms).fold(0.0, f64::max);
    let has_holds = marks
        .iter()
        .any(|mark| matches!(mark.kind, MarkKind::Hold { .. }));
    // Where the lanes show nearly all, or nothing was held, the strip says nothing more.
    if !has_holds || end <= 0.0 || stretch.to_ms - stretch.from_ms > 0.8 * end {
        return String::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "some hundred")]
    let columns = COLUMNS as f64;
    let mut columns_held = vec![0.0_f64; COLUMNS];
    for mark in marks {
        if let MarkKind::Hold { held_ms, .. } = mark.kind {
            hold(
                &mut columns_held,
                mark.at_ms / end * columns,
                held_ms / end * columns,
            );
        }
    }
    let mut svg = String::new();
    for (index, held) in columns_held
        .iter()
        .enumerate()
        .filter(|(_, held)| **held > 0.0)
    {
        #[expect(clippy::cast_precision_loss, reason = "some hundred")]
        let x = percent(index as f64 / columns);
        let height = (held.min(1.0) * STRIP_PX).max(1.5);
        svg.push_str(&format!(
            "<rect class=\"lost\" x=\"{x}\" y=\"{:.1}\" width=\"{}\" height=\"{height:.1}\"/>",
            STRIP_PX - height,
            percent(1.0 / columns)
        ));
    }
    let (x, width) = (
        percent(stretch.from_ms / end),
        percent((stretch.to_ms - stretch.from_ms.max(0.0)) / end),
    );
    let base = format!(
        "<line class=\"base\" x1=\"0\" x2=\"100%\" y1=\"{STRIP_PX}\" y2=\"{STRIP_PX}\"/>\
         <rect class=\"stretch\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"3\"/>",
        STRIP_PX + 3.0
    );
    let ends = format!(
        "<text class=\"tick\" x=\"0\" y=\"{0}\">0</text>\
         <text class=\"tick\" x=\"100%\" y=\"{0}\" text-anchor=\"end\">{1}</text>",
        STRIP_PX + 19.0,
        escape(&words::time(end))
    );
    let height = STRIP_PX + 24.0;
    format!(
        "<figure>\n<figcaption><h4>All of it</h4>which part of each moment was held; the line \
         beneath marks what is shown above</figcaption>\n\
         <svg role=\"img\" aria-labelledby=\"strip-{number}\" width=\"100%\" height=\"{height}\">\
         <title id=\"strip-{number}\">Which part of each moment of {} was held.</title>\
         {svg}{base}{ends}</svg>\n</figure>\n",
        escape(&words::time(end))
    )
}

/// Adds a hold to the columns that it touches, by the part of each that it takes.
fn hold(columns: &mut [f64], from: f64, length: f64) {
    let to = from + length;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and the cast saturates"
    )]
    let (first, last) = (from as usize, to as usize);
    let touched = columns.iter_mut().enumerate().skip(first);
    for (index, held) in touched.take(last.saturating_sub(first) + 1) {
        #[expect(clippy::cast_precision_loss, reason = "some hundred")]
        let start = index as f64;
        *held += (to.min(start + 1.0) - from.max(start)).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use uncork_trace::report::Cause;

    use super::*;

    fn held(at_ms: f64, held_ms: f64) -> Mark {
        let kind = MarkKind::Hold {
            cause: Cause::Nagle,
            held_ms,
            bytes: 2,
        };
        Mark { at_ms, kind }
    }

    #[test]
    fn holds_fill_columns() {
        let mut columns = [0.0; 4];
        hold(&mut columns, 0.5, 1.0);
        assert_eq!(columns, [0.5, 0.5, 0.0, 0.0]);
        hold(&mut columns, 3.5, 100.0);
        assert_eq!(columns, [0.5, 0.5, 0.0, 0.5]);
        hold(&mut columns, 100.0, 1.0);
        assert_eq!(columns, [0.5, 0.5, 0.0, 0.5]);
    }

    #[test]
    fn the_first_holds_are_shown() {
        let marks: Vec<Mark> = (0..10)
            .map(|n| held(f64::from(n) * 50.0 + 100.0, 40.0))
            .collect();
        let stretch = Stretch::of(&marks);
        assert!(
            stretch.from_ms < 100.0 && stretch.from_ms > 90.0,
            "{stretch:?}"
        );
        assert!(
            stretch.to_ms > 290.0 && stretch.to_ms < 300.0,
            "{stretch:?}"
        );
        assert_eq!(
            Stretch::of(&[]),
            Stretch {
                from_ms: -0.5,
                to_ms: 0.5
            }
        );
    }

    #[test]
    fn what_has_no_place_is_not_drawn() {
        assert_eq!(figure(0, &[]), "");
        assert_eq!(
            figure(0, &[held(f64::NAN, 1.0), held(-1.0, 1.0), held(1.0, 1e300)]),
            ""
        );
        // One moment alone has no length.
        let one = figure(
            0,
            &[Mark {
                at_ms: 0.0,
                kind: MarkKind::Ack,
            }],
        );
        assert!(!one.contains("NaN") && !one.contains("inf"), "{one}");
    }
}
