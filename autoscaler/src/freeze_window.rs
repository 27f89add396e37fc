//! Freeze windows: times in which people want nothing to be changed, by the calendar of a time zone.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use vocab::TimestampMs;
use vocab::ports::views::Paused;
use vocab::scaling::ShownWindow;

use crate::outside::{Hold, Outside};

/// Days that are looked at for the next time of a weekly window.
const DAYS_AHEAD: i64 = 7;

/// When a window is open.
#[derive(Debug, Clone, PartialEq)]
pub enum Span {
    /// Once.
    Once {
        /// First moment.
        from_ms: TimestampMs,
        /// First moment after it.
        to_ms: TimestampMs,
    },
    /// Each week on these days, by local time: a change of the clock does not move it.
    Weekly {
        /// Days on which it begins.
        days: Vec<Weekday>,
        /// When it begins.
        start: Time,
        /// When it ends; on the next day when that is not after the start.
        end: Time,
        /// Where the clock hangs.
        time_zone: TimeZone,
    },
}

/// A window.
#[derive(Debug, Clone, PartialEq)]
pub struct FreezeWindow {
    /// Its name, for people.
    pub name: String,
    /// Services it is for; all when empty.
    pub services: Vec<String>,
    /// Whether nothing is given back.
    pub closes_in: bool,
    /// Whether nothing is added.
    pub closes_out: bool,
    /// When.
    pub span: Span,
}

impl Span {
    /// Whether a moment lies in it.
    pub fn contains(&self, now_ms: TimestampMs) -> bool {
        match self {
            Self::Once { from_ms, to_ms } => (*from_ms..*to_ms).contains(&now_ms),
            Self::Weekly { days, start, end, time_zone } => {
                let Ok(now) = Timestamp::from_millisecond(now_ms) else { return false };
                let local = now.to_zoned(time_zone.clone());
                let (today, time) = (local.weekday(), local.time());
                let begins = |day: Weekday| days.contains(&day);
                if start < end {
                    begins(today) && (*start..*end).contains(&time)
                } else {
                    (begins(today) && time >= *start) || (begins(today.previous()) && time < *end)
                }
            }
        }
    }

    /// Its present or next time; its last one when there is no next. `None` beyond the calendar.
    fn next(&self, now_ms: TimestampMs) -> Option<(TimestampMs, TimestampMs)> {
        match self {
            Self::Once { from_ms, to_ms } => Some((*from_ms, *to_ms)),
            Self::Weekly { days, start, end, time_zone } => {
                let today = Timestamp::from_millisecond(now_ms).ok()?.to_zoned(time_zone.clone()).date();
                let at = |date: Date, time: Time| {
                    Some(time_zone.to_zoned(date.to_datetime(time)).ok()?.timestamp().as_millisecond())
                };
                // One that began yesterday may still be open; the same day of the next week is the last that can be next.
                (-1..=DAYS_AHEAD).find_map(|offset| {
                    let first = today.checked_add(offset.days()).ok()?;
                    let last = if start < end { first } else { first.tomorrow().ok()? };
                    let span = (at(first, *start)?, at(last, *end)?);
                    (days.contains(&first.weekday()) && span.1 > now_ms).then_some(span)
                })
            }
        }
    }
}

impl FreezeWindow {
    /// Whether it is for a service.
    pub(crate) fn concerns(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.iter().any(|s| s == service)
    }

    /// As people see it, with its present or next time.
    pub(crate) fn shown(&self, now_ms: TimestampMs) -> ShownWindow {
        let (from_ms, to_ms) = self.span.next(now_ms).unzip();
        let shown = ShownWindow {
            name: self.name.clone(),
            services: self.services.clone(),
            closes: Paused { scale_in: self.closes_in, scale_out: self.closes_out },
            open: self.span.contains(now_ms),
            from_ms,
            to_ms,
            ..ShownWindow::default()
        };
        match &self.span {
            Span::Once { .. } => shown,
            Span::Weekly { days, start, end, time_zone } => ShownWindow {
                days: days.iter().map(|day| weekday_word(*day).to_owned()).collect(),
                start: start.strftime("%H:%M").to_string(),
                end: end.strftime("%H:%M").to_string(),
                time_zone: time_zone.iana_name().unwrap_or("UTC").to_owned(),
                ..shown
            },
        }
    }
}

/// The word that stands for a day in the configuration.
fn weekday_word(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "mon",
        Weekday::Tuesday => "tue",
        Weekday::Wednesday => "wed",
        Weekday::Thursday => "thu",
        Weekday::Friday => "fri",
        Weekday::Saturday => "sat",
        Weekday::Sunday => "sun",
    }
}

