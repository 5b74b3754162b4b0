//! `metadata/timestamp.chk`: when a tree was made.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::util::date::date;

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The text of `metadata/timestamp.chk` for a point in time, in UTC; one before 1970 counts as
/// 1970.
pub fn timestamp_chk(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    // 1970 began on a Thursday.
    let weekday = usize::try_from((days + 4) % 7).unwrap_or_default();
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} +0000\n",
        DAYS.get(weekday).unwrap_or(&""),
        MONTHS.get(month).unwrap_or(&""),
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_written_as_strftime_would() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000\n"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 +0000\n"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000\n"),
            (1_786_756_263, "Sat, 15 Aug 2026 01:11:03 +0000\n"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 +0000\n"),
            (13_574_649_599, "Tue, 29 Feb 2400 23:59:59 +0000\n"),
        ] {
            assert_eq!(
                timestamp_chk(UNIX_EPOCH + Duration::from_secs(seconds)),
                text
            );
        }
    }
}
