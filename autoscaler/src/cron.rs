//! Times by the calendar: five fields as crontabs have them (minute, hour, day of the month, month, day of the week).

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

/// Longest text that is read, in bytes: no sensible one has a tenth of it.
const TEXT_BYTES_MAX: usize = 256;
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A set of minutes of the calendar, as bits by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether days of the month and days of the week are both named: then a day of either kind is one.
    either_day: bool,
}

/// One of the five fields.
struct Field {
    name: &'static str,
    first: u32,
    last: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", first: 0, last: 59, names: &[] },
    Field { name: "hour", first: 0, last: 23, names: &[] },
    Field { name: "day of the month", first: 1, last: 31, names: &[] },
    Field { name: "month", first: 1, last: 12, names: &MONTHS },
    // Seven is Sunday too.
    Field { name: "day of the week", first: 0, last: 7, names: &DAYS },
];

impl Cron {
    /// Reads `30 12 * * 1-5`: numbers, names, `*`, ranges, lists and steps.
    ///
    /// # Errors
    /// What is wrong and what would be right, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        if text.len() > TEXT_BYTES_MAX || fields.len() != FIELDS.len() {
            return Err(format!(
                "want five fields (minute, hour, day, month, day of the week) such as '30 12 * * mon-fri', not {text:?}"
            ));
        }
        let mut sets = [0u64; 5];
        for ((set, field), text) in sets.iter_mut().zip(&FIELDS).zip(&fields) {
            *set = field.parse(text)?;
        }
        let [minutes, hours, days, months, weekdays] = sets;
        let weekdays = (weekdays | (weekdays >> 7)) & 0x7f;
        let is_named = |index: usize| !fields[index].starts_with('*');
        let cron = Self { minutes, hours, days, months, weekdays, either_day: is_named(2) && is_named(4) };
        // Months have 31 days at most, but `31 2` never comes.
        let leap_year = 2028;
        let comes =
            (1..=12).any(|m| (1..=31).any(|d| Date::new(leap_year, m, d).is_ok_and(|date| cron.in_month(date))));
        if comes { Ok(cron) } else { Err(format!("{text:?} names a day that no month has")) }
    }

    /// Each day of these weekdays (0 is Sunday) at a time.
    pub fn daily(hour: i8, minute: i8, weekdays: impl IntoIterator<Item = i8>) -> Self {
        Self {
            minutes: one(minute),
            hours: one(hour),
            days: u64::MAX,
            months: u64::MAX,
            weekdays: weekdays.into_iter().fold(0, |set, day| set | one(day)),
            either_day: false,
        }
    }

    /// The last of its minutes that is not after `at`, on a day from `earliest` on that `allows` lets pass.
    pub fn last(&self, at: DateTime, earliest: Date, allows: impl Fn(Date) -> bool) -> Option<DateTime> {
        let mut date = at.date();
        let mut limit = (at.hour(), at.minute());
        while date >= earliest {
            if self.is_on(date)
                && allows(date)
                && let Some((hour, minute)) = self.last_time(limit)
            {
                return Some(date.at(hour, minute, 0, 0));
            }
            limit = (23, 59);
            date = date.checked_sub(1.day()).ok()?;
        }
        None
    }

    fn in_month(&self, date: Date) -> bool {
        has(self.months, date.month()) && (has(self.days, date.day()) || self.either_day)
    }

    fn is_on(&self, date: Date) -> bool {
        let (day, weekday) = (has(self.days, date.day()), has(self.weekdays, date.weekday().to_sunday_zero_offset()));
        has(self.months, date.month()) && if self.either_day { day || weekday } else { day && weekday }
    }

    /// The last time of a day that is not after a limit.
    fn last_time(&self, (hour, minute): (i8, i8)) -> Option<(i8, i8)> {
        if has(self.hours, hour)
            && let Some(minute) = highest(self.minutes, minute)
        {
            return Some((hour, minute));
        }
        let hour = highest(self.hours, hour.checked_sub(1).filter(|h| *h >= 0)?)?;
        Some((hour, highest(self.minutes, 59)?))
    }
}

impl Field {
    fn parse(&self, text: &str) -> Result<u64, String> {
        let mut set = 0;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, self.step(step, text)?),
                None => (part, 1),
            };
            let (first, last) = match range.split_once('-') {
                _ if range == "*" => (self.first, self.last),
                Some((first, last)) => (self.number(first, text)?, self.number(last, text)?),
                // `5/15` is from five on, `5` is five alone.
                None if part.contains('/') => (self.number(range, text)?, self.last),
                None => {
                    let one = self.number(range, text)?;
                    (one, one)
                }
            };
            if first > last {
                return Err(self.wrong(text));
            }
            let mut number = first;
            while number <= last {
                set |= bit(number);
                number += step;
            }
        }
        Ok(set)
    }

    fn step(&self, text: &str, whole: &str) -> Result<u32, String> {
        text.parse().ok().filter(|step| (1..=self.last).contains(step)).ok_or_else(|| self.wrong(whole))
    }

    fn number(&self, text: &str, whole: &str) -> Result<u32, String> {
        let name = text.to_ascii_lowercase();
        let named = self.names.iter().position(|n| *n == name).and_then(|i| u32::try_from(i).ok());
        let number = named.map(|i| i + self.first).or_else(|| text.parse().ok());
        number.filter(|n| (self.first..=self.last).contains(n)).ok_or_else(|| self.wrong(whole))
    }

    fn wrong(&self, text: &str) -> String {
        format!("{}: want {} to {}, lists, ranges or steps such as */5, not {text:?}", self.name, self.first, self.last)
    }
}

