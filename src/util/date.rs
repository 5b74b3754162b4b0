//! Points in time for people, in UTC.

/// A point in time as `2026-08-15 01:11`. `seconds` count since 1970.
pub fn minute(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{year}-{:02}-{day:02} {:02}:{:02}",
        month + 1,
        rest / 3600,
        rest / 60 % 60
    )
}

/// Year, month counted from 0, and day of a number of days since 1970.
pub fn date(mut days: u64) -> (u64, usize, u64) {
    let leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    // 400 years have always the same number of days.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 0;
    for length in [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_told_as_people_write_them() {
        assert_eq!(minute(0), "1970-01-01 00:00");
        assert_eq!(minute(1_786_756_263), "2026-08-15 01:11");
        assert_eq!(minute(951_782_399), "2000-02-28 23:59");
    }
}
