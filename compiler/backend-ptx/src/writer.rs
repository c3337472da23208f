//! An entry under construction: its parameters, its values, and structured control over mutable registers.

mod control;
mod scalar;

use std::collections::BTreeMap;

use graph::dim::Dim;
use graph::dtype::DType;
use graph::symbol::Symbols;
use nest::kernel::Kernel;
use ptx::{Address, Builder, LoadCache, Module, Param, ParamRole, Reg, Sm, Space, Special, Type};

use ptx_expr::{Value, Width};

use crate::emitter::Emitter;
use crate::error::PtxError;
use crate::index::Ix;
use crate::launch::{Arg, GpuKernel};
use crate::memory::Region;
use crate::reduce::SLOT;
use crate::schedule::THREADS;

/// A value: a register or a constant.
pub type V = Value;

/// An entry under construction.
pub struct Writer {
    pub m: Emitter,
    name: String,
    sm: Sm,
    args: Vec<Arg>,
    params: Vec<Param>,
    /// Parameters that are in registers here; one map for each open block.
    held: Vec<BTreeMap<(usize, u32), V>>,
    specials: BTreeMap<Special, V>,
    scratch: Option<ptx::Variable>,
    /// Values of 16 bits by the word that they were read in, and whether they are its upper half.
    pub(crate) halves: BTreeMap<V, (DType, V, bool)>,
    /// Shared variables so far.
    shared: u32,
    dynamic: Dim,
}

impl Writer {
    pub fn new(name: &str, sm: Sm) -> Writer {
        let mut builder = Builder::new(name);
        let specials = [Special::TidX, Special::CtaidX, Special::CtaidY];
        let specials = specials.map(|s| (s, Value::Reg(builder.special(s))));
        Writer {
            m: Emitter::new(builder, sm),
            name: name.to_string(),
            sm,
            args: Vec::new(),
            params: Vec::new(),
            held: vec![BTreeMap::new()],
            specials: specials.into_iter().collect(),
            scratch: None,
            halves: BTreeMap::new(),
            shared: 0,
            dynamic: Dim::constant(0),
        }
    }

    /// The builder, for instructions that have no value of their own.
    pub fn b(&mut self) -> &mut Builder {
        &mut self.m.builder
    }

    pub fn sm(&self) -> Sm {
        self.sm
    }

    pub fn headline(&mut self, text: &str) {
        self.m.builder.headline(text);
    }

    /// The launch of the finished entry.
    pub fn finish(self, grid: [Dim; 3], block: [u32; 3]) -> Result<GpuKernel, PtxError> {
        let mut builder = self.m.builder;
        builder.block(block);
        let entry = ptx::legalize(builder.finish(), self.sm);
        let module = Module::new(self.sm, vec![ptx::clean(entry)]);
        if let Err(problems) = ptx::verify(&module) {
            let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
            return Err(PtxError::Verify(text.join("; ")));
        }
        Ok(GpuKernel {
            module,
            entry: self.name,
            grid,
            block,
            dynamic_shared: self.dynamic,
            args: self.args,
            cooperative: false,
        })
    }

    // Parameters

    fn param(&mut self, arg: Arg) -> (usize, Param) {
        if let Some(known) = self.args.iter().position(|a| *a == arg) {
            return (known, self.params.get(known).copied().unwrap_or(Param(0)));
        }
        let builder = &mut self.m.builder;
        let param = match &arg {
            Arg::Read(_) | Arg::Write(_) | Arg::Workspace { .. } => builder.pointer_param(ParamRole::Data),
            Arg::Size64(_) => builder.scalar_param(Type::U64),
            Arg::Size32(_) => builder.scalar_param(Type::U32),
            Arg::Divisor(_) => builder.param(8, 8, ParamRole::Scalar),
        };
        self.args.push(arg);
        self.params.push(param);
        (self.params.len() - 1, param)
    }

    /// The part of a parameter at an offset.
    fn held(&mut self, arg: Arg, ty: Type, offset: u32) -> V {
        let (number, param) = self.param(arg);
        let key = (number, offset);
        if let Some(known) = self.held.iter().rev().find_map(|held| held.get(&key)) {
            return *known;
        }
        let reg = self.m.builder.ld(Space::Param, ty, Address::from((param, i64::from(offset))));
        let value = Value::Reg(reg);
        if let Some(held) = self.held.last_mut() {
            held.insert(key, value);
        }
        value
    }

    /// A size in the width of index arithmetic.
    pub fn size(&mut self, ix: Ix, dim: &Dim) -> V {
        match (dim.as_const(), ix) {
            (Some(value), _) => self.m.int(ix.int(), value),
            (None, Ix::Narrow) => self.held(Arg::Size32(dim.clone()), Type::U32, 0),
            (None, Ix::Wide) => self.held(Arg::Size64(dim.clone()), Type::U64, 0),
        }
    }

    /// A number as an argument, even where it is known: for launches that differ in it alone.
    pub fn argument(&mut self, number: &Dim) -> V {
        self.held(Arg::Size32(number.clone()), Type::U32, 0)
    }

    /// Multiplier and shift for divisions by a size. An extent of 0 has no points to divide for, and counts as 1.
    pub fn divisor(&mut self, dim: &Dim) -> (V, V) {
        let dim = Symbols::default().max(dim, &Dim::constant(1));
        let multiplier = self.held(Arg::Divisor(dim.clone()), Type::U32, 0);
        (multiplier, self.held(Arg::Divisor(dim), Type::U32, 4))
    }

