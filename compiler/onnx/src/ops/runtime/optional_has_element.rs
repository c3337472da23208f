//! Whether an optional is present.

use super::datum::{Attrs, Datum, TensorDatum, input};

pub fn run(_attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let present = !matches!(input(inputs, 0)?, Datum::Opt(None));
    Ok(vec![Datum::Tensor(TensorDatum::from_bools(Vec::new(), &[present]))])
}