/// Closes what the windows that are open now close for a service.
pub(crate) fn close(windows: &[FreezeWindow], service: &str, now_ms: TimestampMs, outside: &mut Outside) {
    for window in windows {
        if !window.concerns(service) || !window.span.contains(now_ms) {
            continue;
        }
        let hold = Hold { guard: "freeze_window".into(), reason: format!("freeze window {} is open", window.name) };
        if window.closes_in {
            outside.hold_in.push(hold.clone());
        }
        if window.closes_out {
            outside.hold_out.push(hold);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("a time").as_millisecond()
    }

    fn weekly(days: &[Weekday], start: &str, end: &str, zone: &str) -> Span {
        let time = |text: &str| text.parse::<Time>().expect("a time of day");
        let time_zone = TimeZone::get(zone).expect("a zone");
        Span::Weekly { days: days.to_vec(), start: time(start), end: time(end), time_zone }
    }

    #[test]
    fn property_17_windows_follow_the_local_clock() {
        let lunch = weekly(&[Weekday::Monday], "12:00", "13:00", "Asia/Shanghai");
        let night = weekly(&[Weekday::Friday], "23:30", "00:30", "Asia/Shanghai");
        // Across the change to summer time the window stays at the same local time.
        let berlin = weekly(&[Weekday::Saturday, Weekday::Sunday], "12:00", "13:00", "Europe/Berlin");
        for (span, time, open) in [
            (&lunch, "2026-11-23T04:00:00Z", true),
            (&lunch, "2026-11-23T04:59:59Z", true),
            (&lunch, "2026-11-23T05:00:00Z", false),
            (&lunch, "2026-11-24T04:30:00Z", false),
            (&night, "2026-11-20T15:29:59Z", false),
            (&night, "2026-11-20T15:30:00Z", true),
            (&night, "2026-11-20T16:29:59Z", true),
            (&night, "2026-11-20T16:30:00Z", false),
            (&night, "2026-11-21T15:45:00Z", false),
            (&berlin, "2026-03-28T11:30:00Z", true),
            (&berlin, "2026-03-29T11:30:00Z", false),
            (&berlin, "2026-03-29T10:30:00Z", true),
        ] {
            assert_eq!(span.contains(at(time)), open, "{time} {span:?}");
        }
        let once = Span::Once { from_ms: 10, to_ms: 20 };
        assert_eq!([9, 10, 19, 20].map(|t| once.contains(t)), [false, true, true, false]);
        assert!(!lunch.contains(i64::MAX));
    }

    #[test]
    fn the_present_or_next_time_is_shown() {
        let night = weekly(&[Weekday::Friday], "23:30", "00:30", "Asia/Shanghai");
        for (now, from, to) in [
            ("2026-11-20T16:00:00Z", "2026-11-20T15:30:00Z", "2026-11-20T16:30:00Z"),
            ("2026-11-20T16:30:00Z", "2026-11-27T15:30:00Z", "2026-11-27T16:30:00Z"),
            ("2026-11-23T04:00:00Z", "2026-11-27T15:30:00Z", "2026-11-27T16:30:00Z"),
        ] {
            assert_eq!(night.next(at(now)), Some((at(from), at(to))), "{now}");
        }
        assert_eq!(night.next(i64::MAX), None);
        let window = FreezeWindow {
            name: "night".into(),
            services: Vec::new(),
            closes_in: true,
            closes_out: false,
            span: night,
        };
        let shown = window.shown(at("2026-11-20T16:00:00Z"));
        assert_eq!((shown.open, shown.closes), (true, Paused { scale_in: true, scale_out: false }));
        let words = (shown.days, shown.start.as_str(), shown.end.as_str(), shown.time_zone.as_str());
        assert_eq!(words, (vec!["fri".to_owned()], "23:30", "00:30", "Asia/Shanghai"));
        let once = FreezeWindow { span: Span::Once { from_ms: 10, to_ms: 20 }, ..window };
        assert_eq!((once.shown(30).open, once.shown(30).to_ms, once.shown(30).days.len()), (false, Some(20), 0));
    }

    #[test]
    fn a_window_closes_what_it_says_for_whom_it_says() {
        let window = FreezeWindow {
            name: "sale".into(),
            services: vec!["web".into()],
            closes_in: true,
            closes_out: false,
            span: Span::Once { from_ms: 0, to_ms: 10 },
        };
        let closed = |service: &str, now| {
            let mut outside = Outside::default();
            close(std::slice::from_ref(&window), service, now, &mut outside);
            (outside.hold_in.len(), outside.hold_out.len())
        };
        assert_eq!((closed("web", 5), closed("web", 10), closed("shop", 5)), ((1, 0), (0, 0), (0, 0)));
    }
}
