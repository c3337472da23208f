//! Builds an entry instruction by instruction.
//!
//! Operands go in as registers, numbers, special registers or variables; what a form cannot take directly (an immediate half, a
//! special register in an addition) is moved into a register first. Nothing fails here: what is wrong is found by the verifier.
//!
//! ```
//! use ptx::{Builder, Cmp, Module, ParamRole, Sm, Space, Special, Type};
//! let mut b = Builder::new("twice");
//! let (data, count) = (b.pointer_param(ParamRole::Data), b.scalar_param(Type::U32));
//! let (data, count) = (b.ld_param(Type::U64, data), b.ld_param(Type::U32, count));
//! let i = b.thread_index();
//! let inside = b.setp(Cmp::Lt, Type::U32, i, count);
//! b.if_then(inside, |b| {
//!     let at = b.element(data, i, 4);
//!     let x = b.ld(Space::Global, Type::F32, at);
//!     let y = b.add(Type::F32, x, x);
//!     b.st(Space::Global, Type::F32, at, y);
//! });
//! let module = Module::new(Sm::Sm80, vec![b.finish()]);
//! assert!(ptx::verify(&module).is_ok());
//! assert!(ptx::print(&module).contains("add.rn.f32"));
//! ```

mod arithmetic;
mod bulk;
mod control;
mod memory;
mod warp;

pub use warp::FULL_MASK;

use crate::form::{Form, Many, Role, Spec};
use crate::inst::{Guard, Inst, Label, Operand, Param, Reg, Stmt, Variable};
use crate::module::{Entry, ParamInfo, ParamRole, VariableInfo};
use crate::table::Op;
use crate::token::{Class, Space, Type};

#[derive(Clone, Debug)]
pub struct Builder {
    entry: Entry,
    guard: Option<Guard>,
}

impl Builder {
    pub fn new(name: &str) -> Builder {
        let entry = Entry {
            name: name.to_string(),
            comments: Vec::new(),
            params: Vec::new(),
            variables: Vec::new(),
            registers: [0; 4],
            labels: Vec::new(),
            block: None,
            max_threads: None,
            min_ctas: None,
            max_registers: None,
            cluster: None,
            body: Vec::new(),
        };
        Builder { entry, guard: None }
    }

    /// A builder that goes on at the end of an entry's body.
    pub fn resume(entry: Entry) -> Builder {
        Builder { entry, guard: None }
    }

    /// The entry, which returns at its end if it did not before.
    pub fn finish(mut self) -> Entry {
        let last = self.entry.body.iter().rev().find(|s| !matches!(s, Stmt::Comment(_)));
        let ended =
            last.and_then(Stmt::as_inst).is_some_and(|i| i.guard.is_none() && matches!(i.form.op, Op::Ret | Op::Exit));
        if !ended {
            self.emit(Form::new(Op::Ret, ()), []);
        }
        self.entry
    }

    /// The entry as it is, without an end.
    pub(crate) fn into_entry(self) -> Entry {
        self.entry
    }

    /// Appends a statement as it is.
    pub(crate) fn push(&mut self, stmt: Stmt) {
        self.entry.body.push(stmt);
    }

    /// What the closure appends has this guard.
    pub(crate) fn with_guard<R>(&mut self, guard: Option<Guard>, body: impl FnOnce(&mut Builder) -> R) -> R {
        let outer = std::mem::replace(&mut self.guard, guard);
        let result = body(self);
        self.guard = outer;
        result
    }

    /// What the closure appends has no guard but is jumped over where the guard in force does not hold: for sequences with guards
    /// and loops of their own.
    pub(crate) fn jump_over<R>(&mut self, body: impl FnOnce(&mut Builder) -> R) -> R {
        let Some(guard) = self.guard else { return body(self) };
        let skip = self.label("skip");
        let opposite = Guard { negated: !guard.negated, ..guard };
        self.with_guard(Some(opposite), |b| b.bra(skip));
        let result = self.with_guard(None, body);
        self.place(skip);
        result
    }

    /// A line above the entry.
    pub fn headline(&mut self, text: &str) {
        self.entry.comments.extend(text.lines().map(str::to_string));
    }

