//! One planted violation for each rule, and kernels that look like one but hold.

use ptx::{
    Address, Base, Builder, Class, Cmp, Entry, Form, Guard, Inst, Module, Op, Operand, Param, ParamRole, Reg, Shuffle,
    Sm, Space, Special, Stmt, Type, Variable, Vector, Version, verify,
};

/// The rules that a module breaks, with the statements' numbers.
fn problems(module: &Module) -> Vec<String> {
    let place = |p: &ptx::Problem| p.place.stmt.as_ref().map_or_else(String::new, |(at, _)| format!(" at {at}"));
    let all = verify(module).err().unwrap_or_default();
    all.iter().map(|p| format!("P{:02}{}", p.fault.rule(), place(p))).collect()
}

#[track_caller]
fn check_module(module: &Module, expected: &[&str]) {
    let all = verify(module).err().unwrap_or_default();
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(problems(module), expected, "{texts:#?}");
}

/// What a body breaks.
#[track_caller]
fn check(sm: Sm, expected: &[&str], body: impl FnOnce(&mut Builder)) {
    let mut b = Builder::new("x");
    body(&mut b);
    check_module(&Module::new(sm, vec![b.finish()]), expected);
}

fn r(class: Class, index: u32) -> Reg {
    Reg { class, index }
}

#[test]
fn p01_modifiers_of_the_row() {
    check(Sm::Sm80, &["P01 at 1"], |b| {
        let x = b.mov(Type::B32, 1_u32);
        b.value(Form::new(Op::Add, Type::F32), [x.into(), x.into()]);
    });
}

#[test]
fn p02_number_of_operands() {
    check(Sm::Sm80, &["P02 at 1"], |b| {
        let x = b.mov(Type::B32, 1_u32);
        b.value(Form::new(Op::Add, Type::U32), [x.into()]);
    });
}

#[test]
fn p03_kind_of_operand() {
    check(Sm::Sm80, &["P03 at 1"], |b| {
        let x = b.mov(Type::B32, 1_u32);
        b.value(Form::new(Op::Add, Type::U32), [x.into(), Operand::Vector(vec![x])]);
    });
    check(Sm::Sm90a, &["P03 at 0"], |b| b.emit(Form::new(Op::BarSync, ()), [Operand::Sink]));
}

#[test]
fn p04_class_of_register() {
    check(Sm::Sm80, &["P04 at 1"], |b| {
        let x = b.mov(Type::B64, 1_u32);
        b.add(Type::U32, x, 1_u32);
    });
}

#[test]
fn p05_length_of_list() {
    check(Sm::Sm80, &["P05 at 1"], |b| {
        let tile = b.shared("tile", 64, 16);
        let x = b.mov(Type::B32, 1_u32);
        b.emit(
            Form::new(Op::StV4, (Space::Shared, Vector::V4, Type::B32)),
            [Operand::Address(tile.into()), Operand::Vector(vec![x; 3])],
        );
    });
}

#[test]
fn p06_immediates() {
    let mut b = Builder::new("x");
    b.mov(Type::B16, 1_u32);
    let mut entry = b.finish();
    replace_operand(&mut entry, 0, 1, Operand::Imm(0x1_0000));
    check_module(&Module::new(Sm::Sm80, vec![entry]), &["P06 at 0"]);
}

#[test]
fn p07_bases_of_addresses() {
    check(Sm::Sm80, &["P07 at 1", "P07 at 2", "P07 at 3"], |b| {
        let tile = b.shared("tile", 64, 16);
        let param = b.scalar_param(Type::U32);
        let x = b.mov(Type::U32, tile);
        b.ld(Space::Global, Type::U32, x);
        b.ld(Space::Global, Type::U32, tile);
        b.ld(Space::Param, Type::U32, (param, 4));
    });
}

#[test]
fn p08_alignment() {
    check(Sm::Sm80, &["P08 at 1", "P08 at 2"], |b| {
        let tile = b.shared("tile", 64, 8);
        let x = b.mov(Type::U32, tile);
        b.ld_vector(Space::Shared, Type::F32, Vector::V4, (x, 8));
        b.ld_vector(Space::Shared, Type::F32, Vector::V4, tile);
    });
}

#[test]
fn p09_guards() {
    let mut b = Builder::new("x");
    let x = b.mov(Type::B32, 1_u32);
    b.mov(Type::B32, 1_u32);
    let mut entry = b.finish();
    if let Some(Stmt::Inst(inst)) = entry.body.get_mut(1) {
        inst.guard = Some(Guard { reg: x, negated: false });
    }
    check_module(&Module::new(Sm::Sm80, vec![entry]), &["P09 at 1"]);
}

#[test]
fn p10_what_does_not_exist() {
    check(Sm::Sm80, &["P10 at 0", "P10 at 1", "P10 at 2", "P10 at 3"], |b| {
        b.add(Type::U32, r(Class::B32, 7), 1_u32);
        b.mov(Type::U32, Variable(0));
        b.mov(Type::U64, Param(0));
        b.bra(ptx::Label(0));
    });
}

