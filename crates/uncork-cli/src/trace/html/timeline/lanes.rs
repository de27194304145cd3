//! Writes, holds, arrivals and reads of a few holds' time, each kind in a lane of its own.

use uncork_trace::report::{Cause, Mark, MarkKind};

use super::{Stretch, end_ms};
use crate::trace::html::{escape, percent};
use crate::trace::words;
use crate::words::{count, counted};

/// From one lane to the next, and how high a mark is.
const LANE_PX: f64 = 40.0;
const MARK_PX: f64 = 16.0;

/// Room beneath the lanes for the axis.
const AXIS_PX: f64 = 20.0;

/// Marks that are nearer to each other than this part of the width are one.
const NEAR: f64 = 0.012;

/// Part of the width that a letter of a label takes on a desk's screen; on a phone's, labels are hidden.
const LETTER: f64 = 0.0095;

/// Part of the width at which a hold's length can be written into it.
const INSIDE_MIN: f64 = 0.1;

/// Sizes of single writes that a label names; of more it says how many.
const SIZES_NAMED: usize = 3;

/// Marks that are drawn in a lane.
const DRAWN_MAX: usize = 200;

/// A lane: its name, and the class of its marks.
const LANES: [(&str, &str); 4] = [
    ("writes", "write"),
    ("held", "lost"),
    ("comes in", "data"),
    ("reads", "read"),
];

/// The lanes over a stretch of time.
pub(super) fn svg(number: usize, marks: &[Mark], stretch: &Stretch) -> String {
    let shown: Vec<&Mark> = marks.iter().filter(|mark| stretch.holds(mark)).collect();
    // Samples see no calls: a lane without anything in it would say that there were none.
    let is_used = |index: usize| shown.iter().any(|mark| lane(mark.kind) == index);
    let lanes = LANES
        .iter()
        .enumerate()
        .filter(|(index, _)| is_used(*index));
    let lanes: Vec<_> = lanes.collect();
    #[expect(clippy::cast_precision_loss, reason = "four at most")]
    let height = lanes.len() as f64 * LANE_PX;
    let mut svg = axis(stretch, height);
    let mut top = 0.0;
    for (index, (name, class)) in lanes {
        let baseline = top + LANE_PX - 4.0;
        svg.push_str(&format!(
            "<text class=\"lane\" x=\"-10\" y=\"{:.1}\">{name}</text>\
             <line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{baseline}\" y2=\"{baseline}\"/>\n",
            baseline - 3.0
        ));
        let of_lane = shown.iter().filter(|mark| lane(mark.kind) == index);
        let of_lane: Vec<&Mark> = of_lane.copied().take(DRAWN_MAX).collect();
        svg.push_str(&match class {
            &"lost" => holds(&of_lane, stretch, baseline),
            class => ticks(&of_lane, stretch, baseline, class),
        });
        top += LANE_PX;
    }
    let description = description(&shown);
    format!(
        "<svg class=\"lanes\" role=\"img\" aria-labelledby=\"lanes-{number}\" \
         height=\"{}\"><title id=\"lanes-{number}\">{description}</title>\n{svg}</svg>\n",
        height + AXIS_PX
    )
}

fn lane(kind: MarkKind) -> usize {
    match kind {
        MarkKind::Write(_) => 0,
        MarkKind::Hold { .. } => 1,
        MarkKind::Data(_) | MarkKind::Ack => 2,
        MarkKind::Read(_) => 3,
    }
}

fn description(shown: &[&Mark]) -> String {
    let counts = [0, 1, 3].map(|index| {
        let of_lane = shown.iter().filter(|mark| lane(mark.kind) == index);
        of_lane.count() as u64
    });
    format!(
        "{}, {} and {} in the order of time.",
        counted(counts[0], "write"),
        counted(counts[1], "hold"),
        counted(counts[2], "read")
    )
}

fn holds(marks: &[&Mark], stretch: &Stretch, baseline: f64) -> String {
    let mut svg = String::new();
    for mark in marks {
        let MarkKind::Hold {
            cause,
            held_ms,
            bytes,
        } = mark.kind
        else {
            continue;
        };
        let (from, to) = (
            stretch.at(mark.at_ms).max(0.0),
            stretch.at(end_ms(mark)).min(1.0),
        );
        let length = escape(&words::time(held_ms));
        let title = escape(&format!(
            "{} held {length} by {}",
            counted(u64::from(bytes), "byte"),
            words::cause(cause)
        ));
        let class = match cause {
            Cause::Cork => "cork",
            _ => "lost",
        };
        svg.push_str(&format!(
            "<g><title>{title}</title><rect class=\"{class}\" x=\"{}\" y=\"{:.1}\" width=\"{}\" \
             height=\"{MARK_PX}\"/></g>",
            percent(from),
            baseline - MARK_PX,
            percent((to - from).max(0.002)),
        ));
        if to - from >= INSIDE_MIN {
            svg.push_str(&format!(
                "<text class=\"inside\" x=\"{}\" y=\"{:.1}\" text-anchor=\"middle\">{length}</text>",
                percent((from + to) / 2.0),
                baseline - 4.0
            ));
        }
        svg.push('\n');
    }
    svg
}

