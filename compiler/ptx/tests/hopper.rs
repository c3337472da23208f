//! A product of tiles as sm_90a has it, through the builder's helpers: loads by tensor maps into a ring, barriers in shared memory,
//! products of a warp group, a store by tensor map, a wait for the kernels before. `ptxas` must find nothing to say.

#[cfg(test)]
mod assembler;

use ptx::{
    Builder, Class, Cmp, Entry, Form, Modifier, Module, Op, Operand, ParamRole, Sm, Space, Special, Type, clean, print,
    verify,
};

use ptx_emu::{Device, Element, Launch, Swizzle, TensorMap};

const STAGES: u32 = 4;
const A_BYTES: u32 = 128 * 128;
const B_BYTES: u32 = 128 * 128;

/// A descriptor of a tile of rows of 128 bytes, swizzled: the address in units of 16 bytes, 1024 bytes between groups of 8 rows.
fn descriptor(b: &mut Builder, address: ptx::Reg) -> ptx::Reg {
    let units = b.bfe(Type::U32, address, 4_u32, 14_u32);
    let wide = b.cvt(Type::U64, Type::U32, units);
    b.or(Type::B64, wide, 1_u64 << 62 | 64_u64 << 32 | 1_u64 << 16)
}

fn kernel() -> Entry {
    let mut b = Builder::new("tile");
    b.headline("128 x 128 of f16 products, one warp group loads, one multiplies");
    b.block([256, 1, 1]);
    b.min_ctas(1);
    let [a_map, b_map] = [ParamRole::Data, ParamRole::Weights].map(|role| b.tensor_map_param(role));
    let c = b.pointer_param(ParamRole::Data);
    let steps = b.scalar_param(Type::U32);
    let ring = b.dynamic_shared(1024);
    let barriers = b.shared("barriers", 2 * STAGES * 8, 8);
    let steps = b.ld_param(Type::U32, steps);
    let (a_map, b_map) = (b.param_address(a_map), b.param_address(b_map));
    let tid = b.special(Special::TidX);
    let (ring, barriers) = (b.mov(Type::U32, ring), b.mov(Type::U32, barriers));
    let first = b.setp(Cmp::Eq, Type::U32, tid, 0_u32);
    b.if_then(first, |b| {
        for stage in 0..STAGES {
            b.mbarrier_init((barriers, i64::from(stage * 8)), 1_u32);
            // A stage is free when each warp of the group that multiplies has said so.
            b.mbarrier_init((barriers, i64::from((STAGES + stage) * 8)), 4_u32);
        }
        b.emit(Form::new(Op::FenceMbarrierInit, ()), []);
    });
    b.barrier();
    b.emit(Form::new(Op::DependencyWait, ()), []);
    let group = b.shr(Type::U32, tid, 7_u32);
    let loads = b.setp(Cmp::Eq, Type::U32, group, 0_u32);
    b.if_else(
        loads,
        |b| {
            b.emit(Form::new(Op::Setmaxnreg, ptx::Change::Dec), [40_u32.into()]);
            b.if_then(first, |b| {
                b.for_loop(Type::U32, 0_u32, steps, 1_u32, |b, step| {
                    let (stage, turn) = (b.and(Type::B32, step, STAGES - 1), b.shr(Type::U32, step, STAGES.ilog2()));
                    let full = b.element_shared(barriers, stage, 8);
                    let odd = b.and(Type::B32, turn, 1_u32);
                    let free = b.xor(Type::B32, odd, 1_u32);
                    b.mbarrier_wait((full, i64::from(STAGES * 8)), free);
                    b.mbarrier_arrive_expect(full, A_BYTES + B_BYTES);
                    let dst = b.element_shared(ring, stage, A_BYTES + B_BYTES);
                    let k = b.mul(Type::U32, step, 64_u32);
                    let row = b.mul(Type::U32, Special::CtaidX, 128_u32);
                    let column = b.mul(Type::U32, Special::CtaidY, 128_u32);
                    b.tensor_load(dst, a_map, &[k, row], full);
                    b.tensor_load((dst, i64::from(A_BYTES)), b_map, &[k, column], full);
                });
            });
        },
        |b| {
            b.emit(Form::new(Op::Setmaxnreg, ptx::Change::Inc), [232_u32.into()]);
            let acc: Vec<ptx::Reg> = (0..64).map(|_| b.mov(Type::F32, 0.0_f32)).collect();
            let add = b.mov(Type::Pred, 1_u32);
            b.for_loop(Type::U32, 0_u32, steps, 1_u32, |b, step| {
                let (stage, turn) = (b.and(Type::B32, step, STAGES - 1), b.shr(Type::U32, step, STAGES.ilog2()));
                let full = b.element_shared(barriers, stage, 8);
                let parity = b.and(Type::B32, turn, 1_u32);
                b.mbarrier_wait(full, parity);
                let src = b.element_shared(ring, stage, A_BYTES + B_BYTES);
                let second = b.add(Type::U32, src, A_BYTES);
                let (x, y) = (descriptor(b, src), descriptor(b, second));
                b.emit(Form::new(Op::WgmmaFence, ()), []);
                for part in 0..4_u64 {
                    let (x, y) = (b.add(Type::U64, x, part * 2), b.add(Type::U64, y, part * 2));
                    b.wgmma(Form::new(Op::Wgmma, (Modifier::Number(128), Type::F16)), &acc, x, y, add, &[1, 1, 0, 0]);
                }
                b.emit(Form::new(Op::WgmmaCommit, ()), []);
                b.emit(Form::new(Op::WgmmaWait, ()), [0_u32.into()]);
                let one = b.and(Type::B32, tid, 31_u32);
                let tells = b.setp(Cmp::Eq, Type::U32, one, 0_u32);
                b.guarded(tells, |b| b.mbarrier_arrive((full, i64::from(STAGES * 8))));
            });
            let c = b.ld_param(Type::U64, c);
            let at = b.element(c, tid, 256);
            for (part, values) in (0_i64..).zip(acc.chunks(4)) {
                b.st_vector(Space::Global, Type::F32, (at, part * 16), values);
            }
        },
    );
    b.emit(Form::new(Op::DependencyLaunch, ()), []);
    clean(b.finish())
}

