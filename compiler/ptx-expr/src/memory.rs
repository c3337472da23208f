//! Loads and stores of elements: addresses, widths from 1 to 16 bytes, and the way between memory's bits and values.
//!
//! ```text
//! 4 lanes of f16 from element o:   address = base + 2 o;  ld.v2.b32 {a, b};  f32 of a's low half, a's high half, b's …
//! 1 lane of u4:                    ld.u8 at base + (o >> 1);  shifted by 4 (o & 1);  masked
//! ```

use graph::dtype::DType;
use ptx::{Address, Builder, Fetch, LoadCache, Operand, Reg, Space, StoreCache, Type, Vector};

use crate::arith::Arith;
use crate::emitter::Whole;
use crate::error::Error;
use crate::machine::{Machine, Value};
use crate::op::{Convert, Int, IntOp, Width};
use crate::scalar::{from_memory, to_memory};

/// A buffer: where it lies, the address of element 0 (64 bits, or 32 in shared memory), and how caches treat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub space: Space,
    pub base: Reg,
    pub load: LoadCache,
    pub store: StoreCache,
}

impl Memory {
    /// Global memory that may be written while the kernel runs.
    pub fn global(base: Reg) -> Memory {
        Memory { space: Space::Global, base, load: LoadCache::Default, store: StoreCache::Default }
    }

    /// Global memory that nobody writes while the kernel runs.
    pub fn read_only(base: Reg) -> Memory {
        Memory { load: LoadCache::Nc, ..Memory::global(base) }
    }

    /// Shared memory.
    pub fn shared(base: Reg) -> Memory {
        Memory { space: Space::Shared, ..Memory::global(base) }
    }
}

/// What elements of one access look like.
struct Shape {
    /// Type of a register that is loaded or stored.
    ty: Type,
    /// Registers.
    count: usize,
}

/// The shape of so many bits in a row.
fn shape(dtype: DType, lanes: usize) -> Result<Shape, Error> {
    let bits = dtype.bits() as usize * lanes;
    let refused = Error::Lanes { dtype, lanes, unit: "access of 1, 2, 4, 8 or 16 bytes" };
    let wide = dtype.bits() == 64;
    Ok(match bits {
        8 => Shape { ty: Type::U8, count: 1 },
        16 => Shape { ty: Type::U16, count: 1 },
        32 => Shape { ty: Type::B32, count: 1 },
        64 if wide => Shape { ty: Type::B64, count: 1 },
        64 => Shape { ty: Type::B32, count: 2 },
        128 if wide => Shape { ty: Type::B64, count: 2 },
        128 => Shape { ty: Type::B32, count: 4 },
        _ => return Err(refused),
    })
}

/// The address of an element; of packed ones, of the byte that it begins in.
pub fn address(m: &mut Machine<'_>, memory: &Memory, offset: Whole<Value>, dtype: DType) -> Address {
    let (offset, bytes) = match dtype.bits() {
        bits @ (2 | 4) => {
            let ty = if offset.wide { Int::S64 } else { Int::S32 };
            let by = m.u32(if bits == 2 { 2 } else { 1 });
            (Whole { value: m.int2(IntOp::Shr, ty, offset.value, by), wide: offset.wide }, 1)
        }
        bits => (offset, bits / 8),
    };
    let short = memory.base.class == ptx::Class::B32;
    match offset.value {
        Value::Const(_, bits) => {
            let elements = if offset.wide { bits as i64 } else { i64::from(bits as u32 as i32) };
            Address::from((memory.base, elements.wrapping_mul(i64::from(bytes))))
        }
        Value::Reg(_) if short => {
            let low = if offset.wide { m.convert(Convert::Low, offset.value) } else { offset.value };
            let low = m.register(low);
            m.builder().mad(Type::S32, low, bytes, memory.base).into()
        }
        Value::Reg(reg) if offset.wide => m.builder().mad(Type::S64, reg, u64::from(bytes), memory.base).into(),
        Value::Reg(reg) => m.builder().mad_wide(Type::S32, reg, bytes, memory.base).into(),
    }
}

/// Elements from an offset on, in their form. Several lanes need an address divisible by their size; packed ones begin at a
/// whole byte.
pub fn load(
    m: &mut Machine<'_>,
    memory: &Memory,
    offset: Whole<Value>,
    dtype: DType,
    lanes: usize,
) -> Result<Vec<Value>, Error> {
    let at = address(m, memory, offset, dtype);
    if lanes == 1 && dtype.bits() < 8 && dtype.bits() > 0 {
        let byte = load_words(m, memory, at, &Shape { ty: Type::U8, count: 1 });
        let byte = byte.first().copied().ok_or(Error::DType { what: "a load", dtype })?;
        let bits = packed(m, byte, offset, dtype);
        return Ok(vec![from_memory(m, dtype, bits)?]);
    }
    load_at(m, memory, at, dtype, lanes)
}

/// Elements at an address.
pub fn load_at(
    m: &mut Machine<'_>,
    memory: &Memory,
    at: Address,
    dtype: DType,
    lanes: usize,
) -> Result<Vec<Value>, Error> {
    let words = load_words(m, memory, at, &shape(dtype, lanes)?);
    let mut values = Vec::with_capacity(lanes);
    for lane in 0..lanes {
        let bits = lane_bits(m, &words, dtype, lanes, lane);
        values.push(from_memory(m, dtype, bits)?);
    }
    Ok(values)
}

