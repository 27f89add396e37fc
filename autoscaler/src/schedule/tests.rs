use proptest::prelude::*;

use super::*;

fn at(text: &str) -> TimestampMs {
    text.parse::<Timestamp>().expect("a time").as_millisecond()
}

fn schedule(begins: &str, ends: Ends, time_zone: &str) -> Schedule {
    Schedule {
        name: "lunch".into(),
        min: 60,
        begins: Cron::parse(begins).expect("a time"),
        ends,
        before: Some(Duration::from_secs(20 * 60)),
        time_zone: time_zone.into(),
        only: None,
        except: Vec::new(),
    }
}

fn hours(count: u64) -> Ends {
    Ends::After(Duration::from_secs(count * 3600))
}

#[test]
fn property_17_schedules_follow_the_local_clock_and_come_early() {
    let lunch = schedule("30 12 * * *", hours(1), "Asia/Shanghai");
    let night = schedule("30 22 * * fri", hours(4), "Asia/Shanghai");
    let berlin = schedule("0 12 * * *", hours(1), "Europe/Berlin");
    let keda = schedule("0 8 * * mon-fri", Ends::At(Cron::parse("0 20 * * *").expect("a time")), "UTC");
    for (schedule, time, asks) in [
        (&lunch, "2026-11-23T04:09:59Z", false),
        (&lunch, "2026-11-23T04:10:00Z", true),
        (&lunch, "2026-11-23T05:29:59Z", true),
        (&lunch, "2026-11-23T05:30:00Z", false),
        // Over midnight, into a day on which it does not begin.
        (&night, "2026-11-20T14:15:00Z", true),
        (&night, "2026-11-20T18:29:59Z", true),
        (&night, "2026-11-20T18:30:00Z", false),
        (&night, "2026-11-21T14:45:00Z", false),
        // Across the change to summer time it stays at noon.
        (&berlin, "2026-03-28T10:40:00Z", true),
        (&berlin, "2026-03-29T09:39:59Z", false),
        (&berlin, "2026-03-29T09:40:00Z", true),
        (&berlin, "2026-03-29T11:00:00Z", false),
        // With a begin and an end of their own, as KEDA has it.
        (&keda, "2026-11-20T07:39:00Z", false),
        (&keda, "2026-11-20T07:40:00Z", true),
        (&keda, "2026-11-20T19:59:00Z", true),
        (&keda, "2026-11-20T20:00:00Z", false),
        (&keda, "2026-11-21T12:00:00Z", false),
        (&keda, "2026-11-23T07:45:00Z", true),
    ] {
        assert_eq!(schedule.asks(at(time), 0), asks, "{time} {schedule:?}");
    }
    assert!(!lunch.asks(i64::MAX, 0) && !lunch.asks(i64::MIN, 0));
}

#[test]
fn without_a_lead_replicas_are_asked_for_as_long_before_as_they_take_to_start() {
    let mut lunch = schedule("30 12 * * *", hours(1), "UTC");
    lunch.before = None;
    assert!(!lunch.asks(at("2026-11-23T12:28:59Z"), 60_000));
    assert!(lunch.asks(at("2026-11-23T12:29:00Z"), 60_000));
    let found = candidates(&[lunch], at("2026-11-23T12:29:00Z"), 60_000);
    assert_eq!(found[0].replicas, Some(60));
    assert_eq!(
        found[0].reason,
        "schedule lunch (UTC) asks for 60 replicas from 60 s, as long as a replica takes to start, before it begins"
    );
}

#[test]
fn holidays_are_kept_out_or_are_the_only_days() {
    let days = |text: &str| Days::parse(text).expect("days");
    let mut work = schedule("0 8 * * *", hours(4), "UTC");
    work.except = vec![days("2026-10-01..2026-10-07"), days("2027-01-01")];
    let mut feast = work.clone();
    feast.only = Some(std::mem::take(&mut feast.except));
    for (day, is_holiday) in
        [("2026-09-30", false), ("2026-10-01", true), ("2026-10-07", true), ("2026-10-08", false), ("2027-01-01", true)]
    {
        let now = at(&format!("{day}T09:00:00Z"));
        assert_eq!((work.asks(now, 0), feast.asks(now, 0)), (!is_holiday, is_holiday), "{day}");
    }
    assert_eq!([Days::parse("2026-10-07..2026-10-01"), Days::parse("october")], [None, None]);
}

proptest! {
    #[test]
    fn asks_from_its_lead_to_its_end_and_at_no_other_minute(
        hour in 0u32..24, minute in 0u32..60, minutes in 1u64..2000, before in 0u64..1440, now in 0i64..20_000
    ) {
        let mut one = schedule(&format!("{minute} {hour} * * *"), Ends::After(Duration::from_secs(minutes * 60)), "UTC");
        one.before = Some(Duration::from_secs(before * 60));
        let (first, day) = (i64::from(hour * 60 + minute), 1440);
        // 1970 began at midnight: every day has its begin at the same minute.
        let expect = (-3..16).any(|n| {
            let begin = first + n * day;
            (begin - before as i64..begin + minutes as i64).contains(&now)
        });
        prop_assert_eq!(one.asks(now * 60_000, 0), expect);
    }
}