    /// A line in the body.
    pub fn comment(&mut self, text: &str) {
        self.entry.body.extend(text.lines().map(|line| Stmt::Comment(line.to_string())));
    }

    /// The exact extents of a block.
    pub fn block(&mut self, extents: [u32; 3]) {
        self.entry.block = Some(extents);
    }

    pub fn max_threads(&mut self, threads: u32) {
        self.entry.max_threads = Some(threads);
    }

    pub fn min_ctas(&mut self, ctas: u32) {
        self.entry.min_ctas = Some(ctas);
    }

    pub fn max_registers(&mut self, registers: u32) {
        self.entry.max_registers = Some(registers);
    }

    pub fn cluster(&mut self, extents: [u32; 3]) {
        self.entry.cluster = Some(extents);
    }

    pub fn param(&mut self, size: u32, align: u32, role: ParamRole) -> Param {
        let number = next(self.entry.params.len());
        self.entry.params.push(ParamInfo { size, align, role });
        Param(number)
    }

    /// A parameter that is a device pointer.
    pub fn pointer_param(&mut self, role: ParamRole) -> Param {
        self.param(8, 8, role)
    }

    /// A parameter that is a number.
    pub fn scalar_param(&mut self, ty: Type) -> Param {
        let bytes = ty.bits().div_ceil(8);
        self.param(bytes, bytes, ParamRole::Scalar)
    }

    /// A parameter that is a tensor map.
    pub fn tensor_map_param(&mut self, role: ParamRole) -> Param {
        self.param(128, 64, role)
    }

    /// Shared memory of a size that is known now.
    pub fn shared(&mut self, name: &str, size: u32, align: u32) -> Variable {
        self.variable(VariableInfo { space: Space::Shared, name: name.to_string(), size, align, data: Vec::new() })
    }

    /// The shared memory whose size comes with the launch; one per entry.
    pub fn dynamic_shared(&mut self, align: u32) -> Variable {
        self.shared("dynamic", 0, align)
    }

    /// Memory of each thread.
    pub fn local(&mut self, name: &str, size: u32, align: u32) -> Variable {
        self.variable(VariableInfo { space: Space::Local, name: name.to_string(), size, align, data: Vec::new() })
    }

    /// A table in constant memory.
    pub fn constant(&mut self, name: &str, align: u32, data: Vec<u8>) -> Variable {
        let size = next(data.len());
        self.variable(VariableInfo { space: Space::Const, name: name.to_string(), size, align, data })
    }

    fn variable(&mut self, info: VariableInfo) -> Variable {
        let number = next(self.entry.variables.len());
        self.entry.variables.push(info);
        Variable(number)
    }

    /// A new register.
    pub fn reg(&mut self, class: Class) -> Reg {
        let [pred, b16, b32, b64] = &mut self.entry.registers;
        let count = match class {
            Class::Pred => pred,
            Class::B16 => b16,
            Class::B32 => b32,
            Class::B64 => b64,
        };
        let index = *count;
        *count += 1;
        Reg { class, index }
    }

    /// A new register for values of a type.
    pub fn reg_of(&mut self, ty: Type) -> Reg {
        self.reg(ty.class())
    }

    pub fn regs(&mut self, class: Class, count: usize) -> Vec<Reg> {
        (0..count).map(|_| self.reg(class)).collect()
    }

    /// Appends an instruction, under the guard that is in force.
    pub fn emit(&mut self, form: Form, operands: impl IntoIterator<Item = Operand>) {
        let specs = form.row().operands;
        let operands: Vec<Operand> = operands.into_iter().collect();
        let fitted = operands.into_iter().enumerate().map(|(at, operand)| match specs.get(at) {
            Some(spec) => self.fit(form, *spec, operand),
            None => operand,
        });
        let operands = fitted.collect();
        let guard = self.guard;
        self.entry.body.push(Stmt::Inst(Inst { form, guard, operands }));
    }

    /// Appends an instruction whose first operand is a new register, and yields that.
    pub fn value(&mut self, form: Form, operands: impl IntoIterator<Item = Operand>) -> Reg {
        let class = form.row().operands.first().and_then(|spec| form.class_of(spec.ty));
        let dst = self.reg(class.unwrap_or(Class::B32));
        let all: Vec<Operand> = std::iter::once(Operand::Reg(dst)).chain(operands).collect();
        self.emit(form, all);
        dst
    }

