//! Pointwise work on sums, as the plan has it: a kernel of one stage, whose first operands are sums and not in memory.
//!
//! The rows of the product are some dims of the stage's domain, walked as one; the column is another. Index variables become
//! polynomials of (batch, row, run of columns), so that a dense operand is addressed as `row * columns + column` without
//! divisions. Neighbouring columns are loaded and stored together where their addresses prove to follow each other.
//!
//! ```text
//! store [M, N] = cast f16 (max(load 0 [m, n] + load 1 [n], 0))
//!   → column = 8 * run + lane;  bias: one load of 16 bytes at 8 * run;  result: one store of 16 bytes at row * N + 8 * run
//! ```

use std::collections::{BTreeMap, BTreeSet};

use graph::dim::{Dim, Pred, SymId};
use graph::dtype::DType;
use graph::expr::{Expr, ExprId};
use graph::symbol::Symbols;
use nest::index::IndexSpace;
use nest::kernel::{Body, Kernel, Out, Stage, Target};
use nest::layout::Access;
use ptx::{Builder, Param, ParamRole, Reg, Sm, Type};
use ptx_expr::{Arith, Emitter, Error, Leaves, Load, Machine, Options, Value, Whole, memory};

use crate::launch::{KernelError, Params, Role, Tensor};
use crate::val::Val;

/// What follows on the sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epilogue {
    /// One stage; operand 0 is the sums.
    pub kernel: Kernel,
    pub axes: Axes,
    /// The launch's read that operand 1 is.
    pub first_read: u32,
    /// Neighbouring columns that are computed together; divides the columns.
    pub vector: u32,
}

/// What the dims of the result are of the product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axes {
    pub batch: Vec<usize>,
    /// Outermost first.
    pub rows: Vec<usize>,
    pub column: usize,
    /// Several groups share the dim of the column, outermost in it; the only batch index is the group.
    pub groups: Option<u32>,
}

/// What an epilogue has in registers.
#[derive(Clone, Debug)]
pub struct Prepared {
    reads: Vec<Reg>,
    writes: Vec<Reg>,
    batch: Vec<Val>,
    sizes: BTreeMap<Role, Param>,
    space: IndexSpace,
    /// What index variables stand for, the column's without its lane.
    places: Vec<Dim>,
}

/// Ranges of the parameters: none is negative, none beyond what 32 bits hold as an extent.
pub fn symbols(params: usize) -> Symbols {
    let mut symbols = Symbols::default();
    for k in 0..params {
        symbols.add(&format!("p{k}"), 0, Some(1 << 31), graph::symbol::SymSource::Input);
    }
    symbols
}

impl Axes {
    /// Number of the variable that runs of columns have: after batch and row.
    fn run(&self) -> usize {
        self.batch.len() + usize::from(self.groups.is_some()) + 1
    }
}

impl Epilogue {
    fn stage(&self) -> Result<(&Stage, Vec<Dim>), KernelError> {
        match &self.kernel.body {
            Body::Nest(nest) => match nest.stages.as_slice() {
                [stage] => Ok((stage, nest.outer.iter().chain(&stage.inner).cloned().collect())),
                _ => Err(KernelError::Epilogue { what: "stages", found: nest.stages.len(), expected: 1 }),
            },
            Body::Scatter(_) | Body::Sort { .. } | Body::Compact | Body::Prefix { .. } => {
                Err(KernelError::Epilogue { what: "nests", found: 0, expected: 1 })
            }
        }
    }

