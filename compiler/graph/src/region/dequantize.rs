//! The way back from a quantization: `y = (x - zero_point) * scale`, in f32 unless the target is f64.
//!
//! Operands and granularity as in [`crate::region::quantize`]; the zero point has `x`'s dtype.

use crate::attrs::{Attr, Attrs};
use crate::builder::{BuildError, Builder};
use crate::dtype::DType;
use crate::graph::ValueId;
use crate::region::quantize::{check_granularity, load_shared};
use crate::region::{RegionKind, attribute};

pub const KIND: RegionKind = RegionKind { name: "dequantize", body };

/// Attributes of a dequantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dequantize {
    /// Target, a float.
    pub to: DType,
    /// Dim that scales differ along, unless there is one for all.
    pub axis: usize,
    /// Indices along `axis` that share a scale; 0: as many scales as indices.
    pub block: usize,
}

impl Dequantize {
    /// As attributes of a region.
    pub fn to_attrs(&self) -> Attrs {
        Attrs::new()
            .with("to", Attr::DType(self.to))
            .with("axis", Attr::Int(self.axis as i64))
            .with("block", Attr::Int(self.block as i64))
    }

    /// From attributes of a region.
    pub fn from_attrs(attrs: &Attrs) -> Result<Dequantize, BuildError> {
        let position = |name| attrs.int(name).and_then(|v| usize::try_from(v).ok());
        Ok(Dequantize {
            to: attribute("to", attrs.dtype("to"), "a dtype")?,
            axis: attribute("axis", position("axis"), "a position")?,
            block: attribute("block", position("block"), "a size")?,
        })
    }
}

impl Builder {
    /// Makes floats of a quantized tensor.
    pub fn dequantize(
        &mut self,
        dequantize: Dequantize,
        x: ValueId,
        scale: ValueId,
        zero_point: Option<ValueId>,
    ) -> Result<ValueId, BuildError> {
        check_granularity(self, dequantize.axis, dequantize.block, x, scale, zero_point)?;
        let operands: Vec<ValueId> = [x, scale].into_iter().chain(zero_point).collect();
        self.region_one(&KIND, dequantize.to_attrs(), &operands)
    }
}

fn body(b: &mut Builder, attrs: &Attrs, values: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
    let Dequantize { to, axis, block } = Dequantize::from_attrs(attrs)?;
    let shape = match values.first() {
        Some(x) => b.shape(*x)?,
        None => return Err(BuildError::Results { expected: 2, found: 0 }),
    };
    let wide = if to == DType::F64 { DType::F64 } else { DType::F32 };
    let y = b.compute(values, shape, |p| {
        let index = p.indices();
        let x = p.load(0, &index);
        let mut value = p.cast(x, wide);
        if values.len() > 2 {
            let zero_point = load_shared(p, 2, axis, block);
            let zero_point = p.cast(zero_point, wide);
            value = p.sub(value, zero_point);
        }
        let scale = load_shared(p, 1, axis, block);
        let scale = p.cast(scale, wide);
        let product = p.mul(value, scale);
        let out = p.cast(product, to);
        p.out(out);
    })?;
    Ok(vec![y])
}