    /// An operand as a region of memory.
    pub fn operand(&mut self, kernel: &Kernel, k: usize) -> Result<Region, PtxError> {
        let port = kernel.operands.get(k).ok_or(PtxError::Malformed("no such operand"))?;
        if port.dtype == DType::Str {
            return Err(PtxError::Unsupported("a tensor of strings"));
        }
        let base = self.held(Arg::Read(k), Type::U64, 0);
        Ok(Region { space: Space::Global, base, dtype: port.dtype, unpacked: false, constant: true, saturate: false })
    }

    /// All results as regions of memory.
    pub fn results(&mut self, kernel: &Kernel) -> Result<Vec<Region>, PtxError> {
        let mut out = Vec::with_capacity(kernel.results.len());
        for (k, port) in kernel.results.iter().enumerate() {
            if port.dtype == DType::Str {
                return Err(PtxError::Unsupported("a tensor of strings"));
            }
            let base = self.held(Arg::Write(k), Type::U64, 0);
            out.push(Region {
                space: Space::Global,
                base,
                dtype: port.dtype,
                unpacked: false,
                constant: false,
                saturate: false,
            });
        }
        Ok(out)
    }

    /// An address in the scratch of the launches.
    pub fn workspace(&mut self, offset: &Dim) -> V {
        self.held(Arg::Workspace { offset: offset.clone() }, Type::U64, 0)
    }

    /// How operands are read: nothing writes them while a kernel runs.
    pub fn read_cache(&self) -> LoadCache {
        LoadCache::Nc
    }

    // Special registers and shared memory

    fn special(&mut self, special: Special) -> V {
        self.specials.get(&special).copied().unwrap_or(Value::Const(Width::B32, 0))
    }

    /// Number of the thread within its CTA.
    pub fn thread(&mut self) -> V {
        self.special(Special::TidX)
    }

    /// Number of the CTA.
    pub fn cta(&mut self, ix: Ix) -> V {
        let cta = self.special(Special::CtaidX);
        self.ix_from32(ix, cta)
    }

    pub fn cta_y(&mut self) -> V {
        self.special(Special::CtaidY)
    }

    /// Shared memory with a slot for the state of each thread.
    pub fn scratch(&mut self) -> V {
        let variable = match self.scratch {
            Some(known) => known,
            None => self.m.builder.shared("states", THREADS * SLOT, 16),
        };
        self.scratch = Some(variable);
        self.shared_base(variable)
    }

    /// The same for whoever writes first: a barrier stands before every use but the kernel's first.
    pub fn free_scratch(&mut self) -> V {
        if self.scratch.is_some() {
            self.barrier();
        }
        self.scratch()
    }

    /// The address of a variable. It is moved where it is asked for, as that may be inside a block.
    fn shared_base(&mut self, variable: ptx::Variable) -> V {
        let reg = self.m.builder.mov(Type::U32, variable);
        Value::Reg(reg)
    }

    /// Shared memory of so many bytes, of its own.
    pub fn shared(&mut self, name: &str, bytes: u32) -> V {
        let name = format!("{name}_{}", self.shared);
        self.shared += 1;
        let variable = self.m.builder.shared(&name, bytes, 16);
        self.shared_base(variable)
    }

    /// Shared memory whose size comes with the launch.
    pub fn dynamic_shared(&mut self, bytes: &Dim) -> V {
        self.dynamic = bytes.clone();
        let variable = self.m.builder.dynamic_shared(16);
        self.shared_base(variable)
    }

    pub fn barrier(&mut self) {
        self.m.builder.barrier();
    }

    // Registers

    /// A register that holds the value.
    pub fn reg(&mut self, value: V, _ty: Type) -> Reg {
        self.m.register(value)
    }

    pub fn pred(&mut self, value: V) -> Reg {
        self.m.register(value)
    }

    pub fn value_of(&self, reg: Reg) -> V {
        Value::Reg(reg)
    }

    pub fn address(&mut self, value: V) -> Address {
        Address::from(self.m.register(value))
    }

    /// A register of its own that starts with a value and changes.
    pub fn var(&mut self, width: Width, start: V) -> V {
        let reg = match start {
            Value::Reg(reg) => self.m.builder.mov(bits(width), reg),
            Value::Const(..) => self.m.register(start),
        };
        self.m.changes(reg);
        Value::Reg(reg)
    }

    pub fn set(&mut self, var: V, value: V) {
        self.assign(None, var, value);
    }

    /// Sets where a predicate holds.
    pub fn set_if(&mut self, pred: V, var: V, value: V) {
        let pred = self.pred(pred);
        self.assign(Some(pred), var, value);
    }

    fn assign(&mut self, pred: Option<Reg>, var: V, value: V) {
        let Value::Reg(dst) = var else { return };
        let ty = match dst.class {
            ptx::Class::Pred => Type::Pred,
            ptx::Class::B16 => Type::B16,
            ptx::Class::B32 => Type::B32,
            ptx::Class::B64 => Type::B64,
        };
        let src: ptx::Operand = match value {
            Value::Const(Width::Pred, _) | Value::Reg(_) => self.m.register(value).into(),
            Value::Const(_, bits) => ptx::Operand::Imm(bits),
        };
        match pred {
            Some(pred) => self.b().guarded(pred, |b| b.mov_to(ty, dst, src)),
            None => self.b().mov_to(ty, dst, src),
        }
    }

    /// A predicate that changes, as 0 or 1 in 32 bits.
    pub fn flag(&mut self, start: V) -> V {
        let start = self.bit(start);
        self.var(Width::B32, start)
    }
}

fn bits(width: Width) -> Type {
    match width {
        Width::Pred => Type::Pred,
        Width::B32 => Type::B32,
        Width::B64 => Type::B64,
    }
}
