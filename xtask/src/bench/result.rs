//! What a bench found: tables of spreads, with the machine and the day, as JSON and Markdown.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use uncork_lab::demo::cpu_model;

use crate::command::{output, root};

/// A report, written to `bench/results/`.
#[derive(Debug)]
pub(crate) struct Report {
    name: &'static str,
    machine: Machine,
    tables: Vec<Table>,
    notes: Vec<String>,
}

/// One comparison: what was compared is a row, what was measured of it a column.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    measures: Vec<Measure>,
    rows: Vec<Row>,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    /// Its field in the JSON, the unit last: `client_cpu_us_per_message`.
    field: &'static str,
    /// Its heading in the Markdown, for people.
    heading: &'static str,
    /// How many digits behind the decimal point people get to see.
    digits: usize,
}

#[derive(Debug)]
struct Row {
    name: String,
    cells: Vec<Option<Spread>>,
}

/// The spread of one value over the runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    min: f64,
    median: f64,
    max: f64,
    runs: usize,
}

/// Where and when it was measured, without which a number says little.
#[derive(Debug)]
struct Machine {
    date: String,
    kernel: String,
    cpu: String,
    cores: usize,
    commit: String,
    command: String,
}

impl Measure {
    pub(crate) const fn new(field: &'static str, heading: &'static str, digits: usize) -> Self {
        Self {
            field,
            heading,
            digits,
        }
    }
}

impl Report {
    /// An empty report of the bench `name`, about this machine and the present day.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            machine: Machine::this(),
            tables: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// Adds a sentence about what the numbers don't say.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Writes `bench/results/NAME.json` and `NAME.md` and returns the Markdown's path.
    ///
    /// # Errors
    /// Where the files can't be written.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let folder = root().join("bench/results");
        fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        let write = |extension: &str, text: String| {
            let path = folder.join(self.name).with_extension(extension);
            fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
            anyhow::Ok(path)
        };
        write("json", format!("{:#}\n", self.json()))?;
        write("md", self.markdown())
    }

    pub(crate) fn markdown(&self) -> String {
        let machine = &self.machine;
        let mut text = format!(
            "# {}\n\n{}, {}, {} ({} cores), commit {}\n\n    {}\n",
            self.name,
            machine.date,
            machine.kernel,
            machine.cpu,
            machine.cores,
            machine.commit,
            machine.command
        );
        for table in &self.tables {
            let _ = write!(text, "\n## {}\n\n{}", table.title, table.markdown());
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "date": self.machine.date,
            "kernel": self.machine.kernel,
            "cpu": self.machine.cpu,
            "cores": self.machine.cores,
            "commit": self.machine.commit,
            "command": self.machine.command,
            "tables": self.tables.iter().map(Table::json).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, measures: &[Measure]) -> Self {
        Self {
            title: title.into(),
            measures: measures.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row: for each measure of the table, its values of all runs. A measure without
    /// values gets an empty cell.
    pub(crate) fn push(&mut self, name: impl Into<String>, values: &[Vec<f64>]) {
        assert_eq!(values.len(), self.measures.len(), "a cell for each measure");
        self.rows.push(Row {
            name: name.into(),
            cells: values.iter().map(|values| Spread::of(values)).collect(),
        });
    }

    /// Adds a row of runs, each with a value for each measure of the table.
    pub(crate) fn push_runs<const N: usize>(&mut self, name: impl Into<String>, runs: &[[f64; N]]) {
        let column = |measure: usize| runs.iter().map(|run| run[measure]).collect();
        let columns: Vec<Vec<f64>> = (0..N).map(column).collect();
        self.push(name, &columns);
    }

    fn markdown(&self) -> String {
        let headings = self.measures.iter().map(|measure| measure.heading);
        let mut text = format!(
            "| | {} | runs |\n",
            headings.collect::<Vec<_>>().join(" | ")
        );
        text.push_str("|---|");
        text.push_str(&"---:|".repeat(self.measures.len() + 1));
        text.push('\n');
        for row in &self.rows {
            let _ = write!(text, "| {} |", row.name);
            for (measure, cell) in self.measures.iter().zip(&row.cells) {
                let cell = cell.map_or_else(String::new, |cell| cell.text(measure.digits));
                let _ = write!(text, " {cell} |");
            }
            let runs = row.cells.iter().flatten().map(|cell| cell.runs).max();
            let _ = writeln!(text, " {} |", runs.unwrap_or(0));
        }
        text.push_str("\nMedian (least–most).\n");
        text
    }

    fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let cells = self.measures.iter().zip(&row.cells).map(|(measure, cell)| {
                let cell = cell.map_or(Value::Null, Spread::json);
                (measure.field.to_owned(), cell)
            });
            json!({"name": row.name, "values": cells.collect::<Map<_, _>>()})
        });
        json!({"title": self.title, "rows": rows.collect::<Vec<_>>()})
    }
}