#[test]
fn p11_target() {
    check(Sm::Sm75, &["P11 at 0", "P11 at 1"], |b| {
        b.cp_async_commit();
        b.special(Special::ClusterCtarank);
    });
    check(Sm::Sm100a, &["P11 at 0"], |b| b.emit(Form::new(Op::WgmmaFence, ()), []));
}

#[test]
fn p12_version() {
    let mut b = Builder::new("x");
    b.emit(Form::new(Op::WgmmaFence, ()), []);
    let entry = b.finish();
    let module = Module { version: Version(7, 8), target: Sm::Sm90a, entries: vec![entry] };
    check_module(&module, &["P12 at 0", "P12 at 1"]);
}

#[test]
fn p13_labels() {
    check(Sm::Sm80, &["P13", "P13"], |b| {
        let (twice, never) = (b.label("twice"), b.label("never"));
        b.place(twice);
        b.place(twice);
        b.bra(never);
    });
}

#[test]
fn p14_names() {
    let entry = |name: &str| Builder::new(name).finish();
    check_module(&Module::new(Sm::Sm80, vec![entry("a"), entry("a"), entry("1b")]), &["P14", "P14"]);
    check(Sm::Sm80, &["P14", "P14"], |b| {
        b.shared("tile", 4, 4);
        b.shared("tile", 4, 4);
        let label = b.label("");
        b.place(label);
    });
}

#[test]
fn p15_extents() {
    check(Sm::Sm80, &["P15"; 5], |b| {
        b.param(4, 3, ParamRole::Scalar);
        b.block([1024, 2, 1]);
        b.max_registers(256);
        b.dynamic_shared(16);
        b.shared("more", 0, 16);
        b.constant("table", 3, vec![1]);
    });
}

#[test]
fn p16_definition_on_every_path() {
    check(Sm::Sm80, &["P16 at 5"], |b| {
        let lane = b.special(Special::Laneid);
        let low = b.setp(Cmp::Lt, Type::U32, lane, 4_u32);
        let x = b.if_then(low, |b| b.mov(Type::U32, 1_u32));
        b.add(Type::U32, x, x);
    });
    check(Sm::Sm80, &["P16 at 3"], |b| {
        let lane = b.special(Special::Laneid);
        let low = b.setp(Cmp::Lt, Type::U32, lane, 4_u32);
        let x = b.guarded(low, |b| b.mov(Type::U32, 1_u32));
        b.guarded_not(low, |b| b.add(Type::U32, x, x));
    });
}

#[test]
fn p16_holds_under_the_same_guard_in_both_branches_and_in_loops() {
    check(Sm::Sm80, &[], |b| {
        let lane = b.special(Special::Laneid);
        let low = b.setp(Cmp::Lt, Type::U32, lane, 4_u32);
        let x = b.guarded(low, |b| b.mov(Type::U32, 1_u32));
        b.guarded(low, |b| b.add(Type::U32, x, x));
        b.guarded_not(low, |b| b.mov_to(Type::U32, x, 2_u32));
        let y = b.reg(Class::B32);
        b.if_else(low, |b| b.mov_to(Type::U32, y, x), |b| b.mov_to(Type::U32, y, lane));
        let sum = b.mov(Type::U32, 0_u32);
        b.for_loop(Type::U32, 0_u32, y, 1_u32, |b, i| b.accumulate(Type::U32, i, y, sum));
        b.add(Type::U32, sum, y);
    });
}

#[test]
fn p17_end_of_the_body() {
    let mut b = Builder::new("x");
    b.mov(Type::U32, 1_u32);
    let mut entry = b.finish();
    entry.body.pop();
    check_module(&Module::new(Sm::Sm80, vec![entry]), &["P17"]);
}

#[test]
fn p18_barrier_where_threads_part() {
    check(Sm::Sm80, &["P18 at 3"], |b| {
        let tid = b.special(Special::TidX);
        let low = b.setp(Cmp::Lt, Type::U32, tid, 64_u32);
        b.if_then(low, Builder::barrier);
    });
    check(Sm::Sm80, &["P18 at 3"], |b| {
        let tid = b.special(Special::TidX);
        let beyond = b.setp(Cmp::Ge, Type::U32, tid, 64_u32);
        b.guarded(beyond, Builder::exit);
        b.barrier();
    });
    check(Sm::Sm80, &["P18 at 2"], |b| {
        let tid = b.special(Special::TidX);
        let low = b.setp(Cmp::Lt, Type::U32, tid, 64_u32);
        b.guarded(low, Builder::barrier);
    });
}

