//! Text of elements and tensors. A number is written in decimal where that gives back its exact bits, else by them.

use crate::dtype::{Class, DType};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, element_count};
use crate::text::cursor::Cursor;
use crate::text::lexer::{Token, quote};
use crate::text::ty::parse_dtype;
use crate::text::{ParseError, ParseErrorKind};

/// The text of an element, without its dtype.
pub fn print_scalar(scalar: Scalar) -> String {
    let decimal = match scalar.dtype.class() {
        Class::Float => print_float(scalar),
        Class::Signed => scalar.as_i64().to_string(),
        Class::Unsigned => scalar.bits.to_string(),
        Class::Bool => (scalar.bits == 1).to_string(),
        Class::Str => String::new(),
    };
    if from_decimal(scalar.dtype, &decimal) == Some(scalar) { decimal } else { format!("{:#x}", scalar.bits) }
}

/// Shortest decimal that gives back the value (in 64 bits, or in 32, which hold all narrower formats).
fn print_float(scalar: Scalar) -> String {
    let value = scalar.as_f64();
    if value.is_infinite() {
        return if value > 0.0 { "inf".to_string() } else { "-inf".to_string() };
    }
    if scalar.dtype == DType::F64 { format!("{value:?}") } else { format!("{:?}", value as f32) }
}

/// The element that a decimal, `inf`, `true` or `false` stands for, if it has one.
fn from_decimal(dtype: DType, text: &str) -> Option<Scalar> {
    match dtype.class() {
        Class::Float => {
            let value = match dtype {
                DType::F32 => f64::from(text.parse::<f32>().ok()?),
                _ => text.parse::<f64>().ok()?,
            };
            (!value.is_nan()).then(|| Scalar::from_f64(dtype, value))
        }
        Class::Signed => {
            let scalar = Scalar::from_i64(dtype, text.parse().ok()?);
            (scalar.as_i64().to_string() == text.strip_prefix('+').unwrap_or(text)).then_some(scalar)
        }
        Class::Unsigned => {
            let bits: u64 = text.parse().ok()?;
            (dtype.bits() == 64 || bits >> dtype.bits() == 0).then_some(Scalar { dtype, bits })
        }
        Class::Bool => text.parse().ok().map(Scalar::bool),
        Class::Str => None,
    }
}

/// Reads an element of a dtype.
pub fn parse_scalar(c: &mut Cursor<'_>, dtype: DType) -> Result<Scalar, ParseError> {
    if let Token::Hex(bits) = *c.peek() {
        c.advance();
        return Ok(Scalar { dtype, bits });
    }
    let pos = c.pos();
    let sign = if c.take_mark("-") { "-" } else { "" };
    let (Token::Number(text) | Token::Word(text)) = *c.peek() else {
        return c.expected(&format!("an element of dtype {dtype}"));
    };
    let spelled = format!("{sign}{text}");
    match from_decimal(dtype, &spelled) {
        Some(scalar) => {
            c.advance();
            Ok(scalar)
        }
        None => Err(pos.error(ParseErrorKind::Range {
            what: "element",
            found: spelled,
            expected: format!("one of dtype {dtype}, or bits (0x…)"),
        })),
    }
}

/// The text of a tensor's elements, in row-major order.
pub fn print_elements(tensor: &Tensor) -> String {
    let items: Vec<String> = match tensor.dtype() {
        DType::Str => tensor.strings().iter().map(|s| quote(s)).collect(),
        dtype => {
            let scalars: Vec<Scalar> = tensor.scalars().collect();
            let again = Tensor::from_scalars(dtype, tensor.shape().to_vec(), &scalars);
            if again.as_ref() != Ok(tensor) {
                let digits: String = tensor.bytes().iter().map(|b| format!("{b:02x}")).collect();
                return format!("#{digits}");
            }
            scalars.into_iter().map(print_scalar).collect()
        }
    };
    format!("[{}]", items.join(", "))
}

/// Reads the elements of a tensor of a dtype and shape: a list, or `#` and its bytes.
pub fn parse_elements(c: &mut Cursor<'_>, dtype: DType, shape: Vec<usize>) -> Result<Tensor, ParseError> {
    let pos = c.pos();
    let tensor = if let Token::Bytes(bytes) = c.peek().clone() {
        c.advance();
        Tensor::from_bytes(dtype, shape, bytes.into())
    } else if dtype == DType::Str {
        let strings = c.list("[", "]", |c| c.string("an element"))?;
        Tensor::from_strings(shape, strings)
    } else {
        let elements = c.list("[", "]", |c| parse_scalar(c, dtype))?;
        Tensor::from_scalars(dtype, shape, &elements)
    };
    tensor.map_err(|error| pos.error(error.into()))
}

