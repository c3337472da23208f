//! What legalization makes computes the same, bit for bit: the original and the replacement run on the emulator, over special values
//! and random bits.

use ptx::{
    Atomic, Builder, Class, Cmp, Count, Effect, Entry, Fetch, Form, Guard, Module, Op, Operand, Order, ParamRole, Reg,
    Satfinite, Sm, Space, Special, Stmt, Trans, Type, legalize, print, verify,
};
use ptx_emu::{Device, Launch};

const THREADS: u32 = 128;
const BLOCKS: u32 = 16;
const SLOT: u32 = 32;

/// Bits that rounding and comparison stumble over, in all widths.
const SPECIAL: [u64; 24] = [
    0,
    1,
    0x8000,
    0x3F80,
    0xBF80,
    0x7F80,
    0xFF80,
    0x7F7F,
    0x7FC0,
    0x7C00,
    0x7C01,
    0x0080,
    0x007F,
    0x8000_0000,
    0x3F80_8000,
    0x3F80_7FFF,
    0x3F81_8000,
    0x3F80_1000,
    0x7F80_0000,
    0x7F80_0001,
    0x7F7F_FFFF,
    0xFFFF_FFFF,
    0x7FFF_FFFF_FFFF_FFFF,
    0x0100_0000_0100_0001,
];

/// A fixed sequence of numbers.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let x = self.0 ^ (self.0 >> 29);
        x.wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ (x >> 32)
    }

    fn value(&mut self) -> u64 {
        let (kind, bits) = (self.next() % 4, self.next());
        let special = |n: u64| SPECIAL[usize::try_from(n % 24).unwrap_or(0)];
        match kind {
            0 => special(bits),
            1 => special(bits) << 16 | special(bits >> 8) & 0xFFFF,
            2 => bits >> (bits % 61),
            _ => bits,
        }
    }
}

/// An entry that gives each thread 32 bytes of input and 8 of output; the closure gets the address of the input and yields the result.
fn entry(body: impl FnOnce(&mut Builder, Reg) -> Reg) -> Entry {
    let mut b = Builder::new("x");
    let (input, output) = (b.pointer_param(ParamRole::Data), b.pointer_param(ParamRole::Data));
    let (input, output) = (b.ld_param(Type::U64, input), b.ld_param(Type::U64, output));
    let i = b.thread_index();
    let (from, to) = (b.element(input, i, SLOT), b.element(output, i, 8));
    let result = body(&mut b, from);
    let wide = match result.class {
        Class::Pred => {
            let word = b.selp(Type::U32, 1_u32, 0_u32, result);
            b.cvt(Type::U64, Type::U32, word)
        }
        Class::B16 => b.cvt(Type::U64, Type::U16, result),
        Class::B32 => b.cvt(Type::U64, Type::U32, result),
        Class::B64 => result,
    };
    b.st(Space::Global, Type::U64, to, wide);
    b.finish()
}

/// The form on what is in a thread's slot.
fn apply(b: &mut Builder, form: Form, from: Reg) -> Reg {
    let specs = form.row().operands;
    let operands: Vec<Operand> = (0_i64..)
        .zip(specs.iter().skip(1))
        .map(|(at, spec)| match form.class_of(spec.ty) {
            Some(Class::B16) => b.ld(Space::Global, Type::B16, (from, at * 8)).into(),
            Some(Class::B64) => b.ld(Space::Global, Type::B64, (from, at * 8)).into(),
            _ => b.ld(Space::Global, Type::B32, (from, at * 8)).into(),
        })
        .collect();
    b.value(form, operands)
}

/// All outputs of an entry.
fn run(sm: Sm, entry: Entry) -> Vec<u8> {
    let module = Module::new(sm, vec![entry]);
    let problems: Vec<String> = verify(&module).err().unwrap_or_default().iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let text = print(&module);
    let parsed = ptx_emu::Module::parse(&text);
    assert!(parsed.is_ok(), "{:?}\n{text}", parsed.err());
    let threads = BLOCKS * THREADS;
    let mut numbers = Numbers(7);
    let input: Vec<u8> = (0..threads * SLOT / 8).flat_map(|_| numbers.value().to_le_bytes()).collect();
    let mut device = Device::default();
    let (input, output) = (device.alloc_with(&input), device.alloc_with(&vec![0; (threads * 8) as usize]));
    let params: Vec<u8> = [input, output].iter().flat_map(|p| p.to_le_bytes()).collect();
    let ran = parsed.map(|m| device.launch(&m, &Launch::new("x", [BLOCKS, 1, 1], [THREADS, 1, 1], &params)));
    assert!(matches!(ran, Ok(Ok(_))), "{ran:?}\n{text}");
    device.read(output, u64::from(threads) * 8).unwrap_or_default()
}

