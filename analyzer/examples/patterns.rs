//! Groups the lines of a file by pattern: `patterns --in FILE --out FILE.csv [--raw]`, for measuring the miner.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

use analyzer::logs::{Miner, MinerLimits};

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned();
    let (Some(input), Some(output)) = (value("--in"), value("--out")) else {
        return Err(std::io::Error::other("usage: patterns --in FILE --out FILE.csv [--raw]"));
    };
    let mut miner = Miner::new(MinerLimits::default());
    let mut ids = Vec::new();
    let mut reader = BufReader::new(File::open(input)?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        ids.push(miner.observe("", text.trim_end_matches(['\r', '\n']), 0).id);
        line.clear();
    }
    let mut out = BufWriter::new(File::create(output)?);
    writeln!(out, "line,pattern_id,template")?;
    for (index, id) in ids.into_iter().enumerate() {
        let id = miner.survivor(id);
        let template = miner.pattern(id).map(|p| p.template()).unwrap_or_default();
        writeln!(out, "{},{id:016x},\"{}\"", index + 1, template.replace('"', "\"\""))?;
    }
    out.flush()
}