    /// Appends an instruction whose first operand is a list of new registers, and yields these.
    pub fn values(&mut self, form: Form, operands: impl IntoIterator<Item = Operand>) -> Vec<Reg> {
        let spec = form.row().operands.first();
        let class = spec.and_then(|spec| form.class_of(spec.ty)).unwrap_or(Class::B32);
        let count = spec.and_then(|spec| form.count_of(spec.count)).map_or(1, |(count, _)| count);
        let dst = self.regs(class, count);
        let first = list(form, spec.map_or(Many::One, |s| s.count), &dst);
        let all: Vec<Operand> = std::iter::once(first).chain(operands).collect();
        self.emit(form, all);
        dst
    }

    /// An operand as the spec takes it; moves into a register what cannot stand there.
    fn fit(&mut self, form: Form, spec: Spec, operand: Operand) -> Operand {
        let Some(ty) = form.type_of(spec.ty) else { return operand };
        let alone = form.count_of(spec.count) == Some((1, false));
        match (spec.role, operand) {
            (Role::Address(..), Operand::Reg(reg)) => Operand::Address(reg.into()),
            (Role::Address(..), Operand::Variable(v)) => Operand::Address(v.into()),
            (Role::Address(..), Operand::Param(p)) => Operand::Address(p.into()),
            (Role::Read, Operand::Imm(bits)) if takes_immediate(ty) => Operand::Imm(bits & mask(ty)),
            (Role::Source | Role::Constant, Operand::Imm(bits)) => Operand::Imm(bits & mask(ty)),
            (Role::Read | Role::ReadRegister, Operand::Imm(bits)) if alone => {
                let class = form.class_of(spec.ty).unwrap_or(ty.class());
                let plain = if takes_immediate(ty) && ty.class() == class { ty } else { bits_of(class) };
                let plain = if ty.bits() == 8 { Type::B32 } else { plain };
                Operand::Reg(self.value(Form::new(Op::Mov, plain), [Operand::Imm(bits & mask(ty))]))
            }
            (Role::Read | Role::ReadRegister, operand @ Operand::Special(_)) => {
                let wide = matches!(operand, Operand::Special(s) if s.ty() == Type::U64);
                let plain = if wide { Type::U64 } else { Type::U32 };
                Operand::Reg(self.value(Form::new(Op::Mov, plain), [operand]))
            }
            (Role::Read | Role::ReadRegister, operand @ (Operand::Variable(_) | Operand::Param(_))) => {
                let plain = if ty.bits() == 64 { Type::U64 } else { Type::U32 };
                Operand::Reg(self.value(Form::new(Op::Mov, plain), [operand]))
            }
            (_, operand) => operand,
        }
    }
}

/// Registers as an operand of a list or, where one stands without braces, as a register.
fn list(form: Form, count: Many, regs: &[Reg]) -> Operand {
    match (form.count_of(count), regs) {
        (Some((1, false)), [reg]) => Operand::Reg(*reg),
        _ => Operand::Vector(regs.to_vec()),
    }
}

/// The type that says no more than the class.
const fn bits_of(class: Class) -> Type {
    match class {
        Class::Pred => Type::Pred,
        Class::B16 => Type::B16,
        Class::B32 => Type::B32,
        Class::B64 => Type::B64,
    }
}

/// Whether PTX can write a constant of this type.
pub(crate) const fn takes_immediate(ty: Type) -> bool {
    !matches!(
        ty,
        Type::Pred
            | Type::F16
            | Type::Bf16
            | Type::F16x2
            | Type::Bf16x2
            | Type::Tf32
            | Type::E4m3
            | Type::E5m2
            | Type::E4m3x2
            | Type::E5m2x2
    )
}

/// The bits that a value of the type has.
pub(crate) const fn mask(ty: Type) -> u64 {
    match ty.bits() {
        64 => u64::MAX,
        bits => (1 << bits) - 1,
    }
}

fn next(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The name of a place, told apart from others by its number.
impl Builder {
    pub fn label(&mut self, name: &str) -> Label {
        let number = next(self.entry.labels.len());
        self.entry.labels.push(name.to_string());
        Label(number)
    }
}
