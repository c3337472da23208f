//! `bench`: builds the crate and times its calls, or times the program in process.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use runtime_min::gpu::options::EngineOptions;

use crate::compiler::Compiler;
use crate::crate_run::CrateRun;
use crate::error::Error;
use crate::in_process;
use crate::progress::Progress;

/// The lines of the crate's bench; the last one is a JSON object.
pub fn bench(compiler: &Compiler, seconds: f64, threads: usize) -> Result<String, Error> {
    let compiled = compiler.compile()?;
    let progress = Progress::start("writing the crate");
    let files = compiler.clone().golden(false).crate_files(&compiled)?;
    let run = CrateRun::new(&compiled.name, &files)?;
    progress.next("building and timing the crate");
    let text = run.bench(seconds, threads)?;
    progress.end();
    Ok(text)
}

/// Times a model on this machine's GPU without a crate: lines, the last one a JSON object. Times are in milliseconds; GPU compute
/// time leaves out the copies of inputs and outputs, latency is a whole call from host memory to host memory.
pub fn bench_in_process(compiler: &Compiler, seconds: f64) -> Result<String, Error> {
    let compiled = compiler.compile()?;
    let inputs = compiled.plans.sample_inputs(1).ok_or_else(|| Error::Option {
        what: "bench".to_string(),
        expected: "a model whose inputs are tensors, as others cannot be made up".to_string(),
        found: "an input that is none".to_string(),
    })?;
    let progress = Progress::start("loading the program");
    let start = Instant::now();
    let engine = in_process::open(&compiled.plans, &compiled.lock, EngineOptions::default())?;
    let load = start.elapsed().as_secs_f64() * 1e3;
    let mut session = engine.session()?;
    in_process::run(&mut session, compiled.plans.outputs().len(), &inputs)?;
    let first = start.elapsed().as_secs_f64() * 1e3;
    progress.next("timing");
    let limit = Duration::from_secs_f64(seconds.clamp(0.01, 3600.0));
    let times = in_process::time(&mut session, &inputs, limit)?;
    progress.end();
    let (info, compute, latency) = (engine.info(), Spread::of(times.compute), Spread::of(times.call));
    let rate = 1e3 / latency.median;
    let bytes = info.weight_bytes as u64 + session.memory_bytes();
    let mut out = String::new();
    let (kernels, target) = (info.from_cubin + info.compiled, &info.target);
    let _ = writeln!(out, "{}: {} for {target}, {kernels} kernels, {bytes} bytes", compiled.name, info.device);
    let _ = writeln!(out, "engine load time: {load:.1} ms, time to first result: {first:.1} ms");
    for (name, spread) in [("latency", &latency), ("GPU compute time", &compute)] {
        let _ = writeln!(out, "{name}: {}", spread.text());
    }
    let _ = writeln!(out, "throughput: {rate:.1} per second");
    let _ = writeln!(
        out,
        "{{{}, {}, \"per_second\": {rate}, \"peak_bytes\": {bytes}, \"load_ms\": {load}, \"first_ms\": {first}}}",
        latency.json(""),
        compute.json("compute_"),
    );
    Ok(out)
}

/// Order statistics of times.
struct Spread {
    min: f64,
    max: f64,
    mean: f64,
    median: f64,
    p90: f64,
    p95: f64,
    p99: f64,
}

impl Spread {
    fn of(mut times: Vec<f64>) -> Spread {
        times.sort_by(f64::total_cmp);
        let last = times.len().saturating_sub(1);
        let at = |q: f64| times.get((last as f64 * q) as usize).copied().unwrap_or(0.0);
        let mean = times.iter().sum::<f64>() / times.len().max(1) as f64;
        Spread { min: at(0.0), max: at(1.0), mean, median: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99) }
    }

    fn fields(&self) -> [(&'static str, f64); 7] {
        [
            ("min", self.min),
            ("max", self.max),
            ("mean", self.mean),
            ("median", self.median),
            ("p90", self.p90),
            ("p95", self.p95),
            ("p99", self.p99),
        ]
    }

    fn text(&self) -> String {
        self.fields().map(|(name, value)| format!("{name} {value:.4}")).join(", ") + " ms"
    }

    fn json(&self, prefix: &str) -> String {
        self.fields().map(|(name, value)| format!("\"{prefix}{name}_ms\": {value}")).join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_statistics() {
        let spread = Spread::of((1..=101).rev().map(f64::from).collect());
        assert_eq!(
            spread.text(),
            "min 1.0000, max 101.0000, mean 51.0000, median 51.0000, p90 91.0000, p95 96.0000, p99 100.0000 ms"
        );
        assert!(spread.json("compute_").starts_with("\"compute_min_ms\": 1, "));
        assert_eq!(Spread::of(Vec::new()).median, 0.0);
    }
}
