//! Time as an argument: the core never reads a clock.

use core::time::Duration;

/// Microseconds on the adapter's monotonic clock, counted from any moment the adapter chooses.
///
/// Unlike [`std::time::Instant`] it can be built from a number, so traces, fuzz inputs and simulations can hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment from which the adapter counts.
    pub const ZERO: Self = Self(0);

    /// The instant `micros` microseconds after [`Instant::ZERO`].
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since [`Instant::ZERO`].
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This instant moved forward; stays at the far end of time instead of overflowing.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// The time from `earlier` to this instant, zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Wall-clock time: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Given once with the [`Instant`] it belongs to; later wall times are derived from the monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// This time moved forward by `duration`, saturating.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// ISO 8601 in UTC with milliseconds, e.g. `2026-11-24T00:09:46.060Z`, as WAMP-CRA challenges and the meta API carry it.
    pub fn to_iso8601(self) -> String {
        let millis = self.0 / 1_000;
        let (days, in_day) = (millis / 86_400_000, millis % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        let (seconds, millis) = (in_day / 1_000, in_day % 1_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        if year > 9_999 {
            return format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z");
        }
        // Written for each line of a log: formatting takes ten times as long.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (last, mut n) in [(3, year), (6, month), (9, day), (12, hour), (15, minute), (18, second), (22, millis)] {
            for digit in text.iter_mut().take(last + 1).rev().take_while(|digit| digit.is_ascii_digit()) {
                *digit = b'0' + (n % 10) as u8;
                n /= 10;
            }
        }
        core::str::from_utf8(&text).unwrap_or_default().to_owned()
    }
}

impl UnixTime {
    /// Reads a timestamp of RFC 3339, e.g. `2026-11-24T01:09:46.06+01:00`; `None` for anything else, and for what is
    /// before 1970. Digits beyond microseconds are cut off, and a leap second is the last microsecond before it ends.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<u64> {
            let digits = bytes.get(from..to)?;
            let digit = |n: u64, byte: &u8| byte.is_ascii_digit().then(|| n * 10 + u64::from(byte - b'0'));
            digits.iter().try_fold(0, digit)
        };
        let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|byte| any.contains(byte));
        if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let valid = (1..=days_of_month(year, month)?).contains(&day) && hour < 24 && minute < 60 && second <= 60;
        let (mut at, mut fraction) = (19, 0);
        if is(at, b".") {
            let digits = bytes.get(20..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
            at = 20 + digits;
            let micros = number(20, 20 + digits.min(6)).filter(|_| digits > 0)?;
            fraction = micros * 10u64.pow(6 - digits.min(6) as u32);
        }
        if second == 60 {
            fraction = 999_999;
        }
        let seconds = (days_from_civil(year, month, day)? * 24 + hour) * 3_600 + minute * 60 + second.min(59);
        let local = seconds * 1_000_000 + fraction;
        let offset = || {
            let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            let whole = is(at + 3, b":") && bytes.len() == at + 6 && hours < 24 && minutes < 60;
            whole.then_some((hours * 60 + minutes) * 60_000_000)
        };
        let utc = match bytes.get(at)? {
            b'Z' | b'z' if bytes.len() == at + 1 => local,
            b'+' => local.checked_sub(offset()?)?,
            b'-' => local + offset()?,
            _ => return None,
        };
        valid.then_some(Self(utc))
    }
}

/// A duration in whole microseconds, saturating at `u64::MAX` (584,000 years).
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Days from 1 March of the year 0 to 1970-01-01.
const DAYS_TO_0000_03_01: u64 = 719_468;

/// Year, month and day of a number of days since 1970-01-01 in the proleptic Gregorian calendar.
///
/// Years are counted from 1 March so that the leap day is the last day of the year.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    const DAYS_PER_ERA: u64 = 146_097; // 400 years
    let days = days.saturating_add(DAYS_TO_0000_03_01);
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153; // 0 = March
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar; `None` before that.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let shifted_month = (month + 9) % 12; // 0 = March
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * shifted_month + 2) / 5 + day - 1;
    days.checked_sub(DAYS_TO_0000_03_01)
}

fn days_of_month(year: u64, month: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    Some(match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_known_moments() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (1_597_783_657_395_999, "2020-08-18T20:47:37.395Z"),
            (4_107_542_399_999_000, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(UnixTime(micros).to_iso8601(), text);
        }
        let _ = UnixTime(u64::MAX).to_iso8601();
    }

    #[test]
    fn reads_timestamps() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29t00:00:00.000z", Some(951_782_400_000_000)),
            ("2020-08-18T20:47:37.395Z", Some(1_597_783_657_395_000)),
            ("2020-08-18 22:47:37.395+02:00", Some(1_597_783_657_395_000)),
            ("2020-08-18T15:17:37.395-05:30", Some(1_597_783_657_395_000)),
            ("2020-08-18T20:47:37.3956789Z", Some(1_597_783_657_395_678)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_799_999_999)),
            ("1970-01-01T00:30:00+00:29", Some(60_000_000)),
            ("1970-01-01T00:30:00+00:31", None),
            ("1969-12-31T23:59:59Z", None),
            ("0000-01-01T00:00:00Z", None),
            ("2021-02-29T00:00:00Z", None),
            ("2020-13-01T00:00:00Z", None),
            ("2020-00-01T00:00:00Z", None),
            ("2020-01-00T00:00:00Z", None),
            ("2020-01-01T24:00:00Z", None),
            ("2020-01-01T00:00:00", None),
            ("2020-01-01T00:00:00.Z", None),
            ("2020-01-01T00:00:00Zx", None),
            ("2020-01-01T00:00:00+0100", None),
            ("2020-01-01", None),
            ("+020-01-01T00:00:00Z", None),
            ("2020-01-01T00:00:00+01:0\u{e9}", None),
            ("", None),
        ] {
            assert_eq!(UnixTime::parse_rfc3339(text), micros.map(UnixTime), "{text}");
        }
    }

    #[test]
    fn reads_what_it_writes() {
        for days in (0..200_000).step_by(13) {
            let time = UnixTime(days * 86_400_000_000 + 123_000);
            assert_eq!(UnixTime::parse_rfc3339(&time.to_iso8601()), Some(time));
        }
    }

    #[test]
    fn instants_saturate() {
        let end = Instant::from_micros(u64::MAX);
        assert_eq!(end.after(Duration::from_secs(1)), end);
        assert_eq!(Instant::ZERO.since(end), Duration::ZERO);
        assert_eq!(Instant::from_micros(7).since(Instant::from_micros(2)).as_micros(), 5);
    }
}
