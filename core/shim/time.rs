//! The time of day, as logs and records tell it.

use crate::sys;

/// Bytes of `2024-01-01T00:00:00.123456789Z`.
pub const LENGTH: usize = 30;

/// Now, in UTC.
pub fn now() -> [u8; LENGTH] {
    let (sec, nsec) = sys::clock(0);
    rfc3339(sec, i64::from(nsec))
}

fn rfc3339(sec: i64, nsec: i64) -> [u8; LENGTH] {
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let (days, rest) = (sec.div_euclid(86400), sec.rem_euclid(86400));
    let (year, month, day) = date(days);
    let fields = [(0, 4, year), (5, 2, month), (8, 2, day), (11, 2, rest / 3600), (14, 2, rest / 60 % 60)];
    for (at, width, value) in fields.into_iter().chain([(17, 2, rest % 60), (20, 9, nsec)]) {
        digits(&mut text[at..at + width], value);
    }
    text
}

fn digits(field: &mut [u8], mut value: i64) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a day since 1970, in a calendar whose years begin in March: the leap day is
/// then the last of its year, and an era of 400 years always has 146 097 days.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (era * 400 + year + i64::from(month <= 2), month, of_year - (153 * march + 2) / 5 + 1)
}
