//! Shares, spill, loss and return.

use proptest::prelude::*;

use super::*;

fn share(orchestrator: &str, weight: u32) -> Share {
    Share { orchestrator: orchestrator.into(), weight, min: 1, max: 1000, probes: Vec::new() }
}

fn six_to_four() -> Placement {
    Placement {
        shares: vec![share("north", 6), share("south", 4)],
        lost_after: Duration::from_secs(30),
        return_after: Duration::from_secs(600),
        return_step: Duration::from_secs(60),
    }
}

/// Two clusters over time: what they should run is what they run, when they are well.
struct Sim {
    placement: Placement,
    places: Places,
    now: i64,
    well: [bool; 2],
    holds: [u32; 2],
    events: Vec<String>,
}

impl Sim {
    fn new(total: u32) -> Self {
        let places = Places { total, places: Vec::new() };
        let mut sim = Self {
            placement: six_to_four(),
            places,
            now: 0,
            well: [true; 2],
            holds: [u32::MAX; 2],
            events: Vec::new(),
        };
        sim.pass(5);
        sim
    }

    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds / 5 {
            self.now += 5000;
            let targets = self.targets();
            let seen: Vec<Seen> = (0..2)
                .map(|i| Seen {
                    well: self.well[i],
                    wanted: self.well[i].then_some(targets[i]),
                    ready: if self.well[i] { targets[i].min(self.holds[i]) } else { 0 },
                    room: None,
                })
                .collect();
            let (places, events) = step(&self.placement, &self.places, &seen, self.now);
            self.places = places;
            self.events.extend(events);
            assert_eq!(self.targets().iter().sum::<u32>(), self.places.total, "{:?}", self.places);
        }
    }

    fn targets(&self) -> [u32; 2] {
        [0, 1].map(|i| self.places.places.get(i).map_or(0, |p| p.target))
    }
}

#[test]
fn property_15_shares_are_exact() {
    let split = |total, weights: &[u32], mins: &[u32], caps: &[u32]| super::split(total, weights, mins, caps);
    let free = [u32::MAX; 3];
    assert_eq!(split(10, &[6, 4], &[0, 0], &free[..2]), [6, 4]);
    assert_eq!(split(11, &[6, 4], &[0, 0], &free[..2]), [7, 4]);
    assert_eq!(split(1, &[6, 4], &[0, 0], &free[..2]), [1, 0]);
    assert_eq!(split(3, &[98, 1, 1], &[1, 1, 1], &free), [1, 1, 1]);
    assert_eq!(split(2, &[1, 1, 1], &[1, 1, 1], &free), [1, 1, 0], "fewer than the minimums: shared as far as it goes");
    assert_eq!(split(100, &[6, 4], &[1, 1], &[30, 1000]), [30, 70], "what one cannot hold goes to the other");
    assert_eq!(split(100, &[6, 4], &[1, 1], &[30, 20]), [30, 20], "no more than all can hold");
    assert_eq!(split(7, &[0, 0], &[0, 0], &free[..2]), [4, 3]);
    assert_eq!(split(u32::MAX, &[1], &[0], &[u32::MAX]), [u32::MAX]);
    assert_eq!(split(5, &[], &[], &[]), Vec::<u32>::new());
}

#[test]
fn property_15_a_lost_cluster_is_replaced_at_once_and_comes_back_in_steps() {
    let mut sim = Sim::new(50);
    assert_eq!(sim.targets(), [30, 20]);
    sim.well[0] = false;
    sim.pass(25);
    assert_eq!(sim.targets(), [30, 20], "one bad moment is no loss");
    sim.pass(10);
    assert_eq!((sim.targets(), sim.places.placed()), ([0, 50], 50));
    // It flaps: well for a while is not stable.
    sim.well[0] = true;
    sim.pass(500);
    sim.well[0] = false;
    sim.pass(60);
    sim.well[0] = true;
    sim.pass(590);
    assert_eq!(sim.targets(), [0, 50]);
    sim.pass(20);
    assert_eq!(sim.targets(), [3, 47], "a tenth of its share first");
    let mut last = sim.targets()[0];
    for _ in 0..12 {
        sim.pass(60);
        assert!(sim.targets()[0] - last <= 3, "{:?}", sim.targets());
        last = sim.targets()[0];
    }
    assert_eq!(sim.targets(), [30, 20]);
    let told: Vec<&str> = sim.events.iter().map(|e| e.split(':').next().unwrap_or("")).collect();
    assert_eq!(
        told,
        ["north fails its probes", "north is well again and comes back in steps", "north has its share again"]
    );
}

#[test]
fn property_15_a_full_cluster_spills_and_is_tried_again_later() {
    let mut sim = Sim::new(50);
    sim.holds[0] = 20;
    sim.pass(200);
    assert_eq!(sim.targets(), [20, 30]);
    assert!(sim.events[0].contains("north is full at 20 of 30"), "{:?}", sim.events);
    sim.holds[0] = u32::MAX;
    sim.pass(620);
    assert_eq!(sim.targets(), [30, 20]);
}

#[test]
fn property_15_one_bad_probe_of_several_does_not_lose_a_cluster() {
    for (answers, probes, well) in [
        (true, vec![], true),
        (false, vec![], false),
        (false, vec![true], true),
        (true, vec![false], true),
        (false, vec![false], false),
        (true, vec![false, false], false),
        (true, vec![false, false, true, true], true),
        (false, vec![false, false, true, true], false),
    ] {
        assert_eq!(is_well(answers, &probes), well, "{answers} {probes:?}");
    }
}

proptest! {
    #[test]
    fn property_15_every_split_is_exact_and_within_its_bounds(
        total in 0..5000u32,
        parts in prop::collection::vec((0..20u32, 0..30u32, 0..800u32), 1..12),
    ) {
        let weights: Vec<u32> = parts.iter().map(|p| p.0).collect();
        let caps: Vec<u32> = parts.iter().map(|p| p.1 + p.2).collect();
        let mins: Vec<u32> = parts.iter().map(|p| p.1).collect();
        let split = split(total, &weights, &mins, &caps);
        let all: u32 = caps.iter().sum();
        prop_assert_eq!(split.iter().sum::<u32>(), total.min(all));
        for i in 0..split.len() {
            prop_assert!(split[i] <= caps[i], "{:?}", split);
            prop_assert!(split[i] >= mins[i] || total < mins.iter().sum::<u32>(), "{:?}", split);
        }
    }
}

#[test]
fn property_15_a_cluster_without_room_is_not_asked_and_the_others_take_the_rest_at_once() {
    let check = |rooms: [Option<u32>; 2], expect: [u32; 2], events: usize| {
        let places = Places { total: 100, places: Vec::new() };
        let see = |wanted: u32, room| Seen { well: true, wanted: Some(wanted), ready: wanted, room };
        let seen = [see(6, rooms[0]), see(4, rooms[1])];
        let (next, told) = step(&six_to_four(), &places, &seen, 0);
        assert_eq!([next.places[0].target, next.places[1].target], expect, "{told:?}");
        assert_eq!(told.len(), events, "{told:?}");
        // It is tried again after a while, not at the next look.
        let (later, told) = step(&six_to_four(), &next, &[see(expect[0], None), see(expect[1], None)], 5000);
        assert_eq!((later.places, told.len()), (next.places, 0));
    };
    check([None, None], [60, 40], 0);
    check([Some(1000), Some(1000)], [60, 40], 0);
    check([Some(20), Some(1000)], [26, 74], 1);
    check([Some(20), Some(30)], [26, 34], 2);
    check([Some(0), None], [6, 94], 1);
}
