//! Three ways to run a case: the evaluator, the host, PTX in the emulator.

use std::path::PathBuf;
use std::process::Command;

use graph::datum::Datum;
use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::eval::{self, Bindings};
use graph::graph::{Graph, ValueId};
use graph::node::{Compute, Node, Op};
use graph::scalar::Scalar;
use graph::symbol::Symbols;
use graph::tensor::Tensor;
use nest::index::IndexSpace;
use nest::layout::Access;
use ptx::{Entry, Module, ParamRole, Reg, Sm, Type};
use ptx_expr::memory::{self, Memory, Rounds};
use ptx_expr::{Emitter, Error, Host, Leaves, Load, Machine, MathsMode, Options, Value, Whole, from_memory, to_memory};

use crate::cases::Case;

/// What the evaluator says.
pub fn evaluate(case: &Case) -> Vec<Scalar> {
    let shape = vec![Dim::from(case.count())];
    let compute =
        Compute { shape, reduce: Vec::new(), exprs: case.exprs.clone(), accs: Vec::new(), outs: vec![case.out] };
    let operands = (0..case.operands.len()).map(|k| ValueId(k as u32)).collect();
    let node =
        Node { op: Op::Compute(compute), operands, results: vec![ValueId(9)], binds: Vec::new(), origins: Vec::new() };
    let tensor = |(dtype, values): &(DType, Vec<Scalar>)| {
        Datum::Tensor(Tensor::from_scalars(*dtype, vec![values.len()], values).unwrap())
    };
    let operands: Vec<Datum> = case.operands.iter().map(tensor).collect();
    let results = eval::node(&Graph::default(), &node, &operands, &mut Bindings::default()).unwrap();
    results[0].as_tensor().unwrap().scalars().collect()
}

fn space(extent: usize) -> IndexSpace {
    IndexSpace::new(&Symbols::default(), &[Dim::from(extent)])
}

fn options(case: &Case) -> Options {
    Options { maths: case.maths, ..Options::default() }
}

struct HostLeaves<'c> {
    case: &'c Case,
    point: usize,
}

impl Leaves<Host> for HostLeaves<'_> {
    fn index(&mut self, _: &mut Host, _: u32) -> Result<Whole<u64>, Error> {
        Ok(Whole { value: self.point as u64, wide: false })
    }

    fn symbol(&mut self, _: &mut Host, symbol: SymId) -> Result<Whole<u64>, Error> {
        Err(Error::Symbol { symbol: symbol.0 })
    }

    fn load(&mut self, e: &mut Emitter<'_, Host>, load: Load<'_>) -> Result<u64, Error> {
        let (dtype, values) = &self.case.operands[load.operand as usize];
        from_memory(e.arith(), *dtype, values[self.point].bits)
    }
}

/// What the sequences say, run directly.
pub fn host(case: &Case) -> Vec<Scalar> {
    let space = space(case.count());
    let dtype = case.dtype();
    let point = |point: usize| {
        let mut host = Host { bf16: point.is_multiple_of(2) };
        let mut emitter = Emitter::new(&mut host, &case.exprs, &space, options(case));
        let value = emitter.value(case.out, &mut HostLeaves { case, point }).unwrap();
        Scalar { dtype, bits: to_memory(&mut host, dtype, value, true).unwrap() }
    };
    (0..case.count()).map(point).collect()
}

struct PtxLeaves<'c> {
    case: &'c Case,
    bases: &'c [Reg],
    index: Reg,
}

impl Leaves<Machine<'_>> for PtxLeaves<'_> {
    fn index(&mut self, _: &mut Machine<'_>, _: u32) -> Result<Whole<Value>, Error> {
        Ok(Whole { value: Value::Reg(self.index), wide: false })
    }

    fn symbol(&mut self, _: &mut Machine<'_>, symbol: SymId) -> Result<Whole<Value>, Error> {
        Err(Error::Symbol { symbol: symbol.0 })
    }