/// The text of a tensor with its dtype and shape: `f32[2] [1.0, 2.0]`.
pub fn print_tensor(tensor: &Tensor) -> String {
    format!("{} {}", print_tensor_type(tensor), print_elements(tensor))
}

/// The text of a tensor's dtype and shape.
pub fn print_tensor_type(tensor: &Tensor) -> String {
    format!("{}{:?}", tensor.dtype(), tensor.shape())
}

/// Reads a tensor with its dtype and shape.
pub fn parse_tensor(c: &mut Cursor<'_>) -> Result<Tensor, ParseError> {
    let (dtype, shape) = parse_tensor_type(c)?;
    parse_elements(c, dtype, shape)
}

/// Reads a dtype and a shape of numbers.
pub fn parse_tensor_type(c: &mut Cursor<'_>) -> Result<(DType, Vec<usize>), ParseError> {
    let dtype = parse_dtype(c)?;
    let pos = c.pos();
    let shape: Vec<usize> = c.list("[", "]", |c| c.integer("extent"))?;
    match element_count(&shape).and_then(|n| dtype.bytes_for(n)) {
        Some(_) => Ok((dtype, shape)),
        None => Err(pos.error(crate::tensor::TensorError::TooLarge { shape }.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::TABLE;

    fn check(dtype: DType, bits: u64, expected: &str) {
        let scalar = Scalar { dtype, bits };
        assert_eq!(print_scalar(scalar), expected);
        assert_eq!(parse_scalar(&mut Cursor::new(expected).unwrap(), dtype), Ok(scalar));
    }

    #[test]
    fn floats_are_short_and_exact() {
        check(DType::F32, 0x3fc0_0000, "1.5");
        check(DType::F32, 0x3dcc_cccd, "0.1");
        check(DType::F32, 0x8000_0000, "-0.0");
        check(DType::F32, 0x7fc0_0001, "0x7fc00001");
        check(DType::F32, 0xff80_0000, "-inf");
        check(DType::F32, 0x7149_f2ca, "1e30");
        check(DType::F64, 1, "5e-324");
        check(DType::F16, 0x2e66, "0.099975586");
        check(DType::F8E8M0, 0xff, "0xff");
    }

    #[test]
    fn bits_beyond_the_width_are_kept() {
        check(DType::I4, 0xf, "-1");
        check(DType::I4, 0x1f, "0x1f");
        check(DType::Bool, 2, "0x2");
        check(DType::U64, u64::MAX, "18446744073709551615");
        check(DType::I64, 1 << 63, "-9223372036854775808");
        check(DType::Str, 7, "0x7");
    }

    #[test]
    fn every_narrow_pattern_survives() {
        for dtype in TABLE.iter().map(|row| row.dtype).filter(|d| d.bits() <= 16) {
            for bits in 0..1u64 << dtype.bits() {
                let scalar = Scalar { dtype, bits };
                let text = print_scalar(scalar);
                assert_eq!(parse_scalar(&mut Cursor::new(&text).unwrap(), dtype), Ok(scalar), "{dtype} {text}");
            }
        }
    }

    #[test]
    fn padding_bits_are_kept() {
        let tensor = Tensor::from_bytes(DType::I4, vec![1], vec![0x31].into()).unwrap();
        assert_eq!(print_tensor(&tensor), "i4[1] #31");
        assert_eq!(parse_tensor(&mut Cursor::new("i4[1] #31").unwrap()), Ok(tensor));
    }

    #[test]
    fn refusals() {
        let refused = |text: &str| parse_tensor(&mut Cursor::new(text).unwrap()).unwrap_err().to_string();
        assert_eq!(refused("i8[1] [128]"), "1:8: element 128 is out of range; expected one of dtype i8, or bits (0x…)");
        assert_eq!(refused("f32[2] [1.0]"), "1:8: a tensor of dtype f32 and shape [2] takes 2 bytes, found 1");
        assert_eq!(
            refused("u8[99999999999, 99999999999] []"),
            "1:3: a tensor of shape [99999999999, 99999999999] has more elements than memory can hold"
        );
    }
}