    /// Declares the pointers, and the index space.
    pub fn prepare(&self, b: &mut Builder, params: &mut Params, batch: &[Val]) -> Result<Prepared, KernelError> {
        let (_, shape) = self.stage()?;
        let extent = |d: &usize| shape.get(*d).cloned().unwrap_or(Dim::constant(1));
        let symbols = symbols(self.kernel.params);
        let row = Dim::product(&self.axes.rows.iter().map(extent).collect::<Vec<_>>());
        let vector = Dim::constant(i64::from(self.vector));
        let mut extents: Vec<Dim> = self.axes.batch.iter().map(extent).collect();
        let groups = self.axes.groups.map(|groups| Dim::constant(i64::from(groups)));
        extents.extend(groups.clone());
        let first = extents.len();
        let columns = groups
            .map_or_else(|| extent(&self.axes.column), |groups| symbols.floor_div(&extent(&self.axes.column), &groups));
        extents.push(row);
        extents.push(symbols.floor_div(&columns, &vector));
        let space = IndexSpace::new(&symbols, &extents);
        let mut places = vec![Dim::constant(0); shape.len()];
        let mut set = |d: &usize, dim: Dim| {
            if let Some(place) = places.get_mut(*d) {
                *place = dim;
            }
        };
        for (k, d) in self.axes.batch.iter().enumerate() {
            set(d, space.variable(k));
        }
        let mut rest = space.variable(first);
        for (k, d) in self.axes.rows.iter().enumerate().rev() {
            let extent = extent(d);
            if k == 0 {
                set(d, rest.clone());
            } else {
                set(d, space.symbols().modulo(&rest, &extent));
                rest = space.symbols().floor_div(&rest, &extent);
            }
        }
        let start = match self.axes.groups {
            Some(_) => &space.variable(first - 1) * &columns,
            None => Dim::constant(0),
        };
        set(&self.axes.column, &start + &(&space.variable(first + 1) * &vector));
        let mut pointer = |tensor| params.pointer(b, Role::Pointer(tensor), ParamRole::Data);
        let reads = (1..self.kernel.operands.len() as u32).map(|k| pointer(Tensor::Read(self.first_read + k - 1)));
        let reads = reads.collect();
        let writes = (0..self.kernel.results.len() as u32).map(|k| pointer(Tensor::Write(k))).collect();
        Ok(Prepared { reads, writes, batch: batch.to_vec(), sizes: BTreeMap::new(), space, places })
    }

    /// Computes and stores the results at a row for `vector` columns from one on. Both exist.
    pub fn store(
        &self,
        b: &mut Builder,
        params: &mut Params,
        sm: Sm,
        prepared: &mut Prepared,
        (row, column): (Val, Val),
        sums: &[Reg],
    ) -> Result<(), KernelError> {
        let (stage, _) = self.stage()?;
        let run = column.shr(b, self.vector.trailing_zeros());
        let Prepared { reads, writes, batch, sizes, space, places } = prepared;
        let mut point = Point { epilogue: self, params, sizes, reads, batch, row, run, sum: None };
        let mut machine = Machine::new(b, sm);
        let m = &mut machine;
        let ahead = self.load_runs(m, stage, space, places, &mut point)?;
        let stored = |out: &Out| match &out.target {
            Target::Store { result, .. } => match self.kernel.results.get(*result) {
                Some(port) => memory::stored(&stage.exprs, out.value, port.dtype),
                None => (out.value, false),
            },
            Target::Keep => (out.value, false),
        };
        let stored: Vec<(ExprId, bool)> = stage.outs.iter().map(stored).collect();
        let mut values: Vec<Vec<Value>> = vec![Vec::new(); stage.outs.len()];
        for (lane, sum) in sums.iter().enumerate() {
            point.sum = Some(*sum);
            let mut e = self.emitter(m, stage, space, places, lane as i64);
            for (id, loaded) in &ahead {
                if let Some(value) = loaded.get(lane) {
                    e.give(*id, *value);
                }
            }
            for ((value, _), values) in stored.iter().zip(&mut values) {
                values.push(e.value(*value, &mut point)?);
            }
        }
        for ((out, (_, saturate)), values) in stage.outs.iter().zip(stored).zip(&values) {
            let rounds = memory::Rounds { canonical: false, saturate };
            let Target::Store { result, index } = &out.target else { continue };
            let (Some(port), Some(base)) = (self.kernel.results.get(*result), writes.get(*result)) else { continue };
            let to = memory::Memory::global(*base);
            let mut e = self.emitter(m, stage, space, places, 0);
            let dims = index.iter().map(|i| e.polynomial(*i, &mut point)).collect::<Result<Vec<_>, _>>()?;
            let address = port.access.address(&dims, space.symbols());
            if self.is_run(&e, space, &port.access, &address) {
                let offset = e.offset_at(&port.access, &dims, &mut point)?;
                self.store_run(m, &to, (offset, port.dtype), values, rounds)?;
                continue;
            }
            for (lane, value) in values.iter().enumerate() {
                let mut e = self.emitter(m, stage, space, places, lane as i64);
                let offset = e.offset(&port.access, index, &mut point)?;
                memory::store(m, &to, offset, port.dtype, &[*value], rounds)?;
            }
        }
        Ok(())
    }

