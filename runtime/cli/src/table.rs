//! Tables in text: a header, a rule, and rows, with columns as wide as they must be.

use sanderling_wire::Printable;

/// Where a column's text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// A table that is filled row by row.
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Appends a row, one cell per column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // A cell is one line, whatever a name holds.
        let cells = cells.into_iter();
        self.rows
            .push(cells.map(|cell| Printable(&cell).to_string()).collect());
    }

    /// The table, two spaces between columns, without spaces at line ends.
    pub fn render(&self) -> String {
        let header: Vec<String> = self
            .columns
            .iter()
            .map(|(title, _)| (*title).into())
            .collect();
        let width = |column: usize| {
            let cells = self
                .rows
                .iter()
                .chain([&header])
                .filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let rule: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
        let mut text = String::new();
        for row in [&header, &rule].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for ((cell, &width), &(_, align)) in row.iter().zip(&widths).zip(&self.columns) {
                let space = " ".repeat(width - cell.chars().count());
                match align {
                    Align::Left => line.extend([cell, space.as_str()]),
                    Align::Right => line.extend([space.as_str(), cell]),
                }
                line.push_str("  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&[
            ("name", Align::Left),
            ("MACs", Align::Right),
            ("", Align::Left),
        ]);
        table.row(["é".to_owned(), "7".to_owned(), String::new()]);
        table.row(["conv".to_owned(), "12,000".to_owned(), "x".to_owned()]);
        let expected = "name    MACs\n────  ──────  ─\né          7\nconv  12,000  x\n";
        assert_eq!(table.render(), expected);
    }
}
