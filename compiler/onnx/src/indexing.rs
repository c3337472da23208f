//! Index expressions that several operators use.

use graph::builder::Point;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::ExprId;

/// An index of any integer dtype as i64, negative ones counted from the end of `extent`.
pub fn wrap(p: &mut Point<'_>, position: ExprId, extent: &Dim) -> ExprId {
    let position = p.cast(position, DType::I64);
    let (zero, extent) = (p.int(0), p.dim(extent));
    let negative = p.lt(position, zero);
    let wrapped = p.add(position, extent);
    p.select(negative, wrapped, position)
}

/// `start + step * index`.
pub fn stride(p: &mut Point<'_>, index: ExprId, start: &Dim, step: &Dim) -> ExprId {
    let scaled = if step.is(1) {
        index
    } else {
        let step = p.dim(step);
        p.mul(index, step)
    };
    if start.is(0) {
        return scaled;
    }
    let start = p.dim(start);
    p.add(scaled, start)
}

/// Element of operand 0, which must be in range if `safe`; else 0 stands in for what is not.
pub fn load(p: &mut Point<'_>, index: &[ExprId], safe: bool) -> ExprId {
    if safe {
        return p.load(0, index);
    }
    let dtype = p.dtype_of_operand(0);
    let zero = p.zero(dtype);
    p.load_or(0, index, zero)
}