/// The result with one NaN for all, since which one it is depends on the hardware; with `relu` also with one zero.
fn canonical(ty: Type, relu: bool, outputs: &[u8]) -> Vec<u8> {
    let one = |bits: u64, width: u32, above: u64| {
        let magnitude = bits & ((1 << (width - 1)) - 1);
        match magnitude {
            0 if relu => 0,
            _ if magnitude > above => above + 1,
            _ => bits,
        }
    };
    let value = |chunk: &[u8]| chunk.iter().rev().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let each = |bits: u64| match ty {
        Type::F32 | Type::Tf32 => one(bits, 32, 0x7F80_0000),
        Type::F16 => one(bits, 16, 0x7C00),
        Type::Bf16 => one(bits, 16, 0x7F80),
        Type::F16x2 => one(bits & 0xFFFF, 16, 0x7C00) | one(bits >> 16, 16, 0x7C00) << 16,
        Type::Bf16x2 => one(bits & 0xFFFF, 16, 0x7F80) | one(bits >> 16, 16, 0x7F80) << 16,
        _ => bits,
    };
    outputs.chunks(8).flat_map(|chunk| each(value(chunk)).to_le_bytes()).collect()
}

/// The float type of a form's result; rows that say only how many bits it has are named.
fn result_type(form: Form) -> Type {
    let ty = form.row().operands.first().and_then(|spec| form.type_of(spec.ty)).unwrap_or(Type::B32);
    match form.op {
        Op::CvtF32ToBf16 | Op::CvtIntToBf16 => Type::Bf16,
        Op::CvtF32ToHalfRelu => Type::F16,
        Op::CvtF32ToTf32 => Type::Tf32,
        _ => ty,
    }
}

#[track_caller]
fn same(what: &str, before: &[u8], after: &[u8]) {
    let differs = before.chunks(8).zip(after.chunks(8)).position(|(a, b)| a != b);
    let value = |bytes: &[u8]| differs.map(|at| format!("{:02x?}", &bytes[at * 8..at * 8 + 8]));
    assert_eq!(differs, None, "{what}: {:?} became {:?}", value(before), value(after));
}

/// Every row that computes something and that the target lacks, on a target that has it and legalized; alone, and under a guard.
fn check(sm: Sm) {
    let mut count = 0;
    for op in Op::ALL {
        let row = op.row();
        let approximate = matches!(op, Op::Ex2Bhalf | Op::TanhBhalf | Op::CreatePolicy | Op::Mapa);
        if row.arch.has(sm) || !row.arch.has(Sm::Sm90a) || row.effect != Effect::Pure || approximate {
            continue;
        }
        for form in Form::all(*op) {
            let plain = entry(|b, from| apply(b, form, from));
            let legal = legalize(plain.clone(), sm);
            if legal.instructions().any(|inst| !inst.form.arch().has(sm)) {
                continue;
            }
            let ty = result_type(form);
            let relu = *op == Op::FmaRelu || form.to_string().contains(".relu");
            let compare = |what: String, before: Entry, after: Entry| {
                same(&what, &canonical(ty, relu, &run(Sm::Sm90a, before)), &canonical(ty, relu, &run(sm, after)));
            };
            compare(form.to_string(), plain.clone(), legal);
            let guarded = guard(plain, form);
            compare(format!("@{form}"), guarded.clone(), legalize(guarded, sm));
            count += 1;
        }
    }
    assert!(count > 20, "{count} forms");
}

