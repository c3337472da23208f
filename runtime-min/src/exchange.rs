//! Values as bytes, for tools that talk to a generated crate's program: not part of its library.
//!
//! ```text
//! tensor: 0, dtype, rank, extents (u64 each), bytes;  strings: length (u64) and UTF-8 each in place of bytes
//! sequence: 1, count (u64), values;  optional: 2, 0 or 1, value;  map: 3, keys, count (u64), values
//! ```

use super::datum::{DType, Datum, TensorDatum};

/// Element types by number.
const DTYPES: [DType; 24] = [
    DType::F32,
    DType::F64,
    DType::F16,
    DType::BF16,
    DType::F8E4M3FN,
    DType::F8E4M3FNUZ,
    DType::F8E5M2,
    DType::F8E5M2FNUZ,
    DType::F8E8M0,
    DType::F4E2M1,
    DType::I64,
    DType::I32,
    DType::I16,
    DType::I8,
    DType::I4,
    DType::I2,
    DType::U64,
    DType::U32,
    DType::U16,
    DType::U8,
    DType::U4,
    DType::U2,
    DType::Bool,
    DType::Str,
];

/// Appends a list of values.
pub fn write_all(values: &[Datum], out: &mut Vec<u8>) {
    number(values.len(), out);
    values.iter().for_each(|v| write(v, out));
}

fn write(value: &Datum, out: &mut Vec<u8>) {
    match value {
        Datum::Tensor(t) => write_tensor(t, out),
        Datum::Seq(items) => {
            out.push(1);
            write_all(items, out);
        }
        Datum::Opt(None) => out.extend([2, 0]),
        Datum::Opt(Some(inner)) => {
            out.extend([2, 1]);
            write(inner, out);
        }
        Datum::Map { keys, values } => {
            out.push(3);
            write_tensor(keys, out);
            write_all(values, out);
        }
    }
}

fn write_tensor(tensor: &TensorDatum, out: &mut Vec<u8>) {
    out.push(0);
    out.push(DTYPES.iter().position(|d| *d == tensor.dtype).unwrap_or(0) as u8);
    out.push(tensor.shape.len() as u8);
    tensor.shape.iter().for_each(|d| number(*d, out));
    if tensor.dtype == DType::Str {
        for text in &tensor.strings {
            number(text.len(), out);
            out.extend_from_slice(text.as_bytes());
        }
    } else {
        out.extend_from_slice(&tensor.data);
    }
}

fn number(value: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(value as u64).to_le_bytes());
}

/// Reads a list of values, and moves behind it; nothing if the bytes are no such list.
pub fn read_all(bytes: &mut &[u8]) -> Option<Vec<Datum>> {
    let count = read_number(bytes)?;
    let mut out = Vec::new();
    for _ in 0..count {
        out.push(read(bytes)?);
    }
    Some(out)
}

fn read(bytes: &mut &[u8]) -> Option<Datum> {
    Some(match take(bytes, 1)?.first()? {
        0 => Datum::Tensor(read_tensor(bytes)?),
        1 => Datum::Seq(read_all(bytes)?),
        2 => match take(bytes, 1)?.first()? {
            0 => Datum::Opt(None),
            _ => Datum::Opt(Some(Box::new(read(bytes)?))),
        },
        3 => {
            take(bytes, 1)?;
            Datum::Map { keys: read_tensor(bytes)?, values: read_all(bytes)? }
        }
        _ => return None,
    })
}

fn read_tensor(bytes: &mut &[u8]) -> Option<TensorDatum> {
    let dtype = *DTYPES.get(usize::from(*take(bytes, 1)?.first()?))?;
    let rank = *take(bytes, 1)?.first()?;
    let shape = (0..rank).map(|_| read_number(bytes)).collect::<Option<Vec<usize>>>()?;
    let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
    if dtype == DType::Str {
        let mut strings = Vec::new();
        for _ in 0..count {
            let length = read_number(bytes)?;
            strings.push(String::from_utf8(take(bytes, length)?.to_vec()).ok()?);
        }
        return Some(TensorDatum::from_strings(shape, strings));
    }
    let data = take(bytes, count.checked_mul(dtype.bits())?.div_ceil(8))?.to_vec();
    Some(TensorDatum { dtype, shape, data, strings: Vec::new() })
}

fn read_number(bytes: &mut &[u8]) -> Option<usize> {
    let word = take(bytes, 8)?.try_into().ok()?;
    usize::try_from(u64::from_le_bytes(word)).ok()
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(count)?;
    *bytes = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_there_and_back() {
        let keys = TensorDatum::from_strings(vec![2], vec!["a".into(), "é".into()]);
        let nibbles = TensorDatum { dtype: DType::I4, shape: vec![3], data: vec![0x21, 0x03], strings: Vec::new() };
        let values = vec![
            Datum::Tensor(TensorDatum::from_i64s(vec![2, 1], &[5, -6])),
            Datum::Seq(vec![Datum::Opt(None), Datum::Opt(Some(Box::new(Datum::Tensor(nibbles))))]),
            Datum::Map { keys, values: vec![Datum::Seq(Vec::new()), Datum::Opt(None)] },
        ];
        let mut bytes = Vec::new();
        write_all(&values, &mut bytes);
        assert_eq!(read_all(&mut &bytes[..]), Some(values));
        assert_eq!(read_all(&mut &bytes[..bytes.len() - 1]), None);
    }
}