#[test]
fn p18_holds_after_the_branches_meet_and_for_some_warps() {
    check(Sm::Sm80, &[], |b| {
        let tid = b.special(Special::TidX);
        let low = b.setp(Cmp::Lt, Type::U32, tid, 64_u32);
        b.if_then(low, |b| b.mov(Type::U32, 1_u32));
        b.barrier();
        let warp = b.shr(Type::U32, tid, 5_u32);
        let first = b.setp(Cmp::Lt, Type::U32, warp, 4_u32);
        b.if_then(first, |b| {
            b.named_barrier(1_u32, 128_u32);
            b.shfl(Shuffle::Bfly, tid, 1_u32);
        });
        let blocks = b.special(Special::NctaidX);
        b.for_loop(Type::U32, 0_u32, blocks, 1_u32, |b, _| b.barrier());
    });
}

#[test]
fn p19_warp_where_lanes_part() {
    check(Sm::Sm80, &["P19 at 3"], |b| {
        let lane = b.special(Special::Laneid);
        let low = b.setp(Cmp::Lt, Type::U32, lane, 16_u32);
        b.if_then(low, |b| b.shfl(Shuffle::Down, lane, 1_u32));
    });
    check(Sm::Sm80, &[], |b| {
        let lane = b.special(Special::Laneid);
        let low = b.setp(Cmp::Lt, Type::U32, lane, 16_u32);
        let mask = b.ballot(low);
        b.if_then(low, |b| {
            b.value(Form::new(Op::Shfl, Shuffle::Down), [lane.into(), 1_u32.into(), 31_u32.into(), mask.into()])
        });
    });
}

/// A kernel with weights, data and a size, where the closures say what happens before and after the wait.
#[track_caller]
fn check_dependent(
    expected: &[&str],
    before: impl FnOnce(&mut Builder, [Reg; 3]),
    after: impl FnOnce(&mut Builder, [Reg; 3]),
) {
    check(Sm::Sm90a, expected, |b| {
        let weights = b.pointer_param(ParamRole::Weights);
        let data = b.pointer_param(ParamRole::Data);
        let size = b.scalar_param(Type::U32);
        let given = [b.ld_param(Type::U64, weights), b.ld_param(Type::U64, data), b.ld_param(Type::U32, size)];
        before(b, given);
        b.emit(Form::new(Op::DependencyWait, ()), []);
        after(b, given);
    });
}

#[test]
fn p20_early_reads() {
    check_dependent(
        &["P20 at 5", "P20 at 7"],
        |b, [weights, data, size]| {
            let at = b.element(weights, size, 4);
            b.ld(Space::Global, Type::F32, at);
            b.ld(Space::Global, Type::F32, data);
            let mixed = b.add(Type::U64, at, data);
            b.ld(Space::Global, Type::F32, mixed);
        },
        |b, [_, data, _]| {
            b.ld(Space::Global, Type::F32, data);
        },
    );
}

#[test]
fn p21_early_writes() {
    check_dependent(
        &["P21 at 4"],
        |b, [weights, ..]| b.st(Space::Global, Type::F32, weights, 0.0_f32),
        |b, [_, data, _]| b.st(Space::Global, Type::F32, data, 0.0_f32),
    );
}

#[test]
fn p22_wait_on_every_path() {
    check_dependent(
        &["P22 at 4"],
        |b, [_, _, size]| {
            let none = b.setp(Cmp::Eq, Type::U32, size, 0_u32);
            b.guarded(none, Builder::exit);
        },
        |_, _| {},
    );
    check_dependent(
        &[],
        |_, _| {},
        |b, [_, _, size]| {
            let none = b.setp(Cmp::Eq, Type::U32, size, 0_u32);
            b.guarded(none, Builder::exit);
        },
    );
}

#[test]
fn p23_registers_at_entry() {
    let body = |b: &mut Builder| b.emit(Form::new(Op::Setmaxnreg, ptx::Change::Dec), [40_u32.into()]);
    check(Sm::Sm90a, &["P23"], body);
    check(Sm::Sm90a, &[], |b| {
        b.max_registers(128);
        body(b);
    });
}

#[test]
fn messages_say_where_and_what() {
    let mut b = Builder::new("x");
    let x = b.mov(Type::B64, 1_u32);
    b.add(Type::U32, x, 1_u32);
    let problems = verify(&Module::new(Sm::Sm80, vec![b.finish()])).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "P04 entry `x`, statement 1, `add.u32 %r0, %d0, 1;`: operand 1 is a register of class B64, its type asks for B32"
    );
}

fn replace_operand(entry: &mut Entry, stmt: usize, at: usize, operand: Operand) {
    if let Some(Stmt::Inst(Inst { operands, .. })) = entry.body.get_mut(stmt) {
        operands[at] = operand;
    }
}

/// An address is data like any other.
#[test]
fn addresses_count_from_their_base() {
    let address = Address::from((Param(1), 4)).plus(8);
    assert_eq!(address, Address { base: Base::Param(Param(1)), offset: 12 });
}
