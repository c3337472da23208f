//! Transposed convolution: each element of the data adds its multiple of the kernel to the output.
//!
//! `y[n, o, j] = sum over c, k of x[n, group(o) + c, (j + pad - k*dilation) / stride] * w[group(o) + c, o, k]` where the
//! quotient is whole and inside. Operands: data `[N, C, spatial…]`, weight `[C, O/groups, kernel…]`. The window's `output`
//! gives the extents; its `pads_end` has no meaning here. Elements are converted to `acc`, multiplied, summed and left so.

use crate::attrs::{Attr, Attrs};
use crate::builder::{BuildError, Builder};
use crate::dim::{Dim, Pred};
use crate::dtype::DType;
use crate::expr::BinOp;
use crate::graph::ValueId;
use crate::node::Combiner;
use crate::region::contract::Maths;
use crate::region::window::{Window, scale};
use crate::region::{RegionKind, attribute, operands};

pub const KIND: RegionKind = RegionKind { name: "conv_transpose", body };

/// Attributes of a transposed convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvTranspose {
    pub window: Window,
    pub groups: i64,
    /// Dtype of products, sums and the result.
    pub acc: DType,
    pub maths: Maths,
}

impl ConvTranspose {
    /// As attributes of a region.
    pub fn to_attrs(&self) -> Attrs {
        let attrs = Attrs::new()
            .with("groups", Attr::Int(self.groups))
            .with("acc", Attr::DType(self.acc))
            .with("maths", Attr::Str(self.maths.name().to_string()));
        self.window.to_attrs(attrs)
    }

    /// From attributes of a region.
    pub fn from_attrs(attrs: &Attrs) -> Result<ConvTranspose, BuildError> {
        Ok(ConvTranspose {
            window: Window::from_attrs(attrs)?,
            groups: attribute("groups", attrs.int("groups").filter(|g| *g > 0), "a positive number")?,
            acc: attribute("acc", attrs.dtype("acc"), "a dtype")?,
            maths: Maths::from_attrs(attrs)?,
        })
    }
}

impl Builder {
    /// A transposed convolution; the result has dtype `acc`.
    pub fn conv_transpose(
        &mut self,
        conv: &ConvTranspose,
        data: ValueId,
        weight: ValueId,
    ) -> Result<ValueId, BuildError> {
        self.region_one(&KIND, conv.to_attrs(), &[data, weight])
    }
}

fn body(b: &mut Builder, attrs: &Attrs, values: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
    let conv = ConvTranspose::from_attrs(attrs)?;
    let [data, weight] = operands(KIND.name, values)?;
    let (from, taps) = (b.shape(data)?, b.shape(weight)?);
    let rank = conv.window.strides.len();
    if let Some(found) = [from.len(), taps.len()].into_iter().find(|r| *r != rank + 2) {
        let what = "conv_transpose operand".to_string();
        return Err(BuildError::Rank { what, expected: (rank + 2).to_string(), found });
    }
    conv.window.check(b, rank)?;
    let groups = Dim::constant(conv.groups);
    b.assume_equal(&from[1], &taps[0], "channels of data and weight")?;
    b.assume(Pred::Divides(groups.clone(), from[1].clone()), "groups divide the channels of the data")?;
    let inner = b.model().symbols.floor_div(&from[1], &groups);
    let mut shape = vec![from[0].clone(), &taps[1] * &groups];
    shape.extend(conv.window.output.iter().cloned());
    let result = b.compute(&[data, weight], shape, |p| {
        let (n, o) = (p.index(0), p.index(1));
        let mut c = p.reduce(&inner);
        let k: Vec<_> = taps[2..].iter().map(|extent| p.reduce(extent)).collect();
        let mut o_inner = o;
        if conv.groups != 1 {
            let (per_group, channels) = (p.dim(&taps[1]), p.dim(&inner));
            let group = p.binary(BinOp::FloorDiv, o, per_group);
            o_inner = p.binary(BinOp::Mod, o, per_group);
            let start = p.mul(group, channels);
            c = p.add(start, c);
        }
        let (mut at, mut tap) = (vec![n, c], vec![c, o_inner]);
        for (d, k) in k.into_iter().enumerate() {
            let j = p.index(2 + d);
            let pad = p.dim(&conv.window.pads_begin[d]);
            let reach = scale(p, k, conv.window.dilations[d]);
            let from_start = p.add(j, pad);
            let distance = p.sub(from_start, reach);
            at.push(if conv.window.strides[d] == 1 {
                distance
            } else {
                let (stride, zero, outside) = (p.int(conv.window.strides[d]), p.int(0), p.int(-1));
                let rest = p.binary(BinOp::Mod, distance, stride);
                let quotient = p.binary(BinOp::FloorDiv, distance, stride);
                let whole = p.eq(rest, zero);
                p.select(whole, quotient, outside)
            });
            tap.push(k);
        }
        let zero = p.zero(p.dtype_of_operand(0));
        let (x, w) = (p.load_or(0, &at, zero), p.load(1, &tap));
        let (x, w) = (p.cast(x, conv.acc), p.cast(w, conv.acc));
        let product = p.mul(x, w);
        let sum = p.acc(Combiner::Sum, product);
        p.out(sum);
    })?;
    Ok(vec![result])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ty::Type;

    fn check(weight: [i64; 3], groups: i64, expected: Result<[i64; 3], &str>) {
        let mut b = Builder::new("test");
        let x = b.input("x", Type::tensor(DType::F32, [2, 4, 5].map(Dim::constant)));
        let w = b.input("w", Type::tensor(DType::F32, weight.map(Dim::constant)));
        let k = |v: i64| vec![Dim::constant(v)];
        let window = Window { strides: vec![2], dilations: vec![1], pads_begin: k(1), pads_end: k(0), output: k(10) };
        let conv = ConvTranspose { window, groups, acc: DType::F32, maths: Maths::Exact };
        match (b.conv_transpose(&conv, x, w), expected) {
            (Ok(y), Ok(shape)) => {
                assert_eq!(ConvTranspose::from_attrs(&conv.to_attrs()).unwrap(), conv);
                assert_eq!(b.shape(y).unwrap(), shape.map(Dim::constant));
            }
            (Err(e), Err(text)) => assert!(e.to_string().contains(text), "{e}"),
            (found, _) => assert!(found.is_err(), "expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn groups_multiply_output_channels() {
        check([4, 3, 3], 2, Ok([2, 6, 10]));
    }

    #[test]
    fn misfits_are_refused() {
        check([3, 3, 3], 1, Err("channels of data and weight"));
        check([4, 3, 3], 3, Err("groups divide"));
    }
}
