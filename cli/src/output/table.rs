//! Columns padded with spaces, as Docker prints them.

use super::template::plain;
use super::{Column, Row};

const GAP: usize = 3;

/// A heading and a line for each row.
pub fn render(columns: &[Column], rows: &[Row]) -> String {
    let mut lines = vec![columns.iter().map(|(heading, _)| *heading).collect::<Vec<_>>().join("\t")];
    for row in rows {
        let cells = columns.iter().map(|(_, field)| row.get(*field).map(plain).unwrap_or_default());
        lines.push(cells.map(|cell| cell.replace(['\t', '\n'], " ")).collect::<Vec<_>>().join("\t"));
    }
    align(&lines)
}

/// Turns the tabs of lines into columns. The last column is not padded.
pub fn align(lines: &[String]) -> String {
    let cells: Vec<Vec<&str>> = lines.iter().map(|line| line.split('\t').collect()).collect();
    let count = cells.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| cells.iter().filter_map(|c| c.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0) + GAP).collect();
    let mut text = String::new();
    for line in &cells {
        let (last, before) = line.split_last().expect("split yields one part at least");
        for (cell, width) in before.iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
        }
        text.push_str(last);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |a: &str, b: &str| Row::from_iter([("A".into(), a.into()), ("B".into(), b.into())]);
        let text = render(&[("FIRST", "A"), ("SECOND", "B")], &[row("x", "one\ttwo"), row("naïve long", "")]);
        assert_eq!(text, "FIRST        SECOND\nx            one two\nnaïve long   \n");
    }
}
