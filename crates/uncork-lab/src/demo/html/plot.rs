//! Bars in SVG, one beneath the other.
//!
//! An SVG is as wide as its axis, lengths are percentages of it, and everything else is in
//! pixels without a view box: on a phone bars get shorter and text stays as large as it is.
//! Labels and values stand outside, in margins of their own.

use super::scale::Tick;
use crate::html::escape;

/// A plot with its heading.
pub(super) struct Panel {
    /// Unique in the page.
    pub(super) id: String,
    /// What is plotted, where the headings around the panel say it and `title` alone does not.
    pub(super) topic: String,
    pub(super) title: String,
    /// What a reader needs to know of the scale.
    pub(super) note: String,
    pub(super) labels: Labels,
    pub(super) ticks: Vec<Tick>,
    pub(super) bars: Vec<Bar>,
}

/// Where the names of the bars stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Labels {
    /// Above each bar: for long names.
    Above,
    /// Left of the bars.
    Beside,
}

/// One bar. Lengths are fractions of the axis.
#[derive(Default)]
pub(super) struct Bar {
    pub(super) label: String,
    /// Whether it is one of uncork's.
    pub(super) ours: bool,
    pub(super) length: f64,
    /// The part of `length` that is loss, from the beginning on.
    pub(super) lost: f64,
    /// How far a thin line goes beyond the bar: the worst that was seen.
    pub(super) worst: f64,
    /// Written on the lost part if it has room.
    pub(super) inside: String,
    pub(super) value: String,
    /// Written paler, after the value.
    pub(super) remark: String,
    /// The value is zero and good: a ring shows it where a bar would have no length.
    pub(super) zero: bool,
}

/// Height of a bar.
const BAR_PX: f64 = 14.0;

/// Between a bar and its value.
const GAP_PX: f64 = 6.0;

/// Room beneath the bars for the ticks' labels.
const AXIS_PX: f64 = 20.0;

/// Least share of the axis on which the text inside a bar has room, on a phone too.
const INSIDE_MIN: f64 = 0.27;

/// The measures that follow from where the labels stand.
struct Layout {
    class: &'static str,
    /// From one bar to the next.
    row_px: f64,
    /// From the top of a row to its bar.
    bar_top_px: f64,
    /// From the top of a row to the baseline of its label.
    label_px: f64,
    /// How far the line at zero goes beyond each bar.
    base_px: f64,
    /// Left of the bars.
    gutter_px: f64,
    /// Right of the axis, for the value of the longest bar.
    margin_px: f64,
}

impl Labels {
    fn layout(self) -> Layout {
        match self {
            Self::Above => Layout {
                class: "above",
                row_px: 40.0,
                bar_top_px: 19.0,
                label_px: 13.0,
                base_px: 1.5,
                gutter_px: 0.0,
                margin_px: 68.0,
            },
            Self::Beside => Layout {
                class: "beside",
                row_px: 23.0,
                bar_top_px: 4.0,
                label_px: 15.5,
                base_px: 4.5,
                gutter_px: 156.0,
                margin_px: 62.0,
            },
        }
    }
}

impl Panel {
    /// The plot as a figure.
    pub(super) fn html(&self) -> String {
        let layout = self.labels.layout();
        #[expect(clippy::cast_precision_loss, reason = "a plot has a few bars")]
        let height = self.bars.len() as f64 * layout.row_px;
        let axis = if self.ticks.is_empty() { 0.0 } else { AXIS_PX };
        let id = escape(&self.id);
        let title = escape(&self.title);
        let topic = escape(&self.topic);
        let note = escape(&self.note);
        let ticks = self.ticks(&layout, height);
        let mut top = 0.0;
        let mut bars = String::new();
        for bar in &self.bars {
            bars += &bar.svg(&layout, top);
            top += layout.row_px;
        }
        let total = height + axis;
        let (gutter, class) = (layout.gutter_px, layout.class);
        let outside = gutter + layout.margin_px;
        format!(
            "<figure>\n<figcaption><h4>{title}</h4>{note}</figcaption>\n\
             <svg class=\"{class}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" \
             width=\"100%\" height=\"{total}\" \
             style=\"margin-left:{gutter}px;width:calc(100% - {outside}px)\">\n<title id=\"{id}-title\">{topic}: {title}</title>\n\
             <desc id=\"{id}-desc\">{}</desc>\n\
             {ticks}{bars}</svg>\n</figure>\n",
            escape(&self.description())
        )
    }

