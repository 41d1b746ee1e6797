//! Durations and sizes as they are written in a model name or on the command line.

use std::time::Duration;

/// `250ms`, `3s`, `2m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("{text:?} is not a duration: write 200ms, 3s or 1m")),
    };
    number
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * scale).ok())
        .ok_or_else(|| format!("{text:?} is not a duration: write 200ms, 3s or 1m"))
}

/// `900`, `32k`, `2m` (powers of 1024), at most 64 MiB.
pub fn size(text: &str) -> Result<usize, String> {
    const MOST: usize = 64 << 20;
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        _ => return Err(format!("{text:?} is not a size: write 900, 32k or 2m")),
    };
    number
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(scale))
        .filter(|size| *size <= MOST)
        .ok_or_else(|| format!("{text:?} is not a size up to 64m: write 900, 32k or 2m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(size("32k"), Ok(32 << 10));
        assert_eq!(size("2MiB"), Ok(2 << 20));
        assert_eq!(size("7"), Ok(7));
        for bad in ["", "5", "ms", "-1s", "1e999s", "9x"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "k", "65m", "99999999999999999999", "1g"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
