//! What a model may ask for at most.

use crate::builder::{BuildError, Builder};
use crate::ty::Type;

impl Builder {
    /// Refuses a rank beyond the limit, before anything is made for each axis.
    pub fn check_rank(&self, rank: usize) -> Result<(), BuildError> {
        if rank > self.limits.rank {
            let (found, limit) = (rank.to_string(), self.limits.rank.to_string());
            return Err(BuildError::Limit { what: "rank", found, limit });
        }
        Ok(())
    }

    pub(super) fn check_limits(&self, ty: &Type) -> Result<(), BuildError> {
        let Some(tensor) = ty.as_tensor() else { return Ok(()) };
        self.check_rank(tensor.rank())?;
        let mut count: i128 = 1;
        for dim in &tensor.shape {
            if let Some(value) = dim.as_const() {
                if value < 0 {
                    return Err(BuildError::NegativeDim { found: value });
                }
                count = count.saturating_mul(i128::from(value));
            }
        }
        if count > i128::from(self.limits.elements) && !tensor.shape.iter().any(|d| d.is(0)) {
            return Err(BuildError::Limit {
                what: "elements",
                found: count.to_string(),
                limit: self.limits.elements.to_string(),
            });
        }
        Ok(())
    }
}
