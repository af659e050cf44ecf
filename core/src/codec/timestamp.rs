//! Points in time: timestamps of MsgPack, dates and times of CBOR, text of RFC 3339.

/// Seconds from 1970 back to the year 1, and on to the end of the year 9999.
pub(super) const EARLIEST: u64 = 62_135_596_800;
pub(super) const LATEST: u64 = 253_402_300_799;

const DAY: i64 = 86_400;
/// Days from 1 March of the year 0 to 1970, and in 400 years.
const TO_1970: i64 = 719_468;
const FOUR_CENTURIES: i64 = 146_097;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timestamp {
    /// Since 1970, without leap seconds.
    pub(super) seconds: i64,
    /// Less than a billion.
    pub(super) nanos: u32,
}

impl Timestamp {
    /// The data of a timestamp of MsgPack: 32 bits of seconds, 30 bits of nanoseconds and 34 of seconds, or 32 and 64.
    pub(super) fn from_msgpack(data: &[u8]) -> Option<Self> {
        let first = u32::from_be_bytes(*data.first_chunk()?);
        let (seconds, nanos) = match data.len() {
            4 => (i64::from(first), 0),
            8 => {
                let both = u64::from_be_bytes(*data.first_chunk()?);
                ((both & ((1 << 34) - 1)) as i64, first >> 2)
            }
            12 => (i64::from_be_bytes(*data.last_chunk()?), first),
            _ => return None,
        };
        (nanos < 1_000_000_000).then_some(Self { seconds, nanos })
    }

    /// Seconds since 1970 as CBOR writes them, which within its range are exact to a microsecond or so.
    pub(super) fn from_seconds(seconds: f64) -> Self {
        let whole = seconds.floor();
        let micros = ((seconds - whole) * 1e6).round() as u32;
        let whole = whole as i64;
        if micros < 1_000_000 {
            Self { seconds: whole, nanos: micros * 1_000 }
        } else {
            Self { seconds: whole.saturating_add(1), nanos: 0 }
        }
    }

    /// Reads text of which [`is_date_and_time`] says that it is one; digits beyond nanoseconds are cut off.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let number = |from: usize, to: usize| digits(text, from..to).map(i64::from);
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let clock = number(11, 13)? * 3_600 + number(14, 16)? * 60 + number(17, 19)?;
        let mut at = 19;
        let mut nanos = 0;
        if text.get(at) == Some(&b'.') {
            let fraction = text.get(20..)?.iter().take_while(|byte| byte.is_ascii_digit());
            nanos =
                fraction.clone().chain([&b'0'; 9]).take(9).fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
            at = 20 + fraction.count();
        }
        let offset = match text.get(at)? {
            b'Z' => 0,
            sign => {
                let offset = number(at + 1, at + 3)? * 3_600 + number(at + 4, at + 6)? * 60;
                if *sign == b'-' { -offset } else { offset }
            }
        };
        Some(Self { seconds: days_from_civil(year, month, day) * DAY + clock - offset, nanos })
    }

    /// Whether its year has four digits, so that RFC 3339 and CBOR have it.
    pub(super) const fn has_four_digits(self) -> bool {
        self.seconds >= -(EARLIEST as i64) && self.seconds <= LATEST as i64
    }

    /// The text of RFC 3339, in UTC, with no, three, six or nine digits after the second. Years beyond four digits have
    /// a sign and six digits or more, as in ISO 8601 and JavaScript.
    pub(super) fn to_text(self) -> String {
        let (days, clock) = (self.seconds.div_euclid(DAY), self.seconds.rem_euclid(DAY));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
        let year = if self.has_four_digits() { format!("{year:04}") } else { format!("{year:+07}") };
        let fraction = match self.nanos {
            0 => String::new(),
            nanos if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
            nanos if nanos % 1_000 == 0 => format!(".{:06}", nanos / 1_000),
            nanos => format!(".{nanos:09}"),
        };
        format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
    }
}

/// Days since 1970 of a date of the Gregorian calendar. Years begin in March, so that the leap day is their last.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month < 3 { year - 1 } else { year };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * FOUR_CENTURIES + year * 365 + year / 4 - year / 100 + day - TO_1970
}

/// The date of the Gregorian calendar, of days since 1970.
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + TO_1970;
    let (era, day) = (days.div_euclid(FOUR_CENTURIES), days.rem_euclid(FOUR_CENTURIES));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + later, month, day)
}