impl Spread {
    /// The spread of these values, `None` if there are none.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], upper)
        } else {
            upper
        };
        Some(Self {
            min: *sorted.first()?,
            median,
            max: *sorted.last()?,
            runs: sorted.len(),
        })
    }

    /// The median, and the least and the most in parentheses where there is more than one value.
    pub(crate) fn text(self, digits: usize) -> String {
        if self.runs == 1 {
            return format!("{:.digits$}", self.median);
        }
        format!(
            "{:.digits$} ({:.digits$}–{:.digits$})",
            self.median, self.min, self.max
        )
    }

    fn json(self) -> Value {
        json!({
            "min": self.min,
            "median": self.median,
            "max": self.max,
            "runs": self.runs,
        })
    }
}

impl Machine {
    fn this() -> Self {
        let uname = rustix::system::uname();
        let word = |word: &std::ffi::CStr| word.to_string_lossy().into_owned();
        let mut arguments: Vec<String> = std::env::args().skip(1).collect();
        // A build's place is of no use to anybody else.
        if let Some(at) = arguments.iter().position(|argument| argument == "--uncork") {
            arguments.drain(at..arguments.len().min(at + 2));
        }
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            kernel: [uname.sysname(), uname.release(), uname.machine()]
                .map(word)
                .join(" "),
            cpu: cpu_model().unwrap_or_else(|| "unknown CPU".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            commit: commit(),
            command: format!("cargo xtask {}", arguments.join(" ")),
        }
    }
}

/// The commit that is measured, with a mark where files differ from it; the results
/// themselves don't count.
fn commit() -> String {
    let git = |arguments: &[&str]| output(Command::new("git").args(arguments).current_dir(root()));
    let Ok(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let changes = git(&["status", "--porcelain", "--", ".", ":!bench/results"]);
    match changes {
        Ok(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with changes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let check = |values: &[f64], expected: Option<(f64, f64, f64)>| {
            let spread = Spread::of(values).map(|spread| (spread.min, spread.median, spread.max));
            assert_eq!(spread, expected, "{values:?}");
        };
        check(&[], None);
        check(&[3.0], Some((3.0, 3.0, 3.0)));
        check(&[9.0, 1.0, 2.0], Some((1.0, 2.0, 9.0)));
        check(&[4.0, 1.0, 9.0, 2.0], Some((1.0, 3.0, 9.0)));
    }

    #[test]
    fn a_table_has_a_row_for_each_peer() {
        let rate = Measure::new("messages_per_second", "msg/s", 1);
        let mut table = Table::new("import", &[rate]);
        table.push("uncork", &[vec![2.0, 1.0, 4.0]]);
        table.push_runs("once", &[[3.0]]);
        table.push("missing", &[vec![]]);
        let expected = "| | msg/s | runs |\n|---|---:|---:|\n\
                        | uncork | 2.0 (1.0–4.0) | 3 |\n| once | 3.0 | 1 |\n| missing |  | 0 |\n\
                        \nMedian (least–most).\n";
        assert_eq!(table.markdown(), expected);
        let json = table.json();
        assert_eq!(json["rows"][0]["values"]["messages_per_second"]["max"], 4.0);
        assert!(json["rows"][2]["values"]["messages_per_second"].is_null());
    }
}
