//! How many services can be decided in a second? Two thousand that nobody has tuned, each with two days behind it.

use std::hint::black_box;
use std::time::Duration;

use autoscaler::step::{Opening, Session, Tick};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const SERVICES: usize = 2000;
const TICK_S: usize = 15;
const TICKS_PER_DAY: usize = 86_400 / TICK_S;

/// A wave with a surge every half hour.
fn load(tick: usize) -> f64 {
    let wave = 1500.0 - 800.0 * (tick as f64 / TICKS_PER_DAY as f64 * std::f64::consts::TAU).cos();
    if tick % 120 < 16 { 3.0 * wave } else { wave }
}

/// One round of a service whose replicas are all ready.
fn round(session: &mut Session, tick: usize, replicas: u32) -> u32 {
    let seen = Tick { t: (tick * TICK_S) as f64, rps: Some(load(tick)), ready: replicas, total: replicas };
    session.tick(&seen).replicas
}

fn decisions(c: &mut Criterion) {
    let opening = Opening { replica_rps: 100.0, startup_s: 60.0, tick_s: TICK_S as f64, min: 1, max: 400 };
    let mut service = Session::untuned(&opening).expect("a right opening");
    let mut replicas = 10;
    let history = 2 * TICKS_PER_DAY;
    for tick in 0..history {
        replicas = round(&mut service, tick, replicas);
    }
    let mut group = c.benchmark_group("decisions");
    group.throughput(Throughput::Elements(SERVICES as u64)).sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("one round of 2000 services", |b| {
        b.iter_batched_ref(
            || vec![service.clone(); SERVICES],
            |services| {
                for service in services {
                    black_box(round(service, history, replicas));
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
