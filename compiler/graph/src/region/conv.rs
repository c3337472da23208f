//! Convolution: `y[n, o, i] = sum over c, k of x[n, group(o) + c, i*stride + k*dilation - pad] * w[o, c, k]`.
//!
//! Operands: data `[N, C, spatial…]`, weight `[O, C/groups, kernel…]`, any number of spatial dims, any dtypes. Outside the
//! data reads as zero. Elements are converted to `acc`, multiplied, summed and left in `acc`; a bias is a pointwise
//! addition behind the region.
//!
//! ```text
//! %2 = region conv {strides = [2, 2], dilations = [1, 1], groups = 1, acc = f32, …} (%0, %1)
//! ```

use crate::attrs::{Attr, Attrs};
use crate::builder::{BuildError, Builder};
use crate::dim::{Dim, Pred};
use crate::dtype::DType;
use crate::graph::ValueId;
use crate::node::Combiner;
use crate::region::contract::Maths;
use crate::region::window::{Window, grouped_channel};
use crate::region::{RegionKind, attribute, operands};

pub const KIND: RegionKind = RegionKind { name: "conv", body };

/// Attributes of a convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    pub window: Window,
    pub groups: i64,
    /// Dtype of products, sums and the result.
    pub acc: DType,
    pub maths: Maths,
}

impl Conv {
    /// As attributes of a region.
    pub fn to_attrs(&self) -> Attrs {
        let attrs = Attrs::new()
            .with("groups", Attr::Int(self.groups))
            .with("acc", Attr::DType(self.acc))
            .with("maths", Attr::Str(self.maths.name().to_string()));
        self.window.to_attrs(attrs)
    }

    /// From attributes of a region.
    pub fn from_attrs(attrs: &Attrs) -> Result<Conv, BuildError> {
        Ok(Conv {
            window: Window::from_attrs(attrs)?,
            groups: attribute("groups", attrs.int("groups").filter(|g| *g > 0), "a positive number")?,
            acc: attribute("acc", attrs.dtype("acc"), "a dtype")?,
            maths: Maths::from_attrs(attrs)?,
        })
    }
}

impl Builder {
    /// A convolution of data with a weight; the result has dtype `acc`.
    pub fn conv(&mut self, conv: &Conv, data: ValueId, weight: ValueId) -> Result<ValueId, BuildError> {
        self.region_one(&KIND, conv.to_attrs(), &[data, weight])
    }
}

fn body(b: &mut Builder, attrs: &Attrs, values: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
    let conv = Conv::from_attrs(attrs)?;
    let [data, weight] = operands(KIND.name, values)?;
    let (from, taps) = (b.shape(data)?, b.shape(weight)?);
    let rank = conv.window.strides.len();
    if let Some(found) = [from.len(), taps.len()].into_iter().find(|r| *r != rank + 2) {
        let what = "conv operand".to_string();
        return Err(BuildError::Rank { what, expected: (rank + 2).to_string(), found });
    }
    conv.window.check(b, rank)?;
    let groups = Dim::constant(conv.groups);
    b.assume_equal(&from[1], &(&taps[1] * &groups), "channels of data are those of the weight times groups")?;
    b.assume(Pred::Divides(groups.clone(), taps[0].clone()), "groups divide the output channels")?;
    let per_group = b.model().symbols.floor_div(&taps[0], &groups);
    let inside = conv.window.inside(&b.model().symbols, &from[2..], &taps[2..]);
    let mut shape = vec![from[0].clone(), taps[0].clone()];
    shape.extend(conv.window.output.iter().cloned());
    let result = b.compute(&[data, weight], shape, |p| {
        let (n, o) = (p.index(0), p.index(1));
        let c = p.reduce(&taps[1]);
        let k: Vec<_> = taps[2..].iter().map(|extent| p.reduce(extent)).collect();
        let mut at = vec![n, grouped_channel(p, conv.groups, (o, c), (&per_group, &taps[1]))];
        let mut tap = vec![o, c];
        for (d, k) in k.into_iter().enumerate() {
            let i = p.index(2 + d);
            at.push(conv.window.position(p, d, i, k));
            tap.push(k);
        }
        let x = if inside {
            p.load(0, &at)
        } else {
            let dtype = p.dtype_of_operand(0);
            let zero = p.zero(dtype);
            p.load_or(0, &at, zero)
        };
        let w = p.load(1, &tap);
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

    /// Spatial extents of data, kernel and pads of a 1-D grouped convolution; expected output extent.
    fn check(channels: (i64, i64), groups: i64, expected: Result<i64, &str>) {
        let mut b = Builder::new("test");
        let x = b.input("x", Type::tensor(DType::F16, [2, channels.0, 11].map(Dim::constant)));
        let w = b.input("w", Type::tensor(DType::F16, [6, channels.1, 3].map(Dim::constant)));
        let k = |v: i64| vec![Dim::constant(v)];
        let window = Window::fitting(&b.model().symbols, (&k(11), &k(3)), (vec![3], vec![2]), (k(2), k(1)));
        let conv = Conv { window, groups, acc: DType::F32, maths: Maths::Exact };
        assert_eq!(Conv::from_attrs(&conv.to_attrs()).unwrap(), conv);
        match (b.conv(&conv, x, w), expected) {
            (Ok(y), Ok(extent)) => assert_eq!(b.shape(y).unwrap(), [2, 6, extent].map(Dim::constant)),
            (Err(e), Err(text)) => assert!(e.to_string().contains(text), "{e}"),
            (found, _) => assert!(found.is_err(), "expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn strided_dilated_groups() {
        check((4, 2), 2, Ok(4));
        check((6, 1), 6, Ok(4));
    }

    #[test]
    fn misfits_are_refused() {
        check((4, 3), 2, Err("channels of data"));
        check((4, 1), 4, Err("groups divide"));
    }

    #[test]
    fn extents_stay_symbolic() {
        let mut b = Builder::new("test");
        let h = b.input_symbol("h", 1, None);
        let one = vec![Dim::constant(1)];
        let window = |b: &Builder, stride| {
            let sizes = (std::slice::from_ref(&h), [Dim::constant(3)]);
            Window::fitting(
                &b.model().symbols,
                (sizes.0, &sizes.1),
                (vec![stride], vec![1]),
                (one.clone(), one.clone()),
            )
        };
        assert_eq!(window(&b, 1).output, vec![h.clone()]);
        let half = b.model().symbols.floor_div(&(&h - &Dim::constant(1)), &Dim::constant(2));
        assert_eq!(window(&b, 2).output, vec![&half + &Dim::constant(1)]);
    }
}
