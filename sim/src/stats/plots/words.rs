//! Numbers and lengths as they stand beside a plot.

use core::time::Duration;

/// A number with a mark after each three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if 0 < place && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

pub(super) fn in_words(length: Duration) -> String {
    match length {
        length if Duration::from_secs(1) <= length => {
            format!("{}.{} s", length.as_secs(), length.subsec_millis() / 100)
        }
        length if Duration::from_millis(1) <= length => format!("{} ms", length.as_millis()),
        length => format!("{} us", length.as_micros()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_lengths_are_in_words() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(in_words(Duration::from_millis(2345)), "2.3 s");
        assert_eq!(in_words(Duration::from_micros(900)), "900 us");
    }
}
