//! Tables that scroll inside their own box where the screen is narrow.

use crate::html::escape;

/// A table whose rows stand in groups, each under a heading of its own.
pub(super) struct Table {
    /// Names the caption for the box that scrolls.
    pub(super) id: &'static str,
    pub(super) caption: String,
    /// The heading over the rows' names, then one a cell.
    pub(super) columns: &'static [&'static str],
    pub(super) groups: Vec<Group>,
}

/// Rows that belong together.
pub(super) struct Group {
    pub(super) heading: String,
    pub(super) rows: Vec<Row>,
}

/// A named row.
pub(super) struct Row {
    pub(super) name: String,
    /// Smaller, beneath the name.
    pub(super) remark: Option<String>,
    /// Whether it is one of uncork's.
    pub(super) ours: bool,
    pub(super) cells: Vec<Cell>,
}

/// What stands in a column.
pub(super) struct Cell {
    text: String,
    /// Smaller, beneath the text.
    remark: Option<String>,
    /// Whether it tells of a loss.
    lost: bool,
}

impl Table {
    /// The table in its box.
    pub(super) fn html(&self) -> String {
        let Self { id, columns, .. } = self;
        let caption = escape(&self.caption);
        let headings: String = columns
            .iter()
            .map(|heading| format!("<th scope=\"col\">{}</th>", escape(heading)))
            .collect();
        let groups: String = self
            .groups
            .iter()
            .map(|group| group.html(columns.len()))
            .collect();
        // The box takes the focus, so that it scrolls by keyboard too.
        format!(
            "<div class=\"scroll\" role=\"region\" aria-labelledby=\"{id}\" tabindex=\"0\">\n\
             <table>\n<caption id=\"{id}\"><span>{caption}</span></caption>\n\
             <thead><tr>{headings}</tr></thead>\n{groups}</table>\n</div>\n"
        )
    }
}

impl Group {
    fn html(&self, columns: usize) -> String {
        let heading = escape(&self.heading);
        let rows: String = self.rows.iter().map(Row::html).collect();
        format!(
            "<tbody>\n<tr class=\"group\"><th colspan=\"{columns}\" scope=\"rowgroup\">\
             <span>{heading}</span></th></tr>\n{rows}</tbody>\n"
        )
    }
}

impl Row {
    fn html(&self) -> String {
        let class = if self.ours { " class=\"ours\"" } else { "" };
        let name = escape(&self.name);
        let remark = small(self.remark.as_deref());
        let cells: String = self.cells.iter().map(Cell::html).collect();
        format!("<tr{class}><th scope=\"row\">{name}{remark}</th>{cells}</tr>\n")
    }
}

impl Cell {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            remark: None,
            lost: false,
        }
    }

    /// Tells of a loss, in colour. The words have to say so too.
    pub(super) fn lost(text: impl Into<String>) -> Self {
        Self {
            lost: true,
            ..Self::plain(text)
        }
    }

    pub(super) fn remark(self, remark: impl Into<String>) -> Self {
        Self {
            remark: Some(remark.into()),
            ..self
        }
    }

    fn html(&self) -> String {
        let class = if self.lost { " class=\"lost\"" } else { "" };
        let text = escape(&self.text);
        let remark = small(self.remark.as_deref());
        format!("<td{class}>{text}{remark}</td>")
    }
}

fn small(remark: Option<&str>) -> String {
    remark.map_or_else(String::new, |remark| {
        format!(" <small>{}</small>", escape(remark))
    })
}
