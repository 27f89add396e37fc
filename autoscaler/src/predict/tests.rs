//! The planner on loads with and without a pattern, and its stored form.

use super::*;

const COSTS: Costs = Costs { capacity: 100.0, knee: 0.8, bad: 100.0 };
const DAYS: [i64; 7] = [1440, 2880, 4320, 5760, 7200, 8640, 10080];
const TICKS_PER_HOUR: i64 = 60 * TICKS_PER_MINUTE;

fn feed(planner: &mut Predictor, tick: i64, load: Option<f64>) -> Option<Wish> {
    let seen = Seen { now: tick * TICK_MS, load, replicas: 5, delay_ms: 120_000, days: &DAYS, max: 100 };
    planner.tick(&seen, &COSTS);
    planner.wish()
}

/// Ten times the load for ten minutes of every hour.
fn hourly(tick: i64) -> f64 {
    if tick % TICKS_PER_HOUR < 10 * TICKS_PER_MINUTE { 2000.0 } else { 200.0 }
}

#[test]
fn what_comes_every_hour_is_prepared_for() {
    let mut planner = Predictor::new(0, &COSTS);
    let before = 60 * TICKS_PER_HOUR;
    for tick in 0..before {
        feed(&mut planner, tick, Some(hourly(tick)));
    }
    // Four minutes before, nothing is added; when capacity takes two minutes to come, it is asked for in time.
    let mut early = before;
    while early % TICKS_PER_HOUR != TICKS_PER_HOUR - 16 {
        feed(&mut planner, early, Some(hourly(early)));
        early += 1;
    }
    assert!(planner.wish().expect("loads were seen").up <= 6, "{:?}", planner.wish());
    for tick in early..before + TICKS_PER_HOUR - 8 {
        feed(&mut planner, tick, Some(hourly(tick)));
    }
    // A forecast is believed up to four times the present load.
    let wish = planner.wish().expect("loads were seen");
    assert!(wish.up >= 10 && wish.soon > 700.0 && wish.soon <= 800.0, "{wish:?} {}", planner.words());
    assert!(["surge", "day", "onset"].iter().any(|w| planner.words().starts_with(w)), "{}", planner.words());
}

#[test]
fn property_05_without_a_day_of_history_and_after_bad_forecasts_the_measured_load_decides() {
    let mut planner = Predictor::new(0, &COSTS);
    for tick in 0..4 * TICKS_PER_HOUR {
        let wish = feed(&mut planner, tick, Some(500.0)).expect("loads were seen");
        assert!((5..=7).contains(&wish.up), "{wish:?}");
        assert!((wish.soon - 500.0).abs() < 1.0, "{wish:?}");
    }
    assert!(planner.words().starts_with("the measured load"), "{}", planner.words());
    // Whatever was said, a load near saturation is never planned below its need.
    let wish = feed(&mut planner, 4 * TICKS_PER_HOUR, Some(2000.0)).expect("loads were seen");
    assert!(wish.up >= 21, "{wish:?}");
}

#[test]
fn property_12_the_stored_form_goes_on_where_it_stopped() {
    let mut planner = Predictor::new(0, &COSTS);
    let noisy = |tick: i64| hourly(tick) * (1.0 + 0.1 * (tick as f64 * 1.7).sin());
    for tick in 0..30 * TICKS_PER_HOUR {
        feed(&mut planner, tick, Some(noisy(tick)));
        if tick % 997 == 0 {
            let again = Predictor::from_bytes(&planner.to_bytes()).expect("its own form");
            assert_eq!(again, planner);
        }
    }
    let mut again = Predictor::from_bytes(&planner.to_bytes()).expect("its own form");
    for tick in 30 * TICKS_PER_HOUR..31 * TICKS_PER_HOUR {
        assert_eq!(feed(&mut planner, tick, Some(noisy(tick))), feed(&mut again, tick, Some(noisy(tick))));
    }
    let bytes = planner.to_bytes();
    assert!(bytes.len() < 28_500, "{} bytes", bytes.len());
    assert_eq!(Predictor::from_bytes(&bytes[..bytes.len() - 1]), None);
    assert_eq!(Predictor::from_bytes(b""), None);
}