fn load_words(m: &mut Machine<'_>, memory: &Memory, at: Address, shape: &Shape) -> Vec<Value> {
    let vector = Vector::of(shape.count).unwrap_or(Vector::One);
    let b = m.builder();
    let regs = if memory.space == Space::Global {
        b.ld_cached(memory.load, Fetch::Default, shape.ty, vector, at)
    } else if shape.count == 1 {
        vec![b.ld(memory.space, shape.ty, at)]
    } else {
        b.ld_vector(memory.space, shape.ty, vector, at)
    };
    regs.into_iter().map(Value::Reg).collect()
}

/// A packed element out of its byte.
fn packed(m: &mut Machine<'_>, byte: Value, offset: Whole<Value>, dtype: DType) -> Value {
    let bits = dtype.bits();
    let low = if offset.wide { m.convert(Convert::Low, offset.value) } else { offset.value };
    let (in_byte, log) = (m.u32(8 / bits - 1), m.u32(bits.trailing_zeros()));
    let position = m.and(Width::B32, low, in_byte);
    let by = m.int2(IntOp::Shl, Int::U32, position, log);
    let moved = m.int2(IntOp::Shr, Int::U32, byte, by);
    let mask = m.u32((1 << bits) - 1);
    m.and(Width::B32, moved, mask)
}

/// The bits of one lane, zeros above.
fn lane_bits(m: &mut Machine<'_>, words: &[Value], dtype: DType, lanes: usize, lane: usize) -> Value {
    let bits = dtype.bits() as usize;
    let zero = m.u32(0);
    let word_bits = if bits == 64 { 64 } else { (bits * lanes).min(32) };
    let word = words.get(lane * bits / word_bits.max(1)).copied().unwrap_or(zero);
    let from = lane * bits % word_bits.max(1);
    if bits == word_bits {
        return word;
    }
    let by = m.u32(from as u32);
    let moved = m.int2(IntOp::Shr, Int::U32, word, by);
    if from + bits == word_bits {
        return moved;
    }
    let mask = m.u32((1u32 << bits) - 1);
    m.and(Width::B32, moved, mask)
}

/// Stores values of a dtype from an offset on. With `canonical` every NaN is stored as the one of its dtype. Packed values fill
/// whole bytes, as no other thread may write the rest of one.
pub fn store(
    m: &mut Machine<'_>,
    memory: &Memory,
    offset: Whole<Value>,
    dtype: DType,
    values: &[Value],
    canonical: bool,
) -> Result<(), Error> {
    let at = address(m, memory, offset, dtype);
    store_at(m, memory, at, dtype, values, canonical)
}

/// Stores values at an address.
pub fn store_at(
    m: &mut Machine<'_>,
    memory: &Memory,
    at: Address,
    dtype: DType,
    values: &[Value],
    canonical: bool,
) -> Result<(), Error> {
    let shape = shape(dtype, values.len())?;
    let bits = dtype.bits();
    let mut words: Vec<Value> = Vec::with_capacity(shape.count);
    for (lane, value) in values.iter().enumerate() {
        let value = to_memory(m, dtype, *value, canonical)?;
        let from = (lane as u32 * bits) % 32;
        if bits >= 32 || from == 0 {
            words.push(value);
            continue;
        }
        let by = m.u32(from);
        let moved = m.int2(IntOp::Shl, Int::U32, value, by);
        if let Some(last) = words.pop() {
            words.push(m.or(Width::B32, last, moved));
        }
    }
    let regs: Vec<Reg> = words.into_iter().map(|w| m.register(w)).collect();
    let b = m.builder();
    match (memory.space, regs.as_slice()) {
        (Space::Global, _) => b.st_cached(memory.store, shape.ty, at, &regs),
        (space, [one]) => b.st(space, shape.ty, at, *one),
        (space, _) => b.st_vector(space, shape.ty, at, &regs),
    }
    Ok(())
}

/// An address that a loop moves on: it is a register that [`Cursor::advance`] writes, so a machine must not outlive a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub address: Reg,
}

impl Cursor {
    /// Starts at an element.
    pub fn new(m: &mut Machine<'_>, memory: &Memory, offset: Whole<Value>, dtype: DType) -> Cursor {
        let start = address(m, memory, offset, dtype);
        let b = m.builder();
        let ty = if memory.base.class == ptx::Class::B32 { Type::U32 } else { Type::U64 };
        let ptx::Base::Reg(base) = start.base else { return Cursor { address: b.mov(ty, memory.base) } };
        if start.offset == 0 {
            return Cursor { address: b.mov(ty, base) };
        }
        Cursor { address: b.add(ty, base, start.offset) }
    }

    /// Moves on by bytes: a number or a register of the address's width.
    pub fn advance(self, b: &mut Builder, bytes: impl Into<Operand>) {
        let ty = if self.address.class == ptx::Class::B32 { Type::U32 } else { Type::U64 };
        b.emit(ptx::Form::new(ptx::Op::Add, ty), [self.address.into(), self.address.into(), bytes.into()]);
    }
}