    fn load(&mut self, e: &mut Emitter<'_, Machine<'_>>, load: Load<'_>) -> Result<Value, Error> {
        let access = Access::dense(&[Dim::from(self.case.count())]);
        let offset = e.offset(&access, load.index, self)?;
        let memory = Memory::read_only(self.bases[load.operand as usize]);
        let values = memory::load(e.arith(), &memory, offset, load.dtype, 1)?;
        values.first().copied().ok_or(Error::Operand { operand: load.operand })
    }
}

/// Elements that one thread computes: four, so that packed results fill bytes.
const LANES: usize = 4;
const BLOCK: u32 = 128;

/// A kernel of the case: `threads` of them, each with [`LANES`] elements in a row.
pub fn entry(case: &Case, sm: Sm) -> Entry {
    let threads = case.count().div_ceil(LANES);
    let mut b = ptx::Builder::new(&case.name);
    b.block([BLOCK, 1, 1]);
    let params: Vec<_> = (0..=case.operands.len()).map(|_| b.pointer_param(ParamRole::Data)).collect();
    let bases: Vec<Reg> = params.into_iter().map(|p| b.ld_param(Type::U64, p)).collect();
    let index = b.thread_index();
    let inside = b.setp(ptx::Cmp::Lt, Type::U32, index, threads as u32);
    b.if_then(inside, |b| {
        let space = space(threads);
        let mut machine = Machine::new(b, sm);
        let mut leaves = PtxLeaves { case, bases: &bases, index };
        let mut values = Vec::new();
        for lane in 0..LANES {
            let mut emitter = Emitter::new(&mut machine, &case.exprs, &space, options(case));
            let four = Dim::from(LANES);
            emitter.place(0, &(&space.variable(0) * &four) + &Dim::from(lane));
            values.push(emitter.value(case.out, &mut leaves).unwrap());
        }
        let mut emitter = Emitter::new(&mut machine, &case.exprs, &space, options(case));
        let first = emitter.whole(&(&space.variable(0) * &Dim::from(LANES)), &mut leaves).unwrap();
        let memory = Memory::global(bases[case.operands.len()]);
        // Vectors are of 16 bytes at most.
        let group = if case.dtype().bits() == 64 { 2 } else { LANES };
        for (k, values) in values.chunks(group).enumerate() {
            let at = memory::address(&mut machine, &memory, first, case.dtype());
            let at = at.plus((k * group * case.dtype().bits() as usize / 8) as i64);
            memory::store_at(
                &mut machine,
                &memory,
                at,
                case.dtype(),
                values,
                Rounds { canonical: true, ..Rounds::default() },
            )
            .unwrap();
        }
    });
    ptx::clean(ptx::legalize(b.finish(), sm))
}

/// The targets whose sequences differ.
pub fn targets(case: &Case) -> Vec<Sm> {
    let bf16 = case.exprs.iter().any(|(id, _)| case.exprs.dtype(id) == DType::BF16);
    if bf16 { vec![Sm::Sm75, Sm::Sm80] } else { vec![Sm::Sm80] }
}

