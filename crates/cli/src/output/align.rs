//! Columns of text: cells that end with a tab are padded so that neighbouring lines agree (elastic tab stops).
//!
//! In: lines with tabs. Out: lines with spaces. Never: tabs in the output, trailing padding after a line's last cell.

/// Spaces between a column's widest cell and the next column.
const PADDING: usize = 2;

/// Replaces tabs with spaces. A column reaches over consecutive lines that have a cell there which ends with a tab.
pub fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len().saturating_sub(1)]).collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut start = 0;
        while start < lines.len() {
            if widths[start].len() <= column {
                start += 1;
                continue;
            }
            let end = (start..lines.len()).find(|line| widths[*line].len() <= column).unwrap_or(lines.len());
            let width = (start..end).map(|line| lines[line][column].chars().count()).max().unwrap_or(0) + PADDING;
            for line in &mut widths[start..end] {
                line[column] = width;
            }
            start = end;
        }
    }
    let mut out = String::new();
    for (cells, widths) in lines.iter().zip(&widths) {
        for (at, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            if let Some(width) = widths.get(at) {
                out.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
            }
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        for (text, expected) in [
            ("", ""),
            ("plain\n", "plain\n"),
            ("Name:\tpi\nNamespace:\tdefault\n", "Name:       pi\nNamespace:  default\n"),
            ("a\tb\nlonger line without a tab\nccc\td\n", "a  b\nlonger line without a tab\nccc  d\n"),
            ("a\tb\tc\naaa\tbbb\tc\n", "a    b    c\naaa  bbb  c\n"),
            ("Labels:\ta=b\n\tc=d\n", "Labels:  a=b\n         c=d\n"),
            ("x\t\n", "x\n"),
            ("é\tb\nab\tc\n", "é   b\nab  c\n"),
        ] {
            assert_eq!(align(text), expected, "{text:?}");
        }
    }
}
