//! Loads and stores of every dtype and width, through the emulator: what is loaded and stored again is the same bytes.

use graph::dtype::{DType, TABLE};
use ptx::{Builder, Module, ParamRole, Sm, Space, Special, Type};
use ptx_expr::memory::{self, Cursor, Memory, Rounds};
use ptx_expr::{Machine, Value, Whole, Width};

const COUNT: usize = 64;

const CANONICAL: Rounds = Rounds { canonical: true, saturate: false };

/// Bytes that survive a round trip through values: no NaN but canonical ones, bools 0 and 1.
fn bytes(dtype: DType) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..dtype.bytes_for(COUNT).unwrap()).map(|k| (k * 37 + 11) as u8 & 0x3F).collect();
    if dtype == DType::Bool {
        bytes.iter_mut().for_each(|b| *b &= 1);
    }
    bytes
}

/// A kernel that copies: each thread loads `lanes` elements and stores them again; `through` is where the bytes lie in between.
fn copy(dtype: DType, lanes: usize, shared: bool, wide: bool) -> String {
    let mut b = Builder::new("copy");
    let threads = (COUNT / lanes) as u32;
    b.block([threads, 1, 1]);
    let [from, to] = [0, 1].map(|_| b.pointer_param(ParamRole::Data));
    let [from, to] = [from, to].map(|p| b.ld_param(Type::U64, p));
    let size = dtype.bytes_for(COUNT).unwrap() as u32;
    let between = shared.then(|| b.shared("between", size, 16));
    let between = between.map(|v| b.mov(Type::U32, v));
    let thread = b.special(Special::TidX);
    let first = b.mul(Type::U32, thread, lanes as u32);
    let offset = if wide {
        Whole { value: Value::Reg(b.cvt(Type::S64, Type::S32, first)), wide: true }
    } else {
        Whole { value: Value::Reg(first), wide: false }
    };
    let mut m = Machine::new(&mut b, Sm::Sm80);
    let mut values = memory::load(&mut m, &Memory::read_only(from), offset, dtype, lanes).unwrap();
    if let Some(between) = between {
        memory::store(&mut m, &Memory::shared(between), offset, dtype, &values, CANONICAL).unwrap();
        values = memory::load(&mut m, &Memory::shared(between), offset, dtype, lanes).unwrap();
    }
    memory::store(&mut m, &Memory::global(to), offset, dtype, &values, CANONICAL).unwrap();
    let module = Module::new(Sm::Sm80, vec![b.finish()]);
    assert_eq!(ptx::verify(&module).err().map(|p| p.len()), None, "{dtype} {lanes}");
    ptx::print(&module)
}

#[track_caller]
fn check(dtype: DType, lanes: usize, shared: bool, wide: bool) {
    let text = copy(dtype, lanes, shared, wide);
    let module = ptx_emu::Module::parse(&text).unwrap();
    let mut device = ptx_emu::Device::default();
    let data = bytes(dtype);
    let (from, to) = (device.alloc_with(&data), device.alloc(data.len() as u64));
    let params: Vec<u8> = [from, to].iter().flat_map(|p| p.to_le_bytes()).collect();
    let launch = ptx_emu::Launch::new("copy", [1; 3], [(COUNT / lanes) as u32, 1, 1], &params);
    device.launch(&module, &launch).unwrap();
    assert_eq!(device.read(to, data.len() as u64).unwrap(), data, "{dtype} in {lanes}");
}

#[test]
fn every_dtype_in_every_width() {
    for row in TABLE.iter().filter(|row| row.bits > 0) {
        for lanes in [1, 2, 4, 8, 16, 32, 64] {
            let bits = row.bits as usize * lanes;
            if (8..=128).contains(&bits) {
                check(row.dtype, lanes, false, false);
                check(row.dtype, lanes, true, lanes == 4);
            }
        }
    }
}

