//! How numbers and texts stand in the cells of CSV files.

use std::borrow::Cow;

/// The shortest decimal that reads back as `value`, with an exponent where it would be long;
/// `nan`, `inf` or `-inf` where it is not finite.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "nan".into()
    } else if value == 0.0 || value.is_infinite() || (1e-5..1e16).contains(&size) {
        format!("{value}")
    } else {
        format!("{value:e}")
    }
}

/// [`number`], or an empty cell for what was not measured.
pub fn measured(value: Option<f64>) -> String {
    value.map(number).unwrap_or_default()
}

/// `text` with an apostrophe before a leading `=`, `+`, `-` or `@`, so that no spreadsheet takes it for a formula.
pub fn text(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@']) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// `value` rounded to so many decimals.
pub fn decimals(value: f64, digits: usize) -> f64 {
    format!("{value:.digits$}").parse().unwrap_or(value)
}

/// `value` rounded to so many significant digits (at least one).
pub fn significant(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_as_they_were() {
        for value in [0.0, 1.0, -2.5, 0.1 + 0.2, 1e-5, 3e-7, 1.7976931348623157e308, 5e-324, 123456789.125, 1e16] {
            assert_eq!(number(value).parse::<f64>().unwrap(), value);
            assert!(number(value).len() < 25, "{}", number(value));
        }
        assert_eq!(number(12.0), "12");
        assert_eq!(number(3e-7), "3e-7");
        assert_eq!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(number), ["nan", "inf", "-inf"]);
        assert_eq!(measured(None), "");
    }

    #[test]
    fn rounding_is_decimal() {
        assert_eq!(decimals(0.123456789, 6), 0.123457);
        assert_eq!(significant(123456.0, 5), 123460.0);
        assert_eq!(significant(0.00123456, 5), 0.0012346);
        assert!(significant(f64::NAN, 5).is_nan());
        assert_eq!(significant(f64::INFINITY, 5), f64::INFINITY);
    }

    #[test]
    fn formulas_get_an_apostrophe() {
        for formula in ["=1+1", "+a", "-a", "@a"] {
            assert_eq!(text(formula), format!("'{formula}"));
        }
        assert_eq!(text("random+vanilla"), "random+vanilla");
    }
}