/// What the emulator says of the printed text.
pub fn emulate(case: &Case, sm: Sm) -> Result<Vec<Scalar>, String> {
    let fail = |what: &dyn std::fmt::Display| format!("{}: {what}", case.name);
    let module = Module::new(sm, vec![entry(case, sm)]);
    if let Err(problems) = ptx::verify(&module) {
        return Err(fail(&problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")));
    }
    let text = ptx::print(&module);
    let parsed = ptx_emu::Module::parse(&text).map_err(|e| fail(&e))?;
    let options = ptx_emu::Options { races: false, ..ptx_emu::Options::default() };
    let mut device = ptx_emu::Device::new(options);
    let padded = case.count().next_multiple_of(LANES);
    let mut params = Vec::new();
    for (dtype, values) in &case.operands {
        let mut values = values.clone();
        values.resize(padded, Scalar::zero(*dtype));
        let tensor = Tensor::from_scalars(*dtype, vec![padded], &values).unwrap();
        params.extend(device.alloc_with(tensor.bytes()).to_le_bytes());
    }
    let dtype = case.dtype();
    let bytes = dtype.bytes_for(padded).unwrap();
    let result = device.alloc(bytes as u64);
    params.extend(result.to_le_bytes());
    let grid = ((padded / LANES) as u32).div_ceil(BLOCK);
    let launch = ptx_emu::Launch::new(&case.name, [grid, 1, 1], [BLOCK, 1, 1], &params);
    if let Err(faults) = device.launch(&parsed, &launch) {
        return Err(fail(&faults.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join("\n")));
    }
    let found = device.read(result, bytes as u64).map_err(|e| fail(&e))?;
    let tensor = Tensor::from_bytes(dtype, vec![padded], found.into()).unwrap();
    Ok(tensor.scalars().take(case.count()).collect())
}

/// The place of a float in the order of its format.
fn rank(value: Scalar) -> i128 {
    if value.dtype == DType::F8E8M0 {
        return i128::from(value.bits);
    }
    let size = i128::from(value.bits & !(1 << (value.dtype.bits() - 1)));
    if value.bits >> (value.dtype.bits() - 1) & 1 == 1 { -size } else { size }
}

fn agrees(case: &Case, expected: Scalar, found: Scalar) -> bool {
    if expected.bits == found.bits {
        return true;
    }
    if case.steps == 0 || expected.as_f64().is_nan() || found.as_f64().is_nan() {
        return false;
    }
    // The evaluator's sigmoid loses what is below the normal numbers.
    let tiny = case.dtype() == DType::F64 && expected.as_f64() == 0.0 && found.as_f64().abs() < 1e-307;
    // The fast one loses what is below those of f32.
    let fast = case.maths == MathsMode::Fast && found.as_f64() == 0.0 && expected.as_f64().abs() < 1.2e-38;
    tiny || fast || (rank(expected) - rank(found)).abs() <= case.steps
}

/// The first difference.
pub fn compare(case: &Case, way: &str, expected: &[Scalar], found: &[Scalar]) -> Option<String> {
    assert_eq!(expected.len(), found.len(), "{}", case.name);
    let at = (0..expected.len()).find(|k| !agrees(case, expected[*k], found[*k]))?;
    let given: Vec<String> = case.operands.iter().map(|(_, v)| show(v[at])).collect();
    let (name, given) = (&case.name, given.join(", "));
    Some(format!("{name} on {way}: of {given} expected {}, found {}", show(expected[at]), show(found[at])))
}

fn show(value: Scalar) -> String {
    if value.dtype.is_float() {
        format!("{:e} ({:#x})", value.as_f64(), value.bits)
    } else {
        format!("{} ({:#x})", value.as_i64(), value.bits)
    }
}

/// What `ptxas`, from the variable `PTXAS` or the path, says against a text; without one nothing, and that it was skipped.
pub fn complaints(sm: Sm, name: &str, text: &str) -> Vec<String> {
    let named = std::env::var_os("PTXAS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join("ptxas"));
    let Some(ptxas) = named.into_iter().chain(on_path).find(|p| p.is_file()) else {
        println!("skipped: no ptxas; set PTXAS");
        return Vec::new();
    };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (input, output) = (folder.join(format!("{name}.ptx")), folder.join(format!("{name}.cubin")));
    std::fs::write(&input, text).unwrap();
    let arguments = ["-O0".to_string(), format!("-arch={sm}"), "-o".to_string()];
    let run = Command::new(&ptxas).args(arguments).args([&output, &input]).output().expect("ptxas runs");
    if run.status.success() {
        return Vec::new();
    }
    String::from_utf8_lossy(&run.stderr).lines().map(str::to_string).collect()
}
