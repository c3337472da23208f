//! Rust types of dtypes: how elements are stored, and how they are computed with.

use graph::dtype::DType;
use proc_macro2::TokenStream;
use quote::quote;

/// Element type of a slice over a buffer. Bool and everything below 8 bits lie in bytes.
pub fn storage_type(dtype: DType) -> TokenStream {
    match dtype {
        DType::F32 => quote!(f32),
        DType::F64 => quote!(f64),
        DType::F16 => quote!(half::f16),
        DType::BF16 => quote!(half::bf16),
        DType::I64 => quote!(i64),
        DType::I32 => quote!(i32),
        DType::I16 => quote!(i16),
        DType::I8 => quote!(i8),
        DType::U64 => quote!(u64),
        DType::U32 => quote!(u32),
        DType::U16 => quote!(u16),
        DType::U8 | DType::Bool => quote!(u8),
        DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ | DType::F8E8M0 => quote!(u8),
        DType::F4E2M1 | DType::I4 | DType::U4 | DType::I2 | DType::U2 => quote!(u8),
        DType::Str => quote!(String),
    }
}

/// Type of a value in an expression. Narrow floats are computed in `f32` and rounded after every operation.
pub fn working_type(dtype: DType) -> TokenStream {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => quote!(f32),
        DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ | DType::F8E8M0 | DType::F4E2M1 => {
            quote!(f32)
        }
        DType::F64 => quote!(f64),
        DType::I64 => quote!(i64),
        DType::I32 => quote!(i32),
        DType::I16 => quote!(i16),
        DType::I8 | DType::I4 | DType::I2 => quote!(i8),
        DType::U64 => quote!(u64),
        DType::U32 => quote!(u32),
        DType::U16 => quote!(u16),
        DType::U8 | DType::U4 | DType::U2 => quote!(u8),
        DType::Bool => quote!(bool),
        DType::Str => quote!(String),
    }
}

/// The function of the runtime that rounds a working value to the dtype, where the working type is wider.
pub(super) fn rounding(dtype: DType) -> Option<TokenStream> {
    match dtype {
        DType::F16 => Some(quote!(half_round::f16)),
        DType::BF16 => Some(quote!(half_round::bf16)),
        DType::F8E4M3FN => Some(quote!(scalar::round_e4m3fn)),
        DType::F8E4M3FNUZ => Some(quote!(scalar::round_e4m3fnuz)),
        DType::F8E5M2 => Some(quote!(scalar::round_e5m2)),
        DType::F8E5M2FNUZ => Some(quote!(scalar::round_e5m2fnuz)),
        DType::F8E8M0 => Some(quote!(scalar::round_e8m0)),
        DType::F4E2M1 => Some(quote!(scalar::round_e2m1)),
        DType::I4 => Some(quote!(scalar::wrap_i4)),
        DType::I2 => Some(quote!(scalar::wrap_i2)),
        DType::U4 => Some(quote!(scalar::wrap_u4)),
        DType::U2 => Some(quote!(scalar::wrap_u2)),
        DType::F32
        | DType::F64
        | DType::I64
        | DType::I32
        | DType::I16
        | DType::I8
        | DType::U64
        | DType::U32
        | DType::U16
        | DType::U8
        | DType::Bool
        | DType::Str => None,
    }
}

/// The expression that makes a working value of a stored one.
pub(super) fn from_stored(dtype: DType, value: TokenStream) -> TokenStream {
    match dtype {
        DType::F16 | DType::BF16 => quote!((#value).to_f32()),
        DType::Bool => quote!((#value) != 0),
        DType::F8E4M3FN => quote!(narrow::e4m3fn_to_f32(#value)),
        DType::F8E4M3FNUZ => quote!(narrow::e4m3fnuz_to_f32(#value)),
        DType::F8E5M2 => quote!(narrow::e5m2_to_f32(#value)),
        DType::F8E5M2FNUZ => quote!(narrow::e5m2fnuz_to_f32(#value)),
        DType::F8E8M0 => quote!(narrow::e8m0_to_f32(#value)),
        _ => value,
    }
}

/// The expression that makes a stored value of a working one, for dtypes of 8 bits and more.
pub(super) fn to_stored(dtype: DType, value: TokenStream) -> TokenStream {
    match dtype {
        DType::F16 => quote!(half::f16::from_f32(#value)),
        DType::BF16 => quote!(half::bf16::from_f32(#value)),
        DType::Bool => quote!(u8::from(#value)),
        DType::F8E4M3FN => quote!(narrow::f32_to_e4m3fn(#value, false)),
        DType::F8E4M3FNUZ => quote!(narrow::f32_to_e4m3fnuz(#value, false)),
        DType::F8E5M2 => quote!(narrow::f32_to_e5m2(#value, false)),
        DType::F8E5M2FNUZ => quote!(narrow::f32_to_e5m2fnuz(#value, false)),
        DType::F8E8M0 => quote!(narrow::f32_to_e8m0(#value, false, narrow::ScaleRounding::Up)),
        _ => value,
    }
}

/// Runtime functions that read and write an element of a packed dtype.
pub(super) fn packed_access(dtype: DType) -> Option<(TokenStream, TokenStream)> {
    match dtype {
        DType::I4 => Some((quote!(scalar::get_i4), quote!(scalar::set_i4))),
        DType::U4 => Some((quote!(scalar::get_u4), quote!(scalar::set_u4))),
        DType::I2 => Some((quote!(scalar::get_i2), quote!(scalar::set_i2))),
        DType::U2 => Some((quote!(scalar::get_u2), quote!(scalar::set_u2))),
        DType::F4E2M1 => Some((quote!(scalar::get_e2m1), quote!(scalar::set_e2m1))),
        _ => None,
    }
}