    /// Stores of up to 16 bytes.
    fn store_run(
        &self,
        m: &mut Machine<'_>,
        to: &memory::Memory,
        (offset, dtype): (Whole<Value>, DType),
        values: &[Value],
        rounds: memory::Rounds,
    ) -> Result<(), Error> {
        let at = memory::address(m, to, offset, dtype);
        let bytes = dtype.bits() / 8;
        let per = (16 / bytes.max(1)).min(self.vector) as usize;
        for (k, values) in (0_i64..).zip(values.chunks(per)) {
            memory::store_at(m, to, at.plus(k * per as i64 * i64::from(bytes)), dtype, values, rounds)?;
        }
        Ok(())
    }

    /// Loads that are the same for all lanes, or follow each other.
    fn load_runs(
        &self,
        m: &mut Machine<'_>,
        stage: &Stage,
        space: &IndexSpace,
        places: &[Dim],
        point: &mut Point<'_>,
    ) -> Result<Vec<(ExprId, Vec<Value>)>, KernelError> {
        let mut out = Vec::new();
        for id in self.reached(stage) {
            let Some(Expr::Load { operand, index, or: None }) = stage.exprs.get(id) else { continue };
            let Some(read) = (*operand as usize).checked_sub(1) else { continue };
            let (Some(port), Some(base)) = (self.kernel.operands.get(read + 1), point.reads.get(read).copied()) else {
                continue;
            };
            let mut e = self.emitter(m, stage, space, places, 0);
            let Some(dims) = index.iter().map(|i| e.map(*i)).collect::<Option<Vec<Dim>>>() else { continue };
            let address = port.access.address(&dims, space.symbols());
            let from = memory::Memory::read_only(base);
            let run = self.is_run(&e, space, &port.access, &address);
            let same = !self.depends_on_lane(stage, index);
            if !run && !same {
                continue;
            }
            let offset = e.offset_at(&port.access, &dims, point)?;
            let at = memory::address(m, &from, offset, port.dtype);
            if same {
                let value = memory::load_at(m, &from, at, port.dtype, 1)?;
                out.push((id, value.repeat(self.vector as usize)));
                continue;
            }
            let bytes = port.dtype.bits() / 8;
            let per = (16 / bytes).min(self.vector);
            let mut values = Vec::new();
            for k in 0..i64::from(self.vector / per) {
                let at = at.plus(k * i64::from(per * bytes));
                values.extend(memory::load_at(m, &from, at, port.dtype, per as usize)?);
            }
            out.push((id, values));
        }
        Ok(out)
    }

    /// Whether lanes lie next to each other, from an address divisible by their number on.
    fn is_run(&self, e: &Emitter<'_, Machine<'_>>, space: &IndexSpace, access: &Access, address: &Dim) -> bool {
        let vector = Dim::constant(i64::from(self.vector));
        let whole = access.block.is_none_or(|block| block.factor % i64::from(self.vector) == 0);
        let follows = e.step(address, self.axes.run()).is_some_and(|step| step == vector);
        let divides = Pred::Divides(vector, address.clone());
        self.vector > 1 && whole && follows && space.symbols().prove(&divides) == Some(true)
    }

    /// Expressions that results need.
    fn reached(&self, stage: &Stage) -> BTreeSet<ExprId> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<ExprId> = stage.outs.iter().map(|out| out.value).collect();
        while let Some(id) = open.pop() {
            if reached.insert(id)
                && let Some(expr) = stage.exprs.get(id)
            {
                expr.for_each_child(&mut |child| open.push(child));
            }
        }
        reached
    }

    fn depends_on_lane(&self, stage: &Stage, index: &[ExprId]) -> bool {
        let column = self.axes.column as u32;
        let mut open: Vec<ExprId> = index.to_vec();
        while let Some(id) = open.pop() {
            match stage.exprs.get(id) {
                Some(Expr::Index(k)) if *k == column => return true,
                Some(Expr::Load { .. }) | None => return true,
                Some(expr) => expr.for_each_child(&mut |child| open.push(child)),
            }
        }
        false
    }

    fn emitter<'m, 'b>(
        &self,
        m: &'m mut Machine<'b>,
        stage: &'m Stage,
        space: &'m IndexSpace,
        places: &[Dim],
        lane: i64,
    ) -> Emitter<'m, Machine<'b>> {
        let mut e = Emitter::new(m, &stage.exprs, space, Options::default());
        for (k, place) in (0_u32..).zip(places) {
            let lane = if k as usize == self.axes.column { lane } else { 0 };
            e.place(k, place + &Dim::constant(lane));
        }
        e
    }
}

