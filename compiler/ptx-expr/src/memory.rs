//! Loads and stores of elements: addresses, widths from 1 to 16 bytes, and the way between memory's bits and values.
//!
//! ```text
//! 4 lanes of f16 from element o:   address = base + 2 o;  ld.v2.b32 {a, b};  f32 of a's low half, a's high half, b's …
//! 4 lanes of f16 to element o:     two of f32 at once to a word (cvt.rn.f16x2.f32);  st.v2.b32
//! 1 lane of u4:                    ld.u8 at base + (o >> 1);  shifted by 4 (o & 1);  masked
//! ```

use graph::dtype::DType;
use graph::expr::{Expr, ExprId, Exprs, Rounding};
use ptx::{Address, Builder, Fetch, Form, LoadCache, Op, Operand, Reg, Relu, Round, Space, StoreCache, Type, Vector};

use crate::arith::Arith;
use crate::emitter::Whole;
use crate::error::Error;
use crate::machine::{Machine, Value};
use crate::narrow::within;
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

/// What stores do to floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rounds {
    /// Every NaN is stored as the one of its dtype.
    pub canonical: bool,
    /// Values are rounded as by a cast that saturates: of 16-bit floats, only infinities become infinite.
    pub saturate: bool,
}

/// Stores values of a dtype from an offset on; floats are rounded to it. Packed values fill whole bytes, as no other thread may
/// write the rest of one.
pub fn store(
    m: &mut Machine<'_>,
    memory: &Memory,
    offset: Whole<Value>,
    dtype: DType,
    values: &[Value],
    rounds: Rounds,
) -> Result<(), Error> {
    let at = address(m, memory, offset, dtype);
    store_at(m, memory, at, dtype, values, rounds)
}

/// Stores values at an address.
pub fn store_at(
    m: &mut Machine<'_>,
    memory: &Memory,
    at: Address,
    dtype: DType,
    values: &[Value],
    rounds: Rounds,
) -> Result<(), Error> {
    let shape = shape(dtype, values.len())?;
    let words = words(m, dtype, values, rounds)?;
    let regs: Vec<Reg> = words.into_iter().map(|w| m.register(w)).collect();
    let b = m.builder();
    match (memory.space, regs.as_slice()) {
        (Space::Global, _) => b.st_cached(memory.store, shape.ty, at, &regs),
        (space, [one]) => b.st(space, shape.ty, at, *one),
        (space, _) => b.st_vector(space, shape.ty, at, &regs),
    }
    Ok(())
}

/// The bits of values that follow each other, in registers of 32 or 64 bits.
fn words(m: &mut Machine<'_>, dtype: DType, values: &[Value], rounds: Rounds) -> Result<Vec<Value>, Error> {
    if !rounds.canonical
        && values.len().is_multiple_of(2)
        && let Some(words) = values.chunks_exact(2).map(|pair| narrow_pair(m, dtype, rounds.saturate, pair)).collect()
    {
        return Ok(words);
    }
    let bits = dtype.bits();
    let mut words: Vec<Value> = Vec::with_capacity(values.len());
    for (lane, value) in values.iter().enumerate() {
        let value = if rounds.saturate { within(m, dtype, *value) } else { *value };
        let value = to_memory(m, dtype, value, rounds.canonical)?;
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
    Ok(words)
}

/// Two f32 rounded to floats of 16 bits as one word, the first in its low half; `None` where the target has no such conversion,
/// or both are known.
pub fn narrow_pair(m: &mut Machine<'_>, dtype: DType, saturate: bool, pair: &[Value]) -> Option<Value> {
    let ty = match dtype {
        DType::F16 => Type::F16x2,
        DType::BF16 => Type::Bf16x2,
        _ => return None,
    };
    let form = |round| Form::new(Op::CvtF32ToPair, (round, Relu::No, ty));
    let &[low, high] = pair else { return None };
    if !form(Round::Rn).arch().has(m.sm()) || (m.known(low).is_some() && m.known(high).is_some()) {
        return None;
    }
    let near = |v| if saturate && dtype == DType::BF16 { within(m, dtype, v) } else { v };
    let [low, high] = [low, high].map(near).map(|v| m.register(v));
    let b = m.builder();
    let nearest = b.value(form(Round::Rn), [high.into(), low.into()]);
    if !saturate || dtype == DType::BF16 {
        return Some(Value::Reg(nearest));
    }
    // Rounded toward zero, only an infinity is infinite.
    let cut = b.value(form(Round::Rz), [high.into(), low.into()]);
    let largest = b.mov(Type::B32, 0x7BFF_7BFF_u32);
    let sizes = [nearest, cut].map(|v| b.abs(ty, v));
    let [size, reach] = sizes;
    let reach = b.max_nan(ty, reach, largest);
    let size = b.min_nan(ty, size, reach);
    let sign = b.and(Type::B32, nearest, 0x8000_8000_u32);
    Some(Value::Reg(b.or(Type::B32, size, sign)))
}

/// What is to be stored for a value in memory of a dtype, and whether it saturates: a cast of an f32 to the dtype is left to the
/// store.
pub fn stored(exprs: &Exprs, value: ExprId, dtype: DType) -> (ExprId, bool) {
    match exprs.get(value) {
        Some(Expr::Cast { to, saturate, rounding: Rounding::Nearest, value: wide })
            if *to == dtype && matches!(dtype, DType::F16 | DType::BF16) && exprs.dtype(*wide) == DType::F32 =>
        {
            (*wide, *saturate)
        }
        _ => (value, false),
    }
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