#[test]
fn single_packed_elements_are_extracted() {
    for (dtype, group) in [(DType::U4, 2), (DType::I4, 2), (DType::F4E2M1, 2), (DType::I2, 4), (DType::U2, 4)] {
        let mut b = Builder::new("extract");
        b.block([(COUNT / group) as u32, 1, 1]);
        let [from, to] = [0, 1].map(|_| b.pointer_param(ParamRole::Data));
        let [from, to] = [from, to].map(|p| b.ld_param(Type::U64, p));
        let thread = b.special(Special::TidX);
        let first = b.mul(Type::U32, thread, group as u32);
        let each: Vec<_> = (0..group).map(|k| b.add(Type::U32, first, k as u32)).collect();
        let mut m = Machine::new(&mut b, Sm::Sm80);
        let mut values = Vec::new();
        for reg in each {
            let offset = Whole { value: Value::Reg(reg), wide: false };
            values.extend(memory::load(&mut m, &Memory::global(from), offset, dtype, 1).unwrap());
        }
        let offset = Whole { value: Value::Reg(first), wide: false };
        memory::store(&mut m, &Memory::global(to), offset, dtype, &values, CANONICAL).unwrap();
        let text = ptx::print(&Module::new(Sm::Sm80, vec![b.finish()]));
        let module = ptx_emu::Module::parse(&text).unwrap();
        let mut device = ptx_emu::Device::default();
        let data = bytes(dtype);
        let (from, to) = (device.alloc_with(&data), device.alloc(data.len() as u64));
        let params: Vec<u8> = [from, to].iter().flat_map(|p| p.to_le_bytes()).collect();
        let launch = ptx_emu::Launch::new("extract", [1; 3], [(COUNT / group) as u32, 1, 1], &params);
        device.launch(&module, &launch).unwrap();
        assert_eq!(device.read(to, data.len() as u64).unwrap(), data, "{dtype}");
    }
}

#[test]
fn part_of_a_byte_is_not_stored() {
    let mut b = Builder::new("refused");
    let p = b.pointer_param(ParamRole::Data);
    let p = b.ld_param(Type::U64, p);
    let mut m = Machine::new(&mut b, Sm::Sm80);
    let zero = Value::Const(Width::B32, 0);
    let at = Whole { value: zero, wide: false };
    let error = memory::store(&mut m, &Memory::global(p), at, DType::U4, &[zero], CANONICAL).unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 elements of u4 are no whole access of 1, 2, 4, 8 or 16 bytes; give every thread as many as fill it"
    );
}

/// A sum along a cursor that a loop moves on.
#[test]
fn a_cursor_walks() {
    let mut b = Builder::new("sum");
    b.block([1, 1, 1]);
    let [from, to] = [0, 1].map(|_| b.pointer_param(ParamRole::Data));
    let [from, to] = [from, to].map(|p| b.ld_param(Type::U64, p));
    let memory = Memory::global(from);
    let start = Whole { value: Value::Const(Width::B32, 3), wide: false };
    let mut m = Machine::new(&mut b, Sm::Sm80);
    let cursor = Cursor::new(&mut m, &memory, start, DType::F32);
    let total = b.mov(Type::F32, 0.0f32);
    b.for_loop(Type::U32, 0u32, 5u32, 1u32, |b, _| {
        let mut m = Machine::new(b, Sm::Sm80);
        let x = memory::load_at(&mut m, &memory, cursor.address.into(), DType::F32, 1).unwrap();
        let x = m.register(x[0]);
        b.accumulate(Type::F32, x, 1.0f32, total);
        cursor.advance(b, 8u64);
    });
    b.st(Space::Global, Type::F32, to, total);
    let text = ptx::print(&Module::new(Sm::Sm80, vec![b.finish()]));
    let module = ptx_emu::Module::parse(&text).unwrap();
    let mut device = ptx_emu::Device::default();
    let data: Vec<u8> = (0..16).flat_map(|k| (k as f32).to_le_bytes()).collect();
    let (from, to) = (device.alloc_with(&data), device.alloc(4));
    let params: Vec<u8> = [from, to].iter().flat_map(|p| p.to_le_bytes()).collect();
    device.launch(&module, &ptx_emu::Launch::new("sum", [1; 3], [1, 1, 1], &params)).unwrap();
    assert_eq!(device.read(to, 4).unwrap(), 35f32.to_le_bytes());
}

