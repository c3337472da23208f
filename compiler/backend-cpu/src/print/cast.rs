//! Conversions between dtypes as Rust.

use graph::dtype::{Class, DType};
use graph::expr::Rounding;
use proc_macro2::TokenStream;
use quote::quote;

use crate::error::PrintError;
use crate::print::expr::rounded;
use crate::print::types::working_type;

/// `Cast` of a working value.
pub(super) fn cast(
    from: DType,
    to: DType,
    saturate: bool,
    rounding: Rounding,
    a: &TokenStream,
) -> Result<TokenStream, PrintError> {
    let ty = working_type(to);
    Ok(match (from.class(), to.class()) {
        (Class::Str, _) | (_, Class::Str) => {
            if from == to {
                return Ok(quote!((#a).clone()));
            }
            return Err(PrintError::DType { what: "cast", dtype: from });
        }
        (Class::Bool, Class::Bool) => a.clone(),
        (Class::Float, Class::Bool) => quote!((#a) != 0.0),
        (_, Class::Bool) => quote!((#a) != 0),
        (Class::Bool, Class::Float) => rounded(to, quote!((u8::from(#a) as #ty))),
        (Class::Bool, _) => quote!((u8::from(#a) as #ty)),
        (_, Class::Float) => return Ok(to_float(from, to, saturate, rounding, a)),
        // `as` saturates from floats, to zero from NaN.
        (Class::Float, _) if saturate && to.bits() >= 8 => quote!(((#a) as #ty)),
        (Class::Float, _) if saturate => saturating(to, quote!(#a)),
        (Class::Float, _) => rounded(to, quote!((math::wrap_to_i64((#a) as f64) as #ty))),
        (_, _) if saturate => saturating(to, quote!(#a)),
        (_, _) => rounded(to, quote!(((#a) as #ty))),
    })
}

fn to_float(from: DType, to: DType, saturate: bool, rounding: Rounding, a: &TokenStream) -> TokenStream {
    let ty = working_type(to);
    let wide = if working_type(from).to_string() == ty.to_string() { quote!(#a) } else { quote!(((#a) as #ty)) };
    match (to, saturate, rounding) {
        (DType::F8E8M0, _, _) => {
            let mode = match rounding {
                Rounding::Nearest => quote!(narrow::ScaleRounding::Nearest),
                Rounding::Up => quote!(narrow::ScaleRounding::Up),
                Rounding::Down => quote!(narrow::ScaleRounding::Down),
            };
            quote!(narrow::e8m0_to_f32(narrow::f32_to_e8m0(#wide, #saturate, #mode)))
        }
        (DType::F8E4M3FN, true, _) => quote!(narrow::e4m3fn_to_f32(narrow::f32_to_e4m3fn(#wide, true))),
        (DType::F8E4M3FNUZ, true, _) => quote!(narrow::e4m3fnuz_to_f32(narrow::f32_to_e4m3fnuz(#wide, true))),
        (DType::F8E5M2, true, _) => quote!(narrow::e5m2_to_f32(narrow::f32_to_e5m2(#wide, true))),
        (DType::F8E5M2FNUZ, true, _) => quote!(narrow::e5m2fnuz_to_f32(narrow::f32_to_e5m2fnuz(#wide, true))),
        (_, _, _) => rounded(to, wide),
    }
}

/// A value clamped to what the dtype holds.
fn saturating(to: DType, value: TokenStream) -> TokenStream {
    let ty = working_type(to);
    match to {
        DType::I4 => quote!(scalar::clamp_int(#value, -8, 7) as #ty),
        DType::U4 => quote!(scalar::clamp_int(#value, 0, 15) as #ty),
        DType::I2 => quote!(scalar::clamp_int(#value, -2, 1) as #ty),
        DType::U2 => quote!(scalar::clamp_int(#value, 0, 3) as #ty),
        _ => {
            quote!(scalar::clamp_int(#value, <#ty>::MIN as i128, <#ty>::MAX as i128) as #ty)
        }
    }
}

/// `Bitcast` of a working value.
pub(super) fn bitcast(from: DType, to: DType, a: &TokenStream) -> Result<TokenStream, PrintError> {
    let bits = match from {
        DType::F32 | DType::F64 => quote!((#a).to_bits()),
        DType::F16 => quote!(half::f16::from_f32(#a).to_bits()),
        DType::BF16 => quote!(half::bf16::from_f32(#a).to_bits()),
        DType::Bool => quote!(u8::from(#a)),
        _ if from.class() == Class::Float || from == DType::Str => {
            let stored = crate::print::types::to_stored(from, a.clone());
            quote!(#stored)
        }
        _ => a.clone(),
    };
    Ok(match to {
        DType::F32 => quote!(f32::from_bits((#bits) as u32)),
        DType::F64 => quote!(f64::from_bits((#bits) as u64)),
        DType::F16 => quote!(half::f16::from_bits((#bits) as u16).to_f32()),
        DType::BF16 => quote!(half::bf16::from_bits((#bits) as u16).to_f32()),
        DType::Bool => quote!((#bits) != 0),
        _ if to.bits() == 8 && to.is_float() => crate::print::types::from_stored(to, quote!(((#bits) as u8))),
        _ if to.is_int() => {
            let ty = working_type(to);
            rounded(to, quote!(((#bits) as #ty)))
        }
        _ => return Err(PrintError::DType { what: "bitcast", dtype: to }),
    })
}
