//! Order statistics of times, in milliseconds.

use std::time::Duration;

use serde::Serialize;

/// What is told of many times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    pub median: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
}

impl Spread {
    /// Of durations.
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Spread {
        let mut times: Vec<f64> = times.into_iter().map(|time| time.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let last = times.len().saturating_sub(1);
        let at = |q: f64| times.get((last as f64 * q) as usize).copied().unwrap_or(0.0);
        let mean = times.iter().sum::<f64>() / times.len().max(1) as f64;
        Spread { min: at(0.0), max: at(1.0), mean, median: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99) }
    }

    /// As trtexec words it.
    pub fn text(&self) -> String {
        let Spread { min, max, mean, median, p90, p95, p99 } = self;
        format!(
            "min = {min:.4} ms, max = {max:.4} ms, mean = {mean:.4} ms, median = {median:.4} ms, \
             percentile(90%) = {p90:.4} ms, percentile(95%) = {p95:.4} ms, percentile(99%) = {p99:.4} ms"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_statistics() {
        let spread = Spread::of((1..=101).rev().map(Duration::from_millis));
        assert_eq!(
            spread.text(),
            "min = 1.0000 ms, max = 101.0000 ms, mean = 51.0000 ms, median = 51.0000 ms, percentile(90%) = 91.0000 ms, \
             percentile(95%) = 96.0000 ms, percentile(99%) = 100.0000 ms"
        );
        assert_eq!(Spread::of([]).median, 0.0);
    }
}