#[test]
fn wild_numbers_and_clocks_do_no_harm() {
    let mut planner = Predictor::new(0, &COSTS);
    let loads = [0.0, 1e300, 5.0, f64::MAX, 1e-300, 100.0];
    for step in 0..20_000i64 {
        let tick = if step % 1000 == 999 { step * 50 } else { step };
        let load = (step % 7 != 0).then(|| loads[(step % 6) as usize]);
        if let Some(wish) = feed(&mut planner, tick, load) {
            assert!((1..=100).contains(&wish.up) && (1..=100).contains(&wish.keep), "{wish:?}");
        }
    }
    assert!(Predictor::from_bytes(&planner.to_bytes()).is_some());
}

#[test]
fn property_07_a_crowd_is_answered_in_one_call() {
    let mut planner = Predictor::new(0, &COSTS);
    for tick in 0..4 * TICKS_PER_HOUR {
        feed(&mut planner, tick, Some(1200.0));
    }
    let seen = |tick: i64| Seen {
        now: tick * TICK_MS,
        load: Some(7600.0),
        replicas: 15,
        delay_ms: 120_000,
        days: &DAYS,
        max: 400,
    };
    planner.tick(&seen(4 * TICKS_PER_HOUR), &COSTS);
    let first = planner.wish().expect("loads were seen").up;
    // 7600 at 80 % of 100 each, and a little more in case it grows.
    assert!((95..=105).contains(&first), "{first}");
    for tick in 1..20 {
        planner.tick(&seen(4 * TICKS_PER_HOUR + tick), &COSTS);
        let later = planner.wish().expect("loads were seen").up;
        assert!(later <= first, "{later} after {first}");
    }
}

#[test]
fn what_comes_by_the_clock_is_waited_for_to_the_tick() {
    // At one of two moments of every hour, three minutes each, four times the load.
    let by_the_clock = |tick: i64| {
        let hour = tick.div_euclid(TICKS_PER_HOUR);
        let begin = if hour % 3 == 0 { 30 } else { 150 };
        if (begin..begin + 12).contains(&tick.rem_euclid(TICKS_PER_HOUR)) { 3600.0 } else { 900.0 }
    };
    let mut planner = Predictor::new(0, &COSTS);
    let hour = 60 * TICKS_PER_HOUR;
    for tick in 0..hour + 130 {
        feed(&mut planner, tick, Some(by_the_clock(tick)));
    }
    assert!(planner.words().starts_with("onset"), "{}", planner.words());
    let again: Vec<Wish> = (130..170).filter_map(|tick| feed(&mut planner, hour + tick, Some(900.0))).collect();
    let asked = |wish: &Wish| wish.up >= 30;
    let kept = |wish: &Wish| wish.keep >= 30;
    // Two minutes ahead it is asked for, three ticks early at most; and two ticks after the last moment, the sample's age, and
    // half a minute it is not waited for any more.
    let first = 130 + again.iter().position(asked).expect("it is prepared for");
    let last = 130 + again.iter().rposition(kept).expect("it is waited for");
    assert!((136..=141).contains(&first), "{first} {again:?}");
    assert!((150..=165).contains(&last), "{last} {again:?}");
}

#[test]
fn what_comes_every_hour_is_prepared_for_while_the_load_is_unknown() {
    let mut planner = Predictor::new(0, &COSTS);
    let blind = 61 * TICKS_PER_HOUR - 24;
    for tick in 0..blind {
        feed(&mut planner, tick, Some(hourly(tick)));
    }
    let before = planner.clone();
    for tick in blind..61 * TICKS_PER_HOUR - 6 {
        feed(&mut planner, tick, None);
    }
    let wish = planner.wish().expect("loads were seen");
    assert!(wish.up >= 10, "{wish:?} {}", planner.words());
    // Nothing was learnt, and an hour later nothing is foreseen any more.
    assert_eq!((&planner.candidates, &planner.history), (&before.candidates, &before.history));
    feed(&mut planner, 62 * TICKS_PER_HOUR, None);
    assert_eq!(planner.wish(), Some(wish));
}