/// Whether text is a date and time of RFC 3339 that a calendar has.
pub(super) fn is_date_and_time(text: &[u8]) -> bool {
    let Some((date, [b'T', time @ ..])) = text.split_at_checked(10) else { return false };
    let Some((clock, rest)) = time.split_at_checked(8) else { return false };
    let two = |text: &[u8], at: usize, below: u32| digits(text, at..at + 2).is_some_and(|number| number < below);
    let clock_is_right =
        two(clock, 0, 24) && clock[2] == b':' && two(clock, 3, 60) && clock[5] == b':' && two(clock, 6, 60);
    let zone = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            fraction.get(digits..).unwrap_or_default()
        }
        zone => zone,
    };
    let zone_is_right = match zone {
        b"Z" => true,
        [b'+' | b'-', offset @ ..] if offset.len() == 5 => {
            two(offset, 0, 24) && offset[2] == b':' && two(offset, 3, 60)
        }
        _ => false,
    };
    is_date(date) && clock_is_right && zone_is_right
}

/// Whether text is a date, as `2013-03-21`, that a calendar has.
pub(super) fn is_date(text: &[u8]) -> bool {
    let [_, _, _, _, b'-', _, _, b'-', _, _] = text else { return false };
    let (Some(year), Some(month), Some(day)) = (digits(text, 0..4), digits(text, 5..7), digits(text, 8..10)) else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    year > 0 && (1..=days).contains(&day)
}

/// The number that is written in decimal digits.
fn digits(text: &[u8], range: core::ops::Range<usize>) -> Option<u32> {
    text.get(range)?.iter().try_fold(0, |number, &digit| Some(number * 10 + char::from(digit).to_digit(10)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_text_of_rfc_3339() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (1_400_000_000, 123_000_000, "2014-05-13T16:53:20.123Z"),
            (951_782_400, 1_000, "2000-02-29T00:00:00.000001Z"),
            (-1, 999_999_999, "1969-12-31T23:59:59.999999999Z"),
            (4_107_542_399, 0, "2100-02-28T23:59:59Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
            (-(EARLIEST as i64), 0, "0001-01-01T00:00:00Z"),
            (LATEST as i64, 0, "9999-12-31T23:59:59Z"),
        ] {
            let timestamp = Timestamp { seconds, nanos };
            assert!(timestamp.has_four_digits());
            assert_eq!(timestamp.to_text(), text);
            assert!(is_date_and_time(text.as_bytes()));
            assert_eq!(Timestamp::from_text(text), Some(timestamp));
        }
        for (text, same) in [
            ("2013-03-21T20:04:00+02:30", "2013-03-21T17:34:00Z"),
            ("2013-03-21T20:04:00.5-23:00", "2013-03-22T19:04:00.500Z"),
            ("2013-03-21T20:04:00.0123456789Z", "2013-03-21T20:04:00.012345678Z"),
            ("0001-01-01T00:00:00+01:00", "+000000-12-31T23:00:00Z"),
        ] {
            assert_eq!(Timestamp::from_text(text).unwrap().to_text(), same);
        }
    }

    #[test]
    fn years_of_more_than_four_digits_have_a_sign() {
        for (seconds, text) in [
            (LATEST as i64 + 1, "+010000-01-01T00:00:00Z"),
            (8_640_000_000_000, "+275760-09-13T00:00:00Z"),
            (-8_640_000_000_000, "-271821-04-20T00:00:00Z"),
            (i64::MAX, "+292277026596-12-04T15:30:07Z"),
            (i64::MIN, "-292277022657-01-27T08:29:52Z"),
        ] {
            assert_eq!(Timestamp { seconds, nanos: 0 }.to_text(), text);
        }
    }

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        for days in (-800_000..4_000_000).step_by(17) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }

    #[test]
    fn fractions_of_seconds_are_rounded_to_microseconds() {
        let text = |seconds| Timestamp::from_seconds(seconds).to_text();
        assert_eq!(text(1_400_000_000.123), "2014-05-13T16:53:20.123Z");
        assert_eq!(text(-0.25), "1969-12-31T23:59:59.750Z");
        assert_eq!(text(0.999_999_9), "1970-01-01T00:00:01Z");
    }
}
