//! One instruction of every form, with operands that can stand there.

use ptx::{
    Address, Base, Builder, Class, Entry, Form, Modifier, Op, Operand, Param, ParamRole, Reg, Role, Sm, Space, SpaceOf,
    Spec, Special, Type, Variable,
};

/// An entry with all forms of a row that the target has; `None` if it has none.
#[allow(dead_code, reason = "one test file chooses its forms")]
pub fn entry(op: Op, sm: Sm) -> Option<Entry> {
    entry_of(op, |form| form.arch().has(sm))
}

/// An entry with the forms of a row that are wanted; `None` if there is none.
pub fn entry_of(op: Op, wanted: impl Fn(Form) -> bool) -> Option<Entry> {
    let forms: Vec<Form> = Form::all(op).into_iter().filter(|form| wanted(*form)).collect();
    if forms.is_empty() {
        return None;
    }
    let mut b = Sampler::new(&format!("{op:?}"));
    for form in forms {
        b.sample(form);
    }
    Some(b.builder.finish())
}

struct Sampler {
    builder: Builder,
    param: Param,
    shared: Variable,
    local: Variable,
    constant: Variable,
    global: Reg,
    near: Reg,
}

impl Sampler {
    fn new(name: &str) -> Sampler {
        let mut b = Builder::new(name);
        b.min_ctas(1);
        let param = b.param(64, 16, ParamRole::Data);
        let shared = b.shared("tile", 4096, 128);
        let local = b.local("stack", 64, 16);
        let constant = b.constant("table", 16, (0..64).collect());
        let global = b.ld_param(Type::U64, param);
        let near = b.mov(Type::U32, shared);
        Sampler { builder: b, param, shared, local, constant, global, near }
    }

    /// The form with registers everywhere, and with immediates where they may stand.
    fn sample(&mut self, form: Form) {
        let registers = self.operands(form, false);
        self.builder.emit(form, registers.clone());
        let immediates = self.operands(form, true);
        let takes = |(a, b): (&Operand, &Operand)| matches!(b, Operand::Imm(_)) && !matches!(a, Operand::Imm(_));
        if registers.iter().zip(&immediates).any(takes) {
            self.builder.emit(form, immediates);
        }
        if form.op == Op::Mov {
            let ty = form.modifiers().next();
            let width = match ty {
                Some(Modifier::Type(Type::U32)) => Type::U32,
                Some(Modifier::Type(Type::U64)) => Type::U64,
                _ => return,
            };
            for special in Special::ALL.iter().filter(|s| s.ty() == width && !s.needs_cluster()) {
                self.builder.special(*special);
            }
            self.builder.mov(width, self.shared);
        }
    }

    fn operands(&mut self, form: Form, immediates: bool) -> Vec<Operand> {
        form.row().operands.iter().enumerate().map(|(at, spec)| self.operand(form, at, *spec, immediates)).collect()
    }

    fn operand(&mut self, form: Form, at: usize, spec: Spec, immediates: bool) -> Operand {
        let (class, ty) = (form.class_of(spec.ty).unwrap(), form.type_of(spec.ty).unwrap());
        let (count, braces) = form.count_of(spec.count).unwrap();
        match spec.role {
            Role::Write | Role::WriteOrSink if !braces => self.builder.reg(class).into(),
            Role::Write => self.builder.regs(class, count).into(),
            // The mask of all lanes: the one that these have sequences for.
            Role::Read if at == 2 && matches!(form.op, Op::Redux | Op::ReduxLogic | Op::ReduxFloat | Op::Elect) => {
                Operand::Imm(u64::from(ptx::FULL_MASK))
            }
            Role::Read | Role::Source if immediates && !braces && can_be_immediate(form, ty) => {
                Operand::Imm(small(form, at))
            }
            Role::Read | Role::ReadRegister | Role::Source | Role::Update if !braces => self.defined(class).into(),
            Role::ReadRegister | Role::Update | Role::Read => {
                let regs: Vec<Reg> = (0..count).map(|_| self.defined(class)).collect();
                regs.into()
            }
            Role::Sink => Operand::Sink,
            Role::Constant => Operand::Imm(constant(form, at)),
            Role::Address(_, space) => Operand::Address(self.address(form, space)),
            Role::Tensor(_) => {
                let coordinates = (0..count).map(|_| self.defined(Class::B32)).collect();
                Operand::Tensor(self.global.into(), coordinates)
            }
            Role::Label => {
                let label = self.builder.label("next");
                self.builder.place(label);
                label.into()
            }
            // No row has a list there; the verifier would say so.
            Role::WriteOrSink | Role::Source => Operand::Sink,
        }
    }

    fn defined(&mut self, class: Class) -> Reg {
        match class {
            Class::Pred => self.builder.mov(Type::Pred, 1_u32),
            Class::B16 => self.builder.mov(Type::B16, 1_u32),
            Class::B32 => self.builder.mov(Type::B32, 1_u32),
            Class::B64 => self.builder.mov(Type::B64, 1_u32),
        }
    }

    fn address(&mut self, form: Form, space: SpaceOf) -> Address {
        let base = match form.space_of(space) {
            None | Some(Space::Global) => Base::Reg(self.global),
            Some(Space::Shared) => Base::Variable(self.shared),
            Some(Space::Cluster) => Base::Reg(self.near),
            Some(Space::Local) => Base::Variable(self.local),
            Some(Space::Const) => Base::Variable(self.constant),
            Some(Space::Param) => Base::Param(self.param),
        };
        Address { base, offset: 16 }
    }
}

fn can_be_immediate(form: Form, ty: Type) -> bool {
    let pred = ty == Type::Pred && form.op != Op::Mov;
    let half = matches!(ty, Type::F16 | Type::Bf16 | Type::F16x2 | Type::Bf16x2);
    !pred && !half
}

/// A number that the form takes.
fn constant(form: Form, at: usize) -> u64 {
    match (form.op, at) {
        (Op::CpAsyncCa | Op::CpAsyncCaZfill, _) => 4,
        (Op::CpAsyncCg | Op::CpAsyncCgZfill, _) => 16,
        (Op::Setmaxnreg, _) => 64,
        (Op::Lop3, _) => 0x96,
        (Op::Wgmma | Op::WgmmaF16, 6 | 7) | (Op::WgmmaRegisters, 6) => 0,
        _ => 1,
    }
}

/// A number that can stand for a register.
fn small(form: Form, at: usize) -> u64 {
    match (form.op, at) {
        (Op::BarSyncSome | Op::BarrierSyncSome | Op::BarArrive, 1) => 32,
        (Op::BulkPrefetch, 1) => 16,
        (Op::BulkLoad | Op::BulkLoadPolicy | Op::BulkMulticast | Op::BulkShare | Op::BulkStore | Op::BulkReduce, 2) => {
            16
        }
        _ => 1,
    }
}