/// The form under a guard that holds in every other thread; the others have 5 as their result.
fn guard(mut entry: Entry, form: Form) -> Entry {
    let at = entry.body.iter().position(|s| s.as_inst().is_some_and(|i| i.form == form)).unwrap_or(0);
    let rest = entry.body.split_off(at);
    let mut b = Builder::resume(entry);
    let lane = b.special(Special::Laneid);
    let bit = b.and(Type::B32, lane, 1_u32);
    let odd = b.setp(Cmp::Eq, Type::U32, bit, 1_u32);
    let dst = rest.first().and_then(Stmt::as_inst).and_then(|i| i.writes().first().copied());
    if let Some(dst) = dst {
        let ty =
            [Type::Pred, Type::B16, Type::B32, Type::B64][Class::ALL.iter().position(|c| *c == dst.class).unwrap_or(2)];
        b.mov_to(ty, dst, if ty == Type::Pred { 1_u32 } else { 5_u32 });
    }
    let mut entry = b.finish();
    entry.body.pop();
    entry.body.extend(rest);
    for stmt in &mut entry.body {
        if let Stmt::Inst(inst) = stmt
            && inst.form == form
        {
            inst.guard = Some(Guard { reg: odd, negated: false });
        }
    }
    entry
}

#[test]
fn arithmetic_on_sm_75() {
    check(Sm::Sm75);
}

#[test]
fn arithmetic_on_sm_80() {
    check(Sm::Sm80);
}

#[test]
fn reductions_over_a_warp() {
    for (op, ty) in
        [(Atomic::Add, Type::S32), (Atomic::Min, Type::S32), (Atomic::Max, Type::U32), (Atomic::Xor, Type::B32)]
    {
        let plain = entry(|b, from| {
            let x = b.ld(Space::Global, Type::B32, from);
            b.redux(op, ty, x)
        });
        same(op.text(), &run(Sm::Sm80, plain.clone()), &run(Sm::Sm75, legalize(plain, Sm::Sm75)));
    }
}

/// Numbers that every order of additions sums to the same.
#[test]
fn atomic_sums_of_bf16() {
    for ty in [Type::Bf16, Type::Bf16x2] {
        let plain = entry(|b, from| {
            let one = b.mov(ty.untyped(), if ty == Type::Bf16 { 0x3F80_u32 } else { 0x3F80_3F80 });
            let zero = b.mov(Type::B32, 0_u32);
            let tile = b.shared("sum", 4, 4);
            let tid = b.special(Special::TidX);
            let first = b.setp(Cmp::Eq, Type::U32, tid, 0_u32);
            b.guarded(first, |b| b.st(Space::Shared, Type::B32, tile, zero));
            b.barrier();
            let low = b.setp(Cmp::Lt, Type::U32, tid, 40_u32);
            b.guarded(low, |b| b.red(Order::Default, Space::Shared, Atomic::Add, ty, tile, one));
            b.barrier();
            let _ = from;
            b.ld(Space::Shared, Type::B32, tile)
        });
        same("red", &run(Sm::Sm90a, plain.clone()), &run(Sm::Sm80, legalize(plain.clone(), Sm::Sm80)));
        let sum = run(Sm::Sm75, legalize(plain, Sm::Sm75));
        assert_eq!(sum.get(..2), Some([0x20, 0x42].as_slice()), "40 as bf16");
    }
}

/// Every number of bytes that a copy can be asked to read.
#[test]
fn copies_with_zeros() {
    for bytes in [4_u32, 8, 16] {
        let entry = entry(|b, from| {
            let tile = b.shared("tile", THREADS * 16, 16);
            let tid = b.special(Special::TidX);
            let mine = b.mov(Type::U32, tile);
            let mine = b.element_shared(mine, tid, 16);
            let read = b.rem(Type::U32, tid, bytes + 1);
            b.cp_async_zfill(Fetch::Default, mine, from, bytes, read);
            b.cp_async_commit();
            b.cp_async_wait(0);
            let word = b.sub(Type::U32, bytes, 4_u32);
            let last = b.add(Type::U32, mine, word);
            b.ld(Space::Shared, Type::B32, last)
        });
        let mut numbers = Numbers(7);
        let input: Vec<u8> = (0..BLOCKS * THREADS * SLOT / 8).flat_map(|_| numbers.value().to_le_bytes()).collect();
        let output = run(Sm::Sm75, legalize(entry.clone(), Sm::Sm75));
        same("cp.async", &run(Sm::Sm80, entry), &output);
        for (thread, (slot, found)) in input.chunks(SLOT as usize).zip(output.chunks(8)).enumerate() {
            let read = thread % THREADS as usize % (bytes as usize + 1);
            let expected: Vec<u8> = (0..bytes as usize).map(|at| if at < read { slot[at] } else { 0 }).collect();
            assert_eq!(found[..4], expected[bytes as usize - 4..], "{read} of {bytes} bytes");
        }
    }
}