/// Leaves at one lane.
struct Point<'a> {
    epilogue: &'a Epilogue,
    params: &'a mut Params,
    sizes: &'a mut BTreeMap<Role, Param>,
    reads: &'a [Reg],
    batch: &'a [Val],
    row: Val,
    run: Val,
    sum: Option<Reg>,
}

impl Point<'_> {
    /// A parameter of 8 bytes, declared once.
    fn parameter(&mut self, m: &mut Machine<'_>, role: Role) -> Reg {
        let b = m.builder();
        let params = &mut *self.params;
        let param = *self.sizes.entry(role.clone()).or_insert_with(|| params.declare(b, role, ParamRole::Scalar));
        b.ld_param(Type::U64, param)
    }
}

impl Leaves<Machine<'_>> for Point<'_> {
    fn index(&mut self, m: &mut Machine<'_>, index: u32) -> Result<Whole<Value>, Error> {
        let rows = self.batch.len() as u32;
        let value = match index.checked_sub(rows) {
            None => self.batch.get(index as usize).copied(),
            Some(0) => Some(self.row),
            Some(1) => Some(self.run),
            Some(_) => None,
        };
        let value = value.ok_or(Error::Index { index })?;
        Ok(Whole { value: Value::Reg(value.reg(m.builder())), wide: false })
    }

    fn symbol(&mut self, m: &mut Machine<'_>, symbol: SymId) -> Result<Whole<Value>, Error> {
        let reg = self.parameter(m, Role::Size(Dim::symbol(symbol)));
        Ok(Whole { value: Value::Reg(reg), wide: true })
    }

    fn size(&mut self, m: &mut Machine<'_>, size: &Dim) -> Result<Option<Whole<Value>>, Error> {
        if size.as_const().is_some() {
            return Ok(None);
        }
        let reg = self.parameter(m, Role::Size(size.clone()));
        Ok(Some(Whole { value: Value::Reg(reg), wide: true }))
    }

    fn divisor(&mut self, m: &mut Machine<'_>, size: &Dim) -> Result<Option<(Value, Value)>, Error> {
        if size.as_const().is_some() {
            return Ok(None);
        }
        let pair = self.parameter(m, Role::SizeDivisor(size.clone()));
        match m.builder().unpack(pair).as_slice() {
            [multiplier, shift] => Ok(Some((Value::Reg(*multiplier), Value::Reg(*shift)))),
            _ => Ok(None),
        }
    }

    fn load(&mut self, e: &mut Emitter<'_, Machine<'_>>, load: Load<'_>) -> Result<Value, Error> {
        let refused = Error::Operand { operand: load.operand };
        let Some(read) = (load.operand as usize).checked_sub(1) else {
            return self.sum.map(Value::Reg).ok_or(refused);
        };
        let port = self.epilogue.kernel.operands.get(read + 1).ok_or(refused.clone())?;
        let from = memory::Memory::read_only(*self.reads.get(read).ok_or(refused.clone())?);
        let inside = match load.or {
            Some(or) => e.within(&port.shape, load.index, self)?.map(|inside| (inside, or)),
            None => None,
        };
        let offset = e.offset(&port.access, load.index, self)?;
        let Some((inside, or)) = inside else {
            let values = memory::load(e.arith(), &from, offset, load.dtype, 1)?;
            return values.first().copied().ok_or(refused);
        };
        let or = e.value(or, self)?;
        let mut result = Ok(());
        let values = e.arith().when(inside, &[or], |m| match memory::load(m, &from, offset, load.dtype, 1) {
            Ok(values) => values,
            Err(error) => {
                result = Err(error);
                vec![or]
            }
        });
        result?;
        values.first().copied().ok_or(refused)
    }
}
