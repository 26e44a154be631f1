//! Medians and how figures are shown.

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => f64::NAN,
        (middle, 1) => values[middle],
        (middle, _) => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// The value that `per_mille` of a thousand are below, of values in order; 1000 gives the largest.
pub fn quantile(ordered: &[f64], per_mille: usize) -> f64 {
    let last = ordered.len().saturating_sub(1);
    ordered.get((ordered.len() * per_mille / 1000).min(last)).copied().unwrap_or(f64::NAN)
}

/// Three digits.
pub fn shown(value: f64) -> String {
    match value {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