/// A thread stores `lanes` f32 as elements of a dtype.
fn narrowed(dtype: DType, sm: Sm, lanes: usize, saturate: bool) -> String {
    let mut b = Builder::new("narrow");
    let [from, to] = [0, 1].map(|_| b.pointer_param(ParamRole::Data));
    let [from, to] = [from, to].map(|p| b.ld_param(Type::U64, p));
    b.block([(EDGES.len() / lanes) as u32, 1, 1]);
    let thread = b.special(Special::TidX);
    let first = Whole { value: Value::Reg(b.mul(Type::U32, thread, lanes as u32)), wide: false };
    let mut m = Machine::new(&mut b, sm);
    let values = memory::load(&mut m, &Memory::read_only(from), first, DType::F32, lanes).unwrap();
    let rounds = Rounds { canonical: false, saturate };
    memory::store(&mut m, &Memory::global(to), first, dtype, &values, rounds).unwrap();
    let module = Module::new(sm, vec![ptx::clean(ptx::legalize(b.finish(), sm))]);
    assert_eq!(ptx::verify(&module).err().map(|p| p.len()), None, "{dtype} {lanes}");
    ptx::print(&module)
}

/// Around the ends of both 16-bit floats, and what no rounding makes.
const EDGES: [f32; 20] = [
    65_504.0,
    65_519.996,
    65_520.0,
    -65_520.0,
    1e30,
    -1e30,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    0.0,
    -0.0,
    1e-30,
    -1e-30,
    6.1e-5,
    -5.9e-8,
    1.000_488_3,
    -1.001_464_8,
    3.4e38,
    f32::NAN,
];

#[track_caller]
fn check_narrowed(dtype: DType, sm: Sm, lanes: usize, saturate: bool) {
    let text = narrowed(dtype, sm, lanes, saturate);
    let module = ptx_emu::Module::parse(&text).unwrap();
    let mut device = ptx_emu::Device::default();
    let data: Vec<u8> = EDGES.iter().flat_map(|x| x.to_le_bytes()).collect();
    let (from, to) = (device.alloc_with(&data), device.alloc(2 * EDGES.len() as u64));
    let params: Vec<u8> = [from, to].iter().flat_map(|p| p.to_le_bytes()).collect();
    let launch = ptx_emu::Launch::new("narrow", [1; 3], [(EDGES.len() / lanes) as u32, 1, 1], &params);
    device.launch(&module, &launch).unwrap();
    let found = device.read(to, 2 * EDGES.len() as u64).unwrap();
    for (x, found) in EDGES.iter().zip(found.chunks_exact(2)) {
        let found = u64::from(u16::from_le_bytes([found[0], found[1]]));
        let expected = graph::narrow::encode(dtype, f64::from(*x), saturate);
        let both_nan = x.is_nan() && graph::narrow::decode(dtype, found).is_nan();
        assert!(found == expected || both_nan, "{x} as {dtype} on {sm}, {lanes} lanes: {found:#x}, not {expected:#x}");
    }
}

#[test]
fn stores_round_alone_and_in_pairs() {
    for dtype in [DType::F16, DType::BF16] {
        for sm in [Sm::Sm75, Sm::Sm80, Sm::Sm90a] {
            for lanes in [1, 2, 4] {
                check_narrowed(dtype, sm, lanes, false);
                check_narrowed(dtype, sm, lanes, true);
            }
        }
    }
}

#[test]
fn pairs_are_one_conversion() {
    let count = |saturate| narrowed(DType::F16, Sm::Sm80, 4, saturate).matches("cvt.rn.f16").count();
    assert_eq!([count(false), count(true)], [2, 2]);
}
