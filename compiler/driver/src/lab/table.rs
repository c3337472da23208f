//! Rows as lines of a table.

use crate::lab::measure::Row;

/// The heads of the columns.
pub fn heading() -> String {
    let rest = format!("{:>8} {:>8} {:>8} {:>8} {:>8}", "GB/s", "of copy", "TFLOP/s", "of best", "error");
    format!("{:<44} {:<24} {:>10} {rest}\n", "case", "variant", "us")
}

/// One line.
pub fn line(row: &Row) -> String {
    let Row { name, variant, us, gb_per_s, of_copy, tflops, of_best, error, failure, .. } = row;
    if let Some(failure) = failure {
        return format!("{name:<44} {variant:<24} failed: {failure}\n");
    }
    let error = error.map_or_else(|| "-".to_string(), |e| format!("{e:.1e}"));
    let rest = format!("{gb_per_s:>8.0} {of_copy:>8.2} {tflops:>8.1} {of_best:>8.2} {error:>8}");
    format!("{name:<44} {variant:<24} {us:>10.2} {rest}\n")
}
