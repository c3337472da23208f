//! Scalar expressions as Rust, one `let` each.

use graph::dtype::{Class, DType};
use graph::expr::{BinOp, CmpOp, UnOp};
use graph::scalar::Scalar;
use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::error::PrintError;
use crate::print::address::integer;
use crate::print::types::{rounding, working_type};

/// Rounds a working value to its dtype, where that is narrower.
pub(super) fn rounded(dtype: DType, value: TokenStream) -> TokenStream {
    match rounding(dtype) {
        Some(round) => quote!(#round(#value)),
        None => value,
    }
}

/// A literal of the working type.
pub(super) fn literal(scalar: Scalar) -> TokenStream {
    match scalar.dtype.class() {
        Class::Float if scalar.dtype == DType::F64 => float64(scalar.as_f64()),
        Class::Float => float32(scalar.as_f64() as f32),
        Class::Signed => {
            let (value, ty) = (integer(scalar.as_i64()), working_type(scalar.dtype));
            quote!((#value as #ty))
        }
        Class::Unsigned => {
            let literal = Literal::u64_unsuffixed(scalar.bits);
            let ty = working_type(scalar.dtype);
            quote!((#literal as #ty))
        }
        Class::Bool => {
            let value = scalar.bits != 0;
            quote!(#value)
        }
        Class::Str => quote!(String::new()),
    }
}

/// A number, or the name of one that has no digits.
pub(crate) fn float32(value: f32) -> TokenStream {
    if value.is_finite() {
        let literal = Literal::f32_suffixed(value.abs());
        return if value.is_sign_negative() { quote!((-#literal)) } else { quote!(#literal) };
    }
    match (value.is_nan(), value > 0.0) {
        (true, _) => quote!(f32::NAN),
        (false, true) => quote!(f32::INFINITY),
        (false, false) => quote!(f32::NEG_INFINITY),
    }
}

fn float64(value: f64) -> TokenStream {
    if value.is_finite() {
        let literal = Literal::f64_suffixed(value.abs());
        return if value.is_sign_negative() { quote!((-#literal)) } else { quote!(#literal) };
    }
    match (value.is_nan(), value > 0.0) {
        (true, _) => quote!(f64::NAN),
        (false, true) => quote!(f64::INFINITY),
        (false, false) => quote!(f64::NEG_INFINITY),
    }
}

/// A unary operation.
pub(super) fn unary(op: UnOp, dtype: DType, a: &TokenStream) -> Result<TokenStream, PrintError> {
    let refused = || PrintError::DType { what: op.row().name, dtype };
    let value = match dtype.class() {
        Class::Float => float_unary(op, dtype == DType::F64, a).ok_or_else(refused)?,
        Class::Signed => match op {
            UnOp::Neg => quote!((#a).wrapping_neg()),
            UnOp::Abs => quote!((#a).wrapping_abs()),
            UnOp::Sign => quote!((#a).signum()),
            UnOp::Not => quote!(!(#a)),
            UnOp::PopCount => ones(dtype, a),
            _ => return Err(refused()),
        },
        Class::Unsigned => match op {
            UnOp::Neg => quote!((#a).wrapping_neg()),
            UnOp::Abs => a.clone(),
            UnOp::Sign => {
                let ty = working_type(dtype);
                quote!(((#a) != 0) as #ty)
            }
            UnOp::Not => quote!(!(#a)),
            UnOp::PopCount => ones(dtype, a),
            _ => return Err(refused()),
        },
        Class::Bool if op == UnOp::Not => quote!(!(#a)),
        Class::Bool | Class::Str => return Err(refused()),
    };
    if op.row().to_bool { Ok(value) } else { Ok(rounded(dtype, value)) }
}

fn ones(dtype: DType, a: &TokenStream) -> TokenStream {
    let ty = working_type(dtype);
    quote!((#a).count_ones() as #ty)
}

fn float_unary(op: UnOp, wide: bool, a: &TokenStream) -> Option<TokenStream> {
    let method = |name: &str| {
        let name = quote::format_ident!("{name}");
        quote!((#a).#name())
    };
    // f32 goes to the runtime's vectorisable functions, f64 to the standard library's where it has one.
    let maths = |name: &str, std: &str| {
        if wide {
            let std = quote::format_ident!("{std}");
            quote!((#a).#std())
        } else {
            let name = quote::format_ident!("{name}");
            quote!(math::#name(#a))
        }
    };
    Some(match op {
        UnOp::Neg => quote!(-(#a)),
        UnOp::Abs => method("abs"),
        UnOp::Sign if wide => quote!(scalar::sign_f64(#a)),
        UnOp::Sign => quote!(scalar::sign_f32(#a)),
        UnOp::Floor => maths("floor", "floor"),
        UnOp::Ceil => maths("ceil", "ceil"),
        UnOp::Trunc => maths("trunc", "trunc"),
        UnOp::Round => maths("round_half_even", "round_ties_even"),
        UnOp::Sqrt => method("sqrt"),
        UnOp::Recip if wide => quote!(1.0f64 / (#a)),
        UnOp::Recip => quote!(1.0f32 / (#a)),
        UnOp::Exp => maths("exp", "exp"),
        UnOp::Expm1 => maths("expm1", "exp_m1"),
        UnOp::Log => maths("ln", "ln"),
        UnOp::Log1p => maths("log1p", "ln_1p"),
        UnOp::Sin => maths("sin", "sin"),
        UnOp::Cos => maths("cos", "cos"),
        UnOp::Tan => maths("tan", "tan"),
        UnOp::Asin => maths("asin", "asin"),
        UnOp::Acos => maths("acos", "acos"),
        UnOp::Atan => maths("atan", "atan"),
        UnOp::Sinh => maths("sinh", "sinh"),
        UnOp::Cosh => maths("cosh", "cosh"),
        UnOp::Tanh => maths("tanh", "tanh"),
        UnOp::Asinh => maths("asinh", "asinh"),
        UnOp::Acosh => maths("acosh", "acosh"),
        UnOp::Atanh => maths("atanh", "atanh"),
        UnOp::Sigmoid if wide => quote!(scalar::sigmoid_f64(#a)),
        UnOp::Sigmoid => quote!(math::sigmoid(#a)),
        UnOp::Erf if wide => quote!(math::erf_f64(#a)),
        UnOp::Erf => quote!(math::erf(#a)),
        UnOp::IsNan => method("is_nan"),
        UnOp::IsInf => method("is_infinite"),
        UnOp::Not | UnOp::PopCount => return None,
    })
}

/// A binary operation.
pub(super) fn binary(op: BinOp, dtype: DType, a: &TokenStream, b: &TokenStream) -> Result<TokenStream, PrintError> {
    let refused = || PrintError::DType { what: op.row().name, dtype };
    let value = match dtype.class() {
        Class::Float => float_binary(op, dtype == DType::F64, a, b).ok_or_else(refused)?,
        Class::Signed | Class::Unsigned => int_binary(op, dtype, a, b).ok_or_else(refused)?,
        Class::Bool => match op {
            BinOp::And => quote!((#a) & (#b)),
            BinOp::Or => quote!((#a) | (#b)),
            BinOp::Xor => quote!((#a) ^ (#b)),
            _ => return Err(refused()),
        },
        Class::Str => return Err(refused()),
    };
    Ok(rounded(dtype, value))
}

fn float_binary(op: BinOp, wide: bool, a: &TokenStream, b: &TokenStream) -> Option<TokenStream> {
    Some(match (op, wide) {
        (BinOp::Add, _) => quote!((#a) + (#b)),
        (BinOp::Sub, _) => quote!((#a) - (#b)),
        (BinOp::Mul, _) => quote!((#a) * (#b)),
        (BinOp::Div, _) => quote!((#a) / (#b)),
        (BinOp::Rem, _) => quote!((#a) % (#b)),
        (BinOp::Mod, true) => quote!(math::floor_mod_f64(#a, #b)),
        (BinOp::Mod, false) => quote!(math::floor_mod(#a, #b)),
        (BinOp::Min, true) => quote!(scalar::min_f64(#a, #b)),
        (BinOp::Min, false) => quote!(scalar::min_f32(#a, #b)),
        (BinOp::Max, true) => quote!(scalar::max_f64(#a, #b)),
        (BinOp::Max, false) => quote!(scalar::max_f32(#a, #b)),
        (BinOp::Pow, true) => quote!((#a).powf(#b)),
        (BinOp::Pow, false) => quote!(math::pow(#a, #b)),
        (BinOp::Atan2, _) => quote!((#a).atan2(#b)),
        (BinOp::FloorDiv | BinOp::And | BinOp::Or | BinOp::Xor | BinOp::Shl | BinOp::Shr, _) => return None,
    })
}

fn int_binary(op: BinOp, dtype: DType, a: &TokenStream, b: &TokenStream) -> Option<TokenStream> {
    Some(match op {
        BinOp::Add => quote!((#a).wrapping_add(#b)),
        BinOp::Sub => quote!((#a).wrapping_sub(#b)),
        BinOp::Mul => quote!((#a).wrapping_mul(#b)),
        BinOp::Div => quote!(scalar::div(#a, #b)),
        BinOp::FloorDiv => quote!(scalar::floor_div(#a, #b)),
        BinOp::Rem => quote!(math::trunc_mod_int(#a, #b)),
        BinOp::Mod => quote!(math::floor_mod_int(#a, #b)),
        BinOp::Min => quote!((#a).min(#b)),
        BinOp::Max => quote!((#a).max(#b)),
        BinOp::Pow => quote!(scalar::pow_int(#a, #b)),
        BinOp::And => quote!((#a) & (#b)),
        BinOp::Or => quote!((#a) | (#b)),
        BinOp::Xor => quote!((#a) ^ (#b)),
        BinOp::Shl => {
            let bits = dtype.bits();
            quote!(scalar::shl(#a, #b, #bits))
        }
        BinOp::Shr => {
            let bits = dtype.bits();
            quote!(scalar::shr(#a, #b, #bits))
        }
        BinOp::Atan2 => return None,
    })
}

/// A comparison.
pub(super) fn compare(op: CmpOp, a: &TokenStream, b: &TokenStream) -> TokenStream {
    match op {
        CmpOp::Eq => quote!((#a) == (#b)),
        CmpOp::Ne => quote!((#a) != (#b)),
        CmpOp::Lt => quote!((#a) < (#b)),
        CmpOp::Le => quote!((#a) <= (#b)),
    }
}
