//! Numbers as people read them.

use std::fmt::Write;

/// `12,501,632`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `54,996 B`.
pub fn bytes(n: usize) -> String {
    format!("{} B", count(n as u64))
}

/// `12.34 s`, or `1.234 ms` below a second.
pub fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.3} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// `1×3×32×32`.
pub fn shape(dims: &[usize]) -> String {
    sanderling_executor::frames::dimensions(dims)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `part` of `whole` as a bar of `width` characters, in eighths of a character.
pub fn bar(part: usize, whole: usize, width: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (part * width * 8)
        .checked_div(whole)
        .unwrap_or(0)
        .min(width * 8);
    let mut text = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        text.push(EIGHTHS[eighths % 8]);
    }
    let drawn = text.chars().count();
    text.extend(std::iter::repeat_n(' ', width - drawn));
    text
}

/// `name`, cut in the middle where it is longer than `width` characters.
pub fn shortened(name: &str, width: usize) -> String {
    let len = name.chars().count();
    if len <= width {
        return name.to_owned();
    }
    let head = width / 3;
    let tail = width - head - 1;
    let start: String = name.chars().take(head).collect();
    let end: String = name.chars().skip(len - tail).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(12_501_632), "12,501,632");
    }

    #[test]
    fn a_bar_is_as_long_as_its_width() {
        for part in 0..=50 {
            assert_eq!(bar(part, 50, 7).chars().count(), 7);
        }
        assert_eq!(bar(25, 50, 4), "██  ");
        assert_eq!(bar(1, 0, 2), "  ");
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("conv", 10), "conv");
        assert_eq!(
            shortened("model/block/conv/QuantizeLinear", 10),
            "mod…Linear"
        );
    }
}
