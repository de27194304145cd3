//! How long the holds were. Delayed ACKs show as one high bar at 40 ms.

use super::super::words;
use super::{escape, percent};
use crate::words::{count, counted};

/// Bars a power of ten.
const PER_DECADE: i32 = 10;

/// Shortest and longest hold that have a bar of their own, as powers of ten of milliseconds: beyond
/// them is a microsecond and a quarter of an hour.
const DECADE_MIN: i32 = -3;
const DECADE_MAX: i32 = 6;

/// Bars at least, so that one length alone does not look like all lengths.
const BARS_MIN: i32 = PER_DECADE;

/// Height of the highest bar.
const HEIGHT_PX: f64 = 84.0;

/// Room above the bars for their counts, and beneath them for the axis.
const ABOVE_PX: f64 = 16.0;
const AXIS_PX: f64 = 20.0;

/// The histogram; nothing where there is no hold.
pub(super) fn figure(number: usize, holds_ms: &[f64]) -> String {
    let bins: Vec<i32> = holds_ms.iter().filter_map(|ms| bin(*ms)).collect();
    let (Some(least), Some(most)) = (bins.iter().min(), bins.iter().max()) else {
        return String::new();
    };
    // Whole decades, as far as there is anything.
    let first = least.div_euclid(PER_DECADE) * PER_DECADE;
    let last = (most.div_euclid(PER_DECADE) + 1) * PER_DECADE;
    let last = last.max(first + BARS_MIN);
    let bars = f64::from(last - first);
    let counts: Vec<(i32, usize)> = (first..last)
        .map(|bin| (bin, bins.iter().filter(|other| **other == bin).count()))
        .filter(|(_, count)| *count > 0)
        .collect();
    let highest = counts.iter().map(|(_, count)| *count).max().unwrap_or(1);
    let bottom = ABOVE_PX + HEIGHT_PX;
    let mut svg = String::new();
    for (bin, number) in &counts {
        #[expect(clippy::cast_precision_loss, reason = "pixels")]
        let height = (*number as f64 / highest as f64 * HEIGHT_PX).max(2.0);
        let from = f64::from(bin - first) / bars;
        let (x, width) = (percent(from), percent(0.92 / bars));
        let middle = percent(from + 0.46 / bars);
        let top = bottom - height;
        let label = count(*number as u64);
        let range = format!(
            "{} to {}",
            words::time(edge_ms(*bin)),
            words::time(edge_ms(bin + 1))
        );
        let title = escape(&format!("{range}: {}", counted(*number as u64, "hold")));
        svg.push_str(&format!(
            "<g><title>{title}</title><rect class=\"lost\" x=\"{x}\" y=\"{top:.1}\" width=\"{width}\" \
             height=\"{height:.1}\"/></g><text class=\"count\" x=\"{middle}\" y=\"{:.1}\">{label}</text>\n",
            top - 4.0
        ));
    }
    let ticks = ticks(first, last, bottom);
    let caption = counted(bins.len() as u64, "hold");
    let description = format!(
        "How long {caption} were, in bars; the highest holds {}.",
        counted(highest as u64, "hold")
    );
    format!(
        "<figure class=\"histogram\">\n<figcaption><h4>How long the holds were</h4>\
         {caption}, the latest; each decade has ten bars</figcaption>\n\
         <svg role=\"img\" aria-labelledby=\"holds-{number}\" width=\"100%\" height=\"{}\">\
         <title id=\"holds-{number}\">{description}</title>\n{svg}\
         <line class=\"base\" x1=\"0\" x2=\"100%\" y1=\"{bottom}\" y2=\"{bottom}\"/>\n{ticks}</svg>\n</figure>\n",
        bottom + AXIS_PX
    )
}

/// Which bar a length is in.
#[expect(clippy::cast_possible_truncation, reason = "clamped")]
fn bin(ms: f64) -> Option<i32> {
    if !(ms.is_finite() && ms > 0.0) {
        return None;
    }
    let decades = ms
        .log10()
        .clamp(f64::from(DECADE_MIN), f64::from(DECADE_MAX));
    // A length on an edge belongs to the bar that begins there, whatever the logarithm's last bit.
    Some((decades * f64::from(PER_DECADE) + 1e-9).floor() as i32)
}

/// Where a bar begins.
fn edge_ms(bin: i32) -> f64 {
    10_f64.powf(f64::from(bin) / f64::from(PER_DECADE))
}

/// 1, 2 and 5 of each decade.
fn ticks(first: i32, last: i32, bottom: f64) -> String {
    let bars = f64::from(last - first);
    let decades = first / PER_DECADE..=last / PER_DECADE;
    // On a phone there is room for a few labels only.
    let steps: &[f64] = if bars > 20.0 {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let mut text = String::new();
    for decade in decades {
        for step in steps {
            let ms = step * 10_f64.powi(decade);
            let at = (ms.log10() * f64::from(PER_DECADE) - f64::from(first)) / bars;
            if !(-1e-9..=1.0 + 1e-9).contains(&at) {
                continue;
            }
            let anchor = match at {
                at if at < 0.01 => "start",
                at if at > 0.99 => "end",
                _ => "middle",
            };
            let label = escape(&label(ms));
            text.push_str(&format!(
                "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{label}</text>\n",
                percent(at),
                bottom + 15.0
            ));
        }
    }
    text
}

/// `20 ms`, `0.5 ms`, `2 s`: round values, without what [`words::time`] adds.
fn label(ms: f64) -> String {
    match ms {
        ms if ms >= 999.0 => format!("{:.0} s", ms / 1000.0),
        ms if ms >= 0.99 => format!("{ms:.0} ms"),
        ms => format!("{:.0} µs", ms * 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        assert_eq!(bin(1.0), Some(0));
        assert_eq!(bin(10.0), Some(10));
        assert_eq!(bin(43.0), Some(16));
        assert_eq!(bin(0.1), Some(-10));
        assert_eq!(bin(1e-300), Some(-30));
        assert_eq!(bin(1e300), Some(60));
        for nothing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(bin(nothing), None);
        }
        assert!((edge_ms(16) - 39.8).abs() < 0.1);
        assert_eq!(figure(0, &[f64::NAN]), "");
    }
}