#[test]
fn the_helpers_make_a_kernel_that_verifies_and_assembles() {
    let module = Module::new(Sm::Sm90a, vec![kernel()]);
    assert_eq!(verify(&module), Ok(()));
    assert_eq!(module.version.to_string(), "8.0");
    assembler::check_optimized(Sm::Sm90a, "hopper", &print(&module));
}

/// Nothing is numbered that is not used.
#[test]
fn registers_are_compact() {
    let entry = kernel();
    for class in Class::ALL {
        let used =
            entry.instructions().flat_map(|i| i.reads().into_iter().chain(i.writes())).filter(|r| r.class == class);
        assert_eq!(used.map(|r| r.index + 1).max().unwrap_or(0), entry.register_count(class));
    }
    assert!(entry.instructions().all(|i| !matches!(i.operands.first(), Some(Operand::Imm(_))) || i.form.op != Op::Mov));
}

/// Small integers in a pattern without symmetry.
fn element(row: usize, k: usize, seed: usize) -> i32 {
    i32::try_from((row * 7 + k * 13 + row * k * seed) % 5).unwrap_or(0) - 2
}

/// -2 to 2 as f16.
fn half(value: i32) -> [u8; 2] {
    let bits: u16 = [0xC000, 0xBC00, 0, 0x3C00, 0x4000][usize::try_from(value + 2).unwrap_or(2)];
    bits.to_le_bytes()
}

/// The ring wraps twice; every sum is exact.
#[test]
fn the_kernel_multiplies_on_the_emulator() {
    let text = print(&Module::new(Sm::Sm90a, vec![kernel()]));
    let module = ptx_emu::Module::parse(&text);
    assert!(module.is_ok(), "{:?}", module.err());
    let (rows, depth) = (128_usize, 64 * 9_usize);
    let matrix = |seed: usize| -> Vec<u8> {
        (0..rows * depth).flat_map(|at| half(element(at / depth, at % depth, seed))).collect()
    };
    let mut device = Device::default();
    let [a, b] = [3, 4].map(|seed| device.alloc_with(&matrix(seed)));
    let c = device.alloc(256 * 256);
    let map = |address| TensorMap::tiled(Element::F16, address, &[576, 128], &[64, 128], Swizzle::B128).encode();
    let mut params = [map(a), map(b)].concat();
    params.extend(c.to_le_bytes());
    params.extend(9_u32.to_le_bytes());
    let launch =
        Launch { dynamic_shared: STAGES * (A_BYTES + B_BYTES), ..Launch::new("tile", [1; 3], [256, 1, 1], &params) };
    let ran = module.map(|module| device.launch(&module, &launch));
    assert!(matches!(ran, Ok(Ok(_))), "{ran:?}");
    let written = device.read(c + 128 * 256, 128 * 256).unwrap_or_default();
    for (at, value) in written.chunks(4).enumerate() {
        let (thread, i) = (at / 64, at % 64);
        let row = thread / 32 * 16 + thread % 32 / 4 + i % 4 / 2 * 8;
        let column = i / 4 * 8 + thread % 4 * 2 + i % 2;
        let sum: i32 = (0..depth).map(|k| element(row, k, 3) * element(column, k, 4)).sum();
        let bits = <[u8; 4]>::try_from(value).map(f32::from_le_bytes);
        assert_eq!(bits.map(f64::from).ok(), Some(f64::from(sum)), "row {row} column {column}");
    }
    assert_eq!(written.len(), 128 * 256);
}
