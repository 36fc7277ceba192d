//! The time of day that a template may ask for.

use std::fmt::Write as _;

use crate::error::EngineError;

/// A moment as a calendar shows it; whose clock it is, is the caller's matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatClock {
    /// Year of the Gregorian calendar, at most 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

impl ChatClock {
    /// Midnight of a date such as `2024-07-26`.
    ///
    /// # Errors
    /// When it is no date of the Gregorian calendar.
    pub fn midnight(date: &str) -> Result<Self, EngineError> {
        let wrong =
            || EngineError::Config(format!("'{date}' is no date; write it like 2024-07-26"));
        let parts: Vec<&str> = date.split('-').collect();
        let [year, month, day] = parts[..] else {
            return Err(wrong());
        };
        let is_plain =
            |part: &str, len| part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit());
        if !(is_plain(year, 4) && is_plain(month, 2) && is_plain(day, 2)) {
            return Err(wrong());
        }
        let clock = Self {
            year: year.parse().map_err(|_| wrong())?,
            month: month.parse().map_err(|_| wrong())?,
            day: day.parse().map_err(|_| wrong())?,
            hour: 0,
            minute: 0,
            second: 0,
        };
        let is_month = (1..=12).contains(&clock.month);
        if clock.year == 0 || !is_month || clock.day == 0 || clock.day > clock.days_of_month() {
            return Err(wrong());
        }
        Ok(clock)
    }

    /// The date, like `2024-07-26`.
    #[must_use]
    pub fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    fn is_leap_year(&self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    fn days_of_month(&self) -> u8 {
        match self.month {
            2 if self.is_leap_year() => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    fn day_of_year(&self) -> u16 {
        let before: u16 = (1..self.month)
            .map(|month| u16::from(Self { month, ..*self }.days_of_month()))
            .sum();
        before + u16::from(self.day)
    }

    /// 0 for Sunday: days since a Sunday before the year 1, by the calendar's rule of leap years.
    fn weekday(&self) -> usize {
        let years = usize::from(self.year.saturating_sub(1));
        (years * 365 + years / 4 - years / 100 + years / 400 + usize::from(self.day_of_year())) % 7
    }

    /// The moment in Python's `strftime` format, in English.
    ///
    /// # Errors
    /// When the format has a directive that depends on place, language or time zone.
    pub fn strftime(&self, format: &str) -> Result<String, EngineError> {
        let mut text = String::new();
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            let mut directive = rest.next();
            let is_unpadded = directive == Some('-');
            if is_unpadded {
                directive = rest.next();
            }
            let mut number = |value: u16, width: usize| {
                let width = if is_unpadded { 1 } else { width };
                write!(text, "{value:0width$}").expect("a string takes all");
            };
            let twelve = (self.hour + 11) % 12 + 1;
            match directive {
                Some('Y') => number(self.year, 4),
                Some('y') => number(self.year % 100, 2),
                Some('m') => number(self.month.into(), 2),
                Some('d') => number(self.day.into(), 2),
                Some('H') => number(self.hour.into(), 2),
                Some('I') => number(twelve.into(), 2),
                Some('M') => number(self.minute.into(), 2),
                Some('S') => number(self.second.into(), 2),
                Some('j') => number(self.day_of_year(), 3),
                Some('e') => write!(text, "{:2}", self.day).expect("a string takes all"),
                Some('B') => text.push_str(MONTHS[usize::from(self.month - 1)]),
                Some('b' | 'h') => text.push_str(&MONTHS[usize::from(self.month - 1)][..3]),
                Some('A') => text.push_str(DAYS[self.weekday()]),
                Some('a') => text.push_str(&DAYS[self.weekday()][..3]),
                Some('p') => text.push_str(if self.hour < 12 { "AM" } else { "PM" }),
                Some('F') => text.push_str(&self.date()),
                Some('T') => text.push_str(&self.strftime("%H:%M:%S")?),
                Some('%') => text.push('%'),
                other => {
                    return Err(EngineError::Config(format!(
                        "strftime does not know '%{}' here",
                        other.map_or_else(String::new, String::from)
                    )));
                }
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_python_writes_them() {
        // Python: datetime(2024, 2, 29, 15, 4, 5).strftime(...) and so on.
        let leap = ChatClock {
            hour: 15,
            minute: 4,
            second: 5,
            ..ChatClock::midnight("2024-02-29").unwrap()
        };
        let check = |clock: ChatClock, format: &str, expected: &str| {
            assert_eq!(clock.strftime(format).unwrap(), expected);
        };
        check(leap, "%d %b %Y", "29 Feb 2024");
        check(leap, "%A, %B %-d, %y", "Thursday, February 29, 24");
        check(leap, "%Y-%m-%dT%H:%M:%S %I %p", "2024-02-29T15:04:05 03 PM");
        check(leap, "%j %F %T 100%%", "060 2024-02-29 15:04:05 100%");
        check(
            ChatClock::midnight("1900-03-01").unwrap(),
            "%a %j %I",
            "Thu 060 12",
        );
        check(
            ChatClock::midnight("2000-12-31").unwrap(),
            "%A %j %e",
            "Sunday 366 31",
        );
        assert!(leap.strftime("%Z").is_err());
        assert!(leap.strftime("%").is_err());
    }

    #[test]
    fn only_dates_are_dates() {
        for wrong in [
            "2024-02-30",
            "1900-02-29",
            "2024-13-01",
            "2024-1-1",
            "0000-01-01",
            "x",
            "2024-00-01",
            "+024-01-01",
        ] {
            assert!(ChatClock::midnight(wrong).is_err(), "{wrong}");
        }
    }
}
