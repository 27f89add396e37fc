//! Freeze windows: times in which people want nothing to be changed, by the calendar of a time zone.

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use vocab::TimestampMs;

use crate::outside::{Hold, Outside};

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
}

/// Closes what the windows that are open now close for a service.
pub(crate) fn close(windows: &[FreezeWindow], service: &str, now_ms: TimestampMs, outside: &mut Outside) {
    for window in windows {
        let concerns = window.services.is_empty() || window.services.iter().any(|s| s == service);
        if !concerns || !window.span.contains(now_ms) {
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