/// Marks that are so near to each other that they look like one.
struct Cluster<'a> {
    at: f64,
    until: f64,
    marks: Vec<&'a Mark>,
}

fn ticks(marks: &[&Mark], stretch: &Stretch, baseline: f64, class: &str) -> String {
    let clusters = clusters(marks, stretch);
    let mut svg = String::new();
    for (index, cluster) in clusters.iter().enumerate() {
        for mark in &cluster.marks {
            let x = percent(stretch.at(mark.at_ms));
            // A bare ACK is there, but brings nothing.
            let (class, height) = match mark.kind {
                MarkKind::Ack => ("ack", MARK_PX / 2.0),
                _ => (class, MARK_PX),
            };
            svg.push_str(&format!(
                "<line class=\"{class}\" x1=\"{x}\" x2=\"{x}\" y1=\"{:.1}\" y2=\"{baseline}\"/>",
                baseline - height
            ));
        }
        let label = label(&cluster.marks);
        let next = clusters.get(index + 1).map_or(1.01, |next| next.at);
        #[expect(clippy::cast_precision_loss, reason = "a few letters")]
        let width = label.chars().count() as f64 * LETTER;
        if cluster.at + width < next {
            svg.push_str(&format!(
                "<text class=\"bytes\" x=\"{}\" y=\"{:.1}\">{}</text>",
                percent(cluster.at),
                baseline - MARK_PX - 3.0,
                escape(&label)
            ));
        }
        svg.push('\n');
    }
    svg
}

fn clusters<'a>(marks: &[&'a Mark], stretch: &Stretch) -> Vec<Cluster<'a>> {
    let mut clusters: Vec<Cluster<'a>> = Vec::new();
    for mark in marks {
        let at = stretch.at(mark.at_ms);
        match clusters.last_mut().filter(|last| at - last.until < NEAR) {
            Some(last) => {
                last.until = at;
                last.marks.push(mark);
            }
            None => clusters.push(Cluster {
                at,
                until: at,
                marks: vec![mark],
            }),
        }
    }
    clusters
}

/// `53 + 351 + 2 B`, `7 × 1,400 B`, `12 in all 3,000 B`, `ACK`.
fn label(marks: &[&Mark]) -> String {
    let bytes = marks.iter().filter_map(|mark| match mark.kind {
        MarkKind::Write(bytes) | MarkKind::Read(bytes) | MarkKind::Data(bytes) => {
            Some(u64::from(bytes))
        }
        MarkKind::Ack | MarkKind::Hold { .. } => None,
    });
    let bytes: Vec<u64> = bytes.collect();
    match &bytes[..] {
        [] => "ACK".to_owned(),
        few if few.len() <= SIZES_NAMED => {
            let few: Vec<String> = few.iter().map(|bytes| count(*bytes)).collect();
            format!("{} B", few.join(" + "))
        }
        same if same.iter().all(|bytes| *bytes == same[0]) => {
            format!("{} × {} B", same.len(), count(same[0]))
        }
        many => format!("{}: {} B", many.len(), count(many.iter().sum())),
    }
}

/// Lines at round times.
fn axis(stretch: &Stretch, height: f64) -> String {
    let length = stretch.to_ms - stretch.from_ms;
    let decade = 10_f64.powf(length.log10().floor());
    let steps = [0.1, 0.2, 0.5, 1.0].map(|part| part * decade);
    let step = steps.into_iter().find(|step| length / step <= 6.0);
    let step = step.unwrap_or(length);
    let first = (stretch.from_ms.max(0.0) / step).ceil();
    let mut svg = String::new();
    for index in 0..8_u32 {
        let ms = (first + f64::from(index)) * step;
        let at = stretch.at(ms);
        if at > 1.0 {
            break;
        }
        let x = percent(at);
        svg.push_str(&format!(
            "<line class=\"grid\" x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"{height}\"/>\
             <text class=\"tick\" x=\"{x}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
            height + 15.0,
            escape(&words::time(ms))
        ));
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        #[track_caller]
        fn check(kinds: &[MarkKind], expected: &str) {
            let marks: Vec<Mark> = kinds
                .iter()
                .map(|kind| Mark {
                    at_ms: 0.0,
                    kind: *kind,
                })
                .collect();
            assert_eq!(label(&marks.iter().collect::<Vec<_>>()), expected);
        }
        check(&[MarkKind::Ack], "ACK");
        check(&[MarkKind::Ack, MarkKind::Data(42)], "42 B");
        check(&[53, 351, 2].map(MarkKind::Write), "53 + 351 + 2 B");
        check(&[1400; 7].map(MarkKind::Write), "7 × 1,400 B");
        check(&[1, 2, 3, 4].map(MarkKind::Write), "4: 10 B");
    }
}