fn bit(number: u32) -> u64 {
    1u64.checked_shl(number).unwrap_or(0)
}

fn one(number: i8) -> u64 {
    u32::try_from(number).map_or(0, bit)
}

fn has(set: u64, number: i8) -> bool {
    set & one(number) != 0
}

/// The highest number of a set that is not above `most`.
fn highest(set: u64, most: i8) -> Option<i8> {
    let below = set & (u64::MAX >> (63 - u32::try_from(most).ok()?.min(63)));
    i8::try_from(63u32.checked_sub(below.leading_zeros())?).ok().filter(|_| below != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(text: &str) -> DateTime {
        text.parse().expect("a local time")
    }

    #[test]
    fn the_last_of_its_minutes() {
        for (cron, at, expect) in [
            ("30 12 * * *", "2026-11-20T12:30", Some("2026-11-20T12:30")),
            ("30 12 * * *", "2026-11-20T12:29", Some("2026-11-19T12:30")),
            ("30 12,22 * * *", "2026-11-20T22:31", Some("2026-11-20T22:30")),
            ("*/15 * * * *", "2026-11-20T00:07", Some("2026-11-20T00:00")),
            ("5/20 8-10 * * *", "2026-11-20T09:46", Some("2026-11-20T09:45")),
            // The twentieth was a Friday.
            ("0 8 * * mon-fri", "2026-11-22T10:00", Some("2026-11-20T08:00")),
            ("0 8 * * 7", "2026-11-22T10:00", Some("2026-11-22T08:00")),
            ("0 8 * * SUN", "2026-11-21T10:00", Some("2026-11-15T08:00")),
            // A day of either kind when both are named.
            ("0 0 13 * 5", "2026-11-19T00:00", Some("2026-11-13T00:00")),
            ("0 0 18 * 5", "2026-11-19T00:00", Some("2026-11-18T00:00")),
            ("0 0 29 2 *", "2026-11-19T00:00", Some("2024-02-29T00:00")),
            ("59 23 31 dec *", "2026-11-19T00:00", Some("2025-12-31T23:59")),
        ] {
            let found = Cron::parse(cron).expect(cron).last(time(at), time("2020-01-01T00:00").date(), |_| true);
            assert_eq!(found, expect.map(time), "{cron} at {at}");
        }
        let never = Cron::parse("0 8 * * *").expect("right").last(
            time("2026-11-20T12:00"),
            time("2026-11-10T00:00").date(),
            |_| false,
        );
        assert_eq!(never, None);
    }

    #[test]
    fn what_is_no_time_is_said() {
        for (cron, expect) in [
            ("30 12 * *", "want five fields"),
            ("60 12 * * *", "minute: want 0 to 59"),
            ("0 24 * * *", "hour: want 0 to 23"),
            ("0 0 0 * *", "day of the month: want 1 to 31"),
            ("0 0 * foo *", "month: want 1 to 12"),
            ("0 0 * * 8", "day of the week: want 0 to 7"),
            ("5-1 0 * * *", "minute: want"),
            ("*/0 0 * * *", "minute: want"),
            ("0 0 31 2 *", "\"0 0 31 2 *\" names a day that no month has"),
        ] {
            let error = Cron::parse(cron).expect_err(cron);
            assert!(error.starts_with(expect), "{error}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_looking_at_every_minute(
            minutes in "[0-9]|[1-5][0-9]|\\*/(7|13|30)|\\*",
            hours in "[0-9]|1[0-9]|\\*/5|\\*",
            days in "[1-9]|2[0-8]|\\*",
            weekdays in "[0-7]|\\*",
            hour in 0i8..24, minute in 0i8..60, day in 1i8..29,
        ) {
            let cron = Cron::parse(&format!("{minutes} {hours} {days} * {weekdays}")).expect("right");
            let at = Date::new(2026, 11, day).expect("a day").at(hour, minute, 0, 0);
            let earliest = at.date().checked_sub(3.days()).expect("near");
            let mut slow = Some(at);
            while let Some(one) = slow {
                if one.date() < earliest {
                    slow = None;
                } else if cron.is_on(one.date()) && has(cron.hours, one.hour()) && has(cron.minutes, one.minute()) {
                    break;
                } else {
                    slow = one.checked_sub(1.minute()).ok();
                }
            }
            prop_assert_eq!(cron.last(at, earliest, |_| true), slow);
        }

        #[test]
        fn never_panics(text in ".{0,40}", fields in "([0-9*/,-]{1,6} ){4}[0-9a-z*/,-]{1,6}") {
            let _one = Cron::parse(&text);
            let _other = Cron::parse(&fields);
        }
    }
}