/// Each lane gives two elements of each of four matrices that tell lane, matrix and side; a thread looks at the first four columns
/// of the row whose address it gave.
#[test]
fn stores_of_matrices() {
    for (trans, transposed) in [(Trans::No, false), (Trans::Trans, true)] {
        let entry = entry(|b, _| {
            let tile = b.shared("tile", THREADS * 16, 16);
            let (tid, lane) = (b.special(Special::TidX), b.special(Special::Laneid));
            let tile = b.mov(Type::U32, tile);
            let row = b.element_shared(tile, tid, 16);
            let values: Vec<Reg> = (0..4_u32)
                .map(|matrix| b.mad(Type::U32, lane, 0x0100_0100_u32, ((matrix * 2 + 1) << 16) | (matrix * 2)))
                .collect();
            b.stmatrix(Count::X4, trans, row, &values);
            b.warp_barrier();
            b.ld(Space::Shared, Type::B64, row)
        });
        let output = run(Sm::Sm75, legalize(entry.clone(), Sm::Sm75));
        same("stmatrix", &run(Sm::Sm90a, entry), &output);
        for (thread, found) in output.chunks(8).enumerate() {
            let (matrix, row) = (thread % 32 / 8, thread % 8);
            for column in 0..4 {
                let (r, c) = if transposed { (column, row) } else { (row, column) };
                let expected = [matrix * 2 + c % 2, r * 4 + c / 2].map(|x| u8::try_from(x).unwrap_or(255));
                assert_eq!(found[column * 2..column * 2 + 2], expected, "{trans:?} thread {thread} column {column}");
            }
        }
    }
}

/// The larger shape and the smaller ones that stand for it; small integers, so that no sum is rounded.
fn check_product(form: Form, native: Sm, element: impl Fn(&mut Builder, Reg) -> Reg) {
    let plain = entry(|b, from| {
        let row = form.row().operands;
        let mut counts = row.iter().map(|spec| form.count_of(spec.count).map_or(1, |(count, _)| count));
        let lists: Vec<Vec<Reg>> = [counts.next(), counts.next(), counts.next(), counts.next()]
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(list, count)| {
                let words: Vec<Reg> = (0..count)
                    .map(|at| {
                        let offset = i64::try_from((at * 4 + list * 8) % 32).unwrap_or(0);
                        let x = b.ld(Space::Global, Type::B32, (from, offset));
                        element(b, x)
                    })
                    .collect();
                words
            })
            .collect();
        let operands: Vec<Operand> = lists.iter().map(|list| Operand::Vector(list.clone())).collect();
        b.emit(form, operands);
        // All results count, each by a factor of its own.
        let zero = b.mov(Type::U32, 0_u32);
        lists[0].iter().zip(1_u32..).fold(zero, |sum, (x, factor)| b.mad(Type::U32, *x, factor * 2 - 1, sum))
    });
    let legal = legalize(plain.clone(), Sm::Sm75);
    same(&form.to_string(), &run(native, plain), &run(Sm::Sm75, legal));
}

#[test]
fn products_on_sm_75() {
    // Halves 0 to 3 in both sides of a word; the accumulator's words are f32, which such bits make tiny but exact.
    let halves = |b: &mut Builder, x: Reg| {
        let small = b.and(Type::B32, x, 0x0003_0003_u32);
        let parts = b.unpack(small);
        let parts: Vec<Reg> = parts.iter().map(|p| b.cvt(Type::F16, Type::U16, *p)).collect();
        b.pack(&parts)
    };
    check_product(Form::new(Op::Mma16816F16, ()), Sm::Sm80, halves);
    let bytes = |_: &mut Builder, x: Reg| x;
    for op in [Op::Mma16832Int, Op::Mma16816Int] {
        for form in Form::all(op).into_iter().filter(|f| f.modifier(0) == Some(Satfinite::No.into())) {
            check_product(form, Sm::Sm80, bytes);
        }
    }
}
