//! Queries as dashboards and rules ask them, one at a time and by eight clients at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::figures::{Figures, median};
use crate::target::{Asker, Program};
use crate::writes::Taken;

const REPETITIONS: usize = 15;
const CLIENTS: usize = 8;
const CLIENTS_FOR: Duration = Duration::from_secs(3);

/// (name, PromQL, whether it is a range query over all the data).
const QUERIES: &[(&str, &str, bool)] = &[
    ("one series", r#"bench_level_0{host="host-00007",index="0"}"#, false),
    ("one host's series", r#"{host="host-00007"}"#, false),
    ("sum by (host) of rate, 16 k series", "sum by (host) (rate({__name__=~\"bench_requests_.*\"}[5m]))", false),
    ("sum of rate over all the time, 2 k series", "sum(rate(bench_requests_1_total[5m]))", true),
    ("quantile_over_time, 200 series", r#"quantile_over_time(0.9, bench_level_0{index="0"}[10m])"#, true),
    ("topk", "topk(5, bench_requests_2_total)", false),
    ("count of everything", r#"count({job="bench"})"#, false),
];

/// Asks each query repeatedly and notes the medians, then has eight clients ask small ones at once.
///
/// # Errors
/// When a query is not answered.
#[allow(clippy::disallowed_methods, reason = "measures real time")]
pub(crate) async fn run(taken: &Taken, program: Program, figures: &mut Figures) -> Result<()> {
    let (start, end) = (taken.first_ms as f64 / 1e3, taken.last_ms as f64 / 1e3);
    let (start, end, at) = (start.to_string(), end.to_string(), (end - 5.0).to_string());
    let asker = taken.target.asker();
    for (name, query, range) in QUERIES {
        let mut params = vec![("query", *query)];
        params.extend(program.query_params());
        let path = if *range {
            params.extend([("start", start.as_str()), ("end", end.as_str()), ("step", "30")]);
            "/api/v1/query_range"
        } else {
            params.push(("time", &at));
            "/api/v1/query"
        };
        let mut times = Vec::new();
        for _ in 0..REPETITIONS {
            let asked = Instant::now();
            asker.query(path, &params).await?;
            times.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        figures.note("query", &format!("p50 ms: {name}"), program, median(&mut times));
    }
    let per_second = clients(&asker, program, &at).await?;
    figures.note("query", "instant queries/s of 8 clients", program, per_second);
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "measures real time")]
async fn clients(asker: &Asker, program: Program, at: &str) -> Result<f64> {
    let answered = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let (asker, answered, at) = (asker.clone(), answered.clone(), at.to_owned());
        clients.spawn(async move {
            let mut host = client;
            while began.elapsed() < CLIENTS_FOR {
                let query = format!(r#"bench_level_0{{host="host-{host:05}",index="0"}}"#);
                let mut params = vec![("query", query.as_str()), ("time", at.as_str())];
                params.extend(program.query_params());
                asker.query("/api/v1/query", &params).await?;
                answered.fetch_add(1, Ordering::Relaxed);
                host = (host + CLIENTS) % 200;
            }
            anyhow::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(answered.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}
