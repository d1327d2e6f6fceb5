//! Lengths of time, as people write and read them.

use jiff::SignedDuration;
use std::time::Duration;

/// `90s`, `9m`, `2h`, `1h30m` as a length of time.
///
/// # Errors
/// What was expected, where the text is none or is not above 0.
pub fn parse(text: &str) -> Result<Duration, String> {
    let length = text.parse::<SignedDuration>().ok().and_then(|length| Duration::try_from(length).ok());
    let length = length.filter(|length| !length.is_zero());
    length.ok_or_else(|| "expected a length of time above 0, such as 90s, 9m or 1h30m".to_string())
}

/// A length of time in its two largest units: `2h 05m`, `9m 30s`, `12s`.
pub fn tell(length: Duration) -> String {
    let seconds = length.as_secs_f64().round() as u64;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m {:02}s", seconds % 60),
        (1..100, _) => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{}d {:02}h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_people() {
        for (text, seconds) in [("90s", 90), ("9m", 540), ("2h", 7200), ("1h30m", 5400), ("1h 30m", 5400)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "9", "0s", "-9m", "9x", "m"] {
            assert!(parse(text).unwrap_err().contains("90s, 9m or 1h30m"), "{text}");
        }
    }

    #[test]
    fn two_units_are_told() {
        let told = |seconds| tell(Duration::from_secs(seconds));
        assert_eq!([0, 12, 570, 7500, 360_000].map(told), ["0s", "12s", "9m 30s", "2h 05m", "4d 04h"]);
    }
}
