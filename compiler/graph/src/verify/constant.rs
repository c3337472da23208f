//! V22: `const`.

use crate::dtype::DType;
use crate::node::Const;
use crate::tensor::Tensor;
use crate::ty::{TensorType, Type};
use crate::verify::Rule;
use crate::verify::checker::Checker;
use crate::verify::expr::check_scalar;

pub(super) fn check(c: &mut Checker<'_>, constant: &Const, operands: &[&Type], results: &[&Type]) {
    c.expect_count(Rule::Const, "operands", 0, operands.len());
    if !c.expect_count(Rule::Const, "result", 1, results.len()) {
        return;
    }
    let Some(ty) = results.first().and_then(|ty| c.expect_tensor(Rule::Const, "the result", ty)) else { return };
    let Some(shape) = ty.static_shape() else {
        let shown = c.show(&Type::Tensor(ty.clone()));
        return c.report(Rule::Const, format!("expected a result of static shape, found {shown}"));
    };
    match constant {
        Const::Inline(tensor) => check_tensor(c, tensor, ty, &shape),
        Const::Blob(blob) => check_tensor(c, &blob.tensor, ty, &shape),
        Const::Splat(scalar) => {
            if scalar.dtype != ty.dtype {
                c.report(
                    Rule::Const,
                    format!("an element of dtype {} in a result of dtype {}", scalar.dtype, ty.dtype),
                );
            }
            if let Err(message) = check_scalar(*scalar) {
                c.report(Rule::ExprConstants, message);
            }
        }
        Const::Iota => {
            if shape.len() != 1 {
                c.report(Rule::Const, format!("an iota has rank 1, found {}", shape.len()));
            }
            if matches!(ty.dtype, DType::Str | DType::Bool) {
                c.report(Rule::Const, format!("an iota has numbers, found dtype {}", ty.dtype));
            }
        }
    }
}

fn check_tensor(c: &mut Checker<'_>, tensor: &Tensor, ty: &TensorType, shape: &[usize]) {
    if tensor.dtype() != ty.dtype || tensor.shape() != shape {
        let found = crate::text::scalar::print_tensor_type(tensor);
        let expected = c.show(&Type::Tensor(ty.clone()));
        c.report(Rule::Const, format!("a tensor of type {found} in a result of type {expected}"));
    }
}