    /// The plot in words, for those who don't see it.
    fn description(&self) -> String {
        let bars: Vec<String> = self.bars.iter().map(Bar::words).collect();
        format!("Bars. {}.", bars.join("; "))
    }

    fn ticks(&self, layout: &Layout, height: f64) -> String {
        let baseline = height + 15.0;
        self.ticks
            .iter()
            .map(|tick| {
                let x = percent(tick.at);
                let line = if tick.at == 0.0 {
                    // Each bar has its own part of this line, clear of the label above it.
                    String::new()
                } else {
                    format!("<line class=\"grid\" x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"{height}\"/>")
                };
                // Centred, the first label would leave a plot without a gutter.
                let anchor = if tick.at == 0.0 && layout.gutter_px == 0.0 {
                    "start"
                } else {
                    "middle"
                };
                format!(
                    "{line}<text class=\"tick\" x=\"{x}\" y=\"{baseline}\" \
                     text-anchor=\"{anchor}\">{}</text>\n",
                    escape(&tick.label)
                )
            })
            .collect()
    }
}

impl Bar {
    fn words(&self) -> String {
        let parts = [&self.value, &self.inside, &self.remark];
        let parts: Vec<&str> = parts
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        format!("{}: {}", self.label, parts.join(", "))
    }

    fn svg(&self, layout: &Layout, top: f64) -> String {
        let length = unit(self.length);
        let lost = unit(self.lost).min(length);
        let end = length.max(unit(self.worst));
        let bar_top = top + layout.bar_top_px;
        let ours = if self.ours { " ours" } else { "" };

        let mut svg = format!(
            "<text class=\"label{ours}\" x=\"{}\" y=\"{}\">{}</text>",
            -layout.gutter_px,
            top + layout.label_px,
            escape(&self.label)
        );
        svg += &format!(
            "<line class=\"base\" x1=\"0\" x2=\"0\" y1=\"{}\" y2=\"{}\"/>",
            bar_top - layout.base_px,
            bar_top + BAR_PX + layout.base_px
        );
        let rect = |class: &str, from: f64, to: f64| {
            let x = percent(from);
            let width = percent(to - from);
            format!(
                "<rect class=\"{class}\" x=\"{x}\" y=\"{bar_top}\" width=\"{width}\" \
                 height=\"{BAR_PX}\"/>"
            )
        };
        if length > lost {
            svg += &rect(&format!("bar{ours}"), lost, length);
        }
        if lost > 0.0 {
            svg += &rect("lost", 0.0, lost);
        }
        let middle = bar_top + BAR_PX / 2.0;
        if end > length {
            svg += &format!(
                "<line class=\"worst\" x1=\"{}\" x2=\"{}\" y1=\"{middle}\" y2=\"{middle}\"/>",
                percent(length),
                percent(end),
            );
        }
        if self.zero {
            svg += &format!("<circle class=\"zero\" cx=\"0\" cy=\"{middle}\" r=\"4\"/>");
        }
        svg + &self.texts(bar_top + 11.5, lost, end) + "\n"
    }

    /// What is written on the bar and after it.
    fn texts(&self, baseline: f64, lost: f64, end: f64) -> String {
        let roomy = lost >= INSIDE_MIN;
        let mut texts = String::new();
        if roomy && !self.inside.is_empty() {
            texts += &format!(
                "<text class=\"inside\" x=\"0\" dx=\"{GAP_PX}\" y=\"{baseline}\">{}</text>",
                escape(&self.inside)
            );
        }
        let inside = if roomy { "" } else { self.inside.as_str() };
        let after: String = [inside, &self.remark]
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(|part| {
                format!(
                    "<tspan class=\"remark\" dx=\"{GAP_PX}\">{}</tspan>",
                    escape(part)
                )
            })
            .collect();
        let dx = if self.zero { 2.0 * GAP_PX } else { GAP_PX };
        texts
            + &format!(
                "<text class=\"value\" x=\"{}\" dx=\"{dx}\" y=\"{baseline}\">{}{after}</text>",
                percent(end),
                escape(&self.value)
            )
    }
}

/// A length as a fraction, whatever was computed.
fn unit(length: f64) -> f64 {
    if length.is_nan() {
        0.0
    } else {
        length.clamp(0.0, 1.0)
    }
}

fn percent(fraction: f64) -> String {
    format!("{:.2}%", fraction * 100.0)
}
