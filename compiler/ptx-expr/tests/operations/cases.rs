//! The cases: one expression each, with values for its operands.

use graph::dtype::{Class, DType};
use graph::expr::{BINARY, BinOp, CmpOp, Expr, ExprId, Exprs, Leaves, Rounding, UNARY, UnOp};
use graph::scalar::Scalar;

use ptx_expr::MathsMode;

use crate::dtypes;

/// An expression over elements of one index, and the elements of its operands.
pub struct Case {
    pub name: String,
    pub exprs: Exprs,
    pub out: ExprId,
    pub operands: Vec<(DType, Vec<Scalar>)>,
    /// Steps of the result's dtype that it may be off.
    pub steps: i128,
    pub maths: MathsMode,
}

impl Case {
    pub fn dtype(&self) -> DType {
        self.exprs.dtype(self.out)
    }

    pub fn count(&self) -> usize {
        self.operands.first().map_or(0, |(_, values)| values.len())
    }
}

/// Numbers that look random, the same every time.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn float(&mut self) -> f64 {
        let exponent = (self.next() % 24) as i32 - 12;
        let size = 2f64.powi(exponent) * (1.0 + (self.next() >> 12) as f64 / (1u64 << 52) as f64);
        if self.next() & 1 == 0 { size } else { -size }
    }
}

/// Values where something changes.
pub fn edges(dtype: DType) -> Vec<Scalar> {
    match dtype.class() {
        Class::Bool => vec![Scalar::bool(false), Scalar::bool(true)],
        Class::Float => {
            let whole = [0.0, 1.0, 2.0, 3.0, 7.0, 100.0, 127.0, 128.0, 255.0, 256.0, 65504.0, 65520.0, 2147483648.0];
            let wide = [4294967296.0, 9.3e18, 1.9e19, 1e300, f64::INFINITY];
            let broken = [0.5, 1.5, 2.5, 0.9999, 1e-5, 448.0, 464.0, 57344.0, 61440.0, 5.9e-8, 1.2e-38, 1e-45, 1e-310];
            let mut out: Vec<Scalar> = Vec::new();
            for x in whole.into_iter().chain(wide).chain(broken) {
                out.extend([Scalar::from_f64(dtype, x), Scalar::from_f64(dtype, -x)]);
            }
            out.push(Scalar::from_f64(dtype, f64::NAN));
            out
        }
        Class::Signed | Class::Unsigned | Class::Str => {
            let near = [0i64, 1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 65, 100, -1, -2, -3, -7, -8, -32, -64];
            let mut out: Vec<Scalar> = near.iter().map(|v| Scalar::from_i64(dtype, *v)).collect();
            let (low, high) = (Scalar::lowest(dtype), Scalar::highest(dtype));
            let beside = |s: Scalar, by: i64| Scalar::from_i64(dtype, (s.bits as i64).wrapping_add(by));
            out.extend([low, high, beside(low, 1), beside(high, -1)]);
            out.extend([24, 31, 32, 53].map(|k| Scalar::from_i64(dtype, (1i64 << k) + 1)));
            out
        }
    }
}

/// All patterns of what is small; else edges and random values.
fn values(dtype: DType, count: usize) -> Vec<Scalar> {
    if dtype.bits() <= 8 && dtype != DType::Bool {
        return (0..1u64 << dtype.bits()).map(|bits| Scalar { dtype, bits }).collect();
    }
    let mut noise = Noise(u64::from(dtype.bits()));
    let mut out = edges(dtype);
    while out.len() < count {
        out.push(random(dtype, &mut noise));
    }
    out
}

fn random(dtype: DType, noise: &mut Noise) -> Scalar {
    let mask = u64::MAX >> (64 - dtype.bits());
    match (dtype.class(), noise.next() % 3) {
        (Class::Bool, _) => Scalar::bool(noise.next() & 1 == 1),
        (Class::Float, 0 | 1) => Scalar::from_f64(dtype, noise.float()),
        (Class::Signed | Class::Unsigned, 0) => Scalar::from_i64(dtype, (noise.next() % 200) as i64 - 100),
        _ => Scalar { dtype, bits: noise.next() & mask },
    }
}

/// Every edge with every other, and random pairs.
fn pairs(dtype: DType) -> [Vec<Scalar>; 2] {
    let mut noise = Noise(7);
    let list = edges(dtype);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for x in &list {
        for y in list.iter().step_by(if dtype.is_float() { 2 } else { 1 }) {
            left.push(*x);
            right.push(*y);
        }
    }
    for _ in 0..200 {
        left.push(random(dtype, &mut noise));
        right.push(random(dtype, &mut noise));
    }
    [left, right]
}

/// Builds a case; `build` gets the loads of the operands.
fn case(
    name: String,
    steps: i128,
    operands: Vec<(DType, Vec<Scalar>)>,
    build: impl FnOnce(&mut dyn FnMut(Expr) -> ExprId, &[ExprId]) -> ExprId,
) -> Case {
    let dtypes: Vec<DType> = operands.iter().map(|(dtype, _)| *dtype).collect();
    let leaves = Leaves { operands: &dtypes, accs: &[] };
    let mut exprs = Exprs::default();
    let index = exprs.add(Expr::Index(0), leaves).unwrap();
    let loads: Vec<ExprId> = (0..dtypes.len())
        .map(|k| exprs.add(Expr::Load { operand: k as u32, index: vec![index], or: None }, leaves).unwrap())
        .collect();
    let out = build(&mut |expr| exprs.add(expr, leaves).unwrap(), &loads);
    Case { name, exprs, out, operands, steps, maths: MathsMode::Precise }
}

/// How far an elementary function may be off.
fn steps(dtype: DType) -> i128 {
    match dtype {
        DType::F32 => 2,
        DType::F64 => 4,
        _ => 1,
    }
}

fn is_exact(op: UnOp) -> bool {
    !matches!(
        op,
        UnOp::Exp
            | UnOp::Expm1
            | UnOp::Log
            | UnOp::Log1p
            | UnOp::Sin
            | UnOp::Cos
            | UnOp::Tan
            | UnOp::Asin
            | UnOp::Acos
            | UnOp::Atan
            | UnOp::Sinh
            | UnOp::Cosh
            | UnOp::Tanh
            | UnOp::Asinh
            | UnOp::Acosh
            | UnOp::Atanh
            | UnOp::Sigmoid
            | UnOp::Erf
    )
}

pub fn unary(of: impl Fn(DType) -> bool) -> Vec<Case> {
    let mut out = Vec::new();
    for dtype in dtypes().filter(|d| of(*d)) {
        for row in UNARY.iter().filter(|row| row.classes.contains(&dtype.class())) {
            let allowed = if is_exact(row.op) { 0 } else { steps(dtype) };
            let operands = vec![(dtype, values(dtype, 400))];
            out.push(case(format!("{}_{dtype}", row.name), allowed, operands, |add, loads| {
                add(Expr::Unary(row.op, loads[0]))
            }));
        }
    }
    out
}

pub fn binary(of: impl Fn(DType) -> bool) -> Vec<Case> {
    let mut out = Vec::new();
    for dtype in dtypes().filter(|d| of(*d)) {
        for row in BINARY.iter().filter(|row| row.classes.contains(&dtype.class())) {
            let rounded = dtype.is_float() && matches!(row.op, BinOp::Pow | BinOp::Atan2);
            let allowed = if rounded { steps(dtype) } else { 0 };
            let operands = pairs(dtype).map(|v| (dtype, v)).into();
            out.push(case(format!("{}_{dtype}", row.name), allowed, operands, |add, loads| {
                add(Expr::Binary(row.op, loads[0], loads[1]))
            }));
        }
    }
    out
}

pub fn comparisons() -> Vec<Case> {
    let mut out = Vec::new();
    for dtype in dtypes() {
        for op in [CmpOp::Eq, CmpOp::Ne, CmpOp::Lt, CmpOp::Le] {
            let operands = pairs(dtype).map(|v| (dtype, v)).into();
            out.push(case(format!("{}_{dtype}", op.name()), 0, operands, |add, loads| {
                add(Expr::Compare(op, loads[0], loads[1]))
            }));
        }
    }
    out
}

pub fn selections() -> Vec<Case> {
    let choose = |dtype: DType| {
        let [left, right] = pairs(dtype);
        let conditions = (0..left.len()).map(|k| Scalar::bool(k % 3 == 0)).collect();
        let operands = vec![(DType::Bool, conditions), (dtype, left), (dtype, right)];
        case(format!("select_{dtype}"), 0, operands, |add, loads| add(Expr::Select(loads[0], loads[1], loads[2])))
    };
    dtypes().map(choose).collect()
}

pub fn fused() -> Vec<Case> {
    let multiply = |dtype: DType| {
        let [left, right] = pairs(dtype);
        let mut third = right.clone();
        third.rotate_left(11);
        let operands = vec![(dtype, left), (dtype, right), (dtype, third)];
        case(format!("fma_{dtype}"), 0, operands, |add, loads| add(Expr::Fma(loads[0], loads[1], loads[2])))
    };
    dtypes().filter(|d| *d != DType::Bool).map(multiply).collect()
}

pub fn casts(of: impl Fn(DType) -> bool) -> Vec<Case> {
    let mut out = Vec::new();
    for from in dtypes().filter(|d| of(*d)) {
        for to in dtypes() {
            let roundings: &[Rounding] = match to {
                DType::F8E8M0 => &[Rounding::Nearest, Rounding::Up, Rounding::Down],
                _ => &[Rounding::Nearest],
            };
            for (saturate, rounding) in roundings.iter().flat_map(|r| [(false, *r), (true, *r)]) {
                let kind = if saturate { "clamp" } else { "cast" };
                let name = format!("{kind}_{rounding:?}_{from}_{to}").to_lowercase();
                out.push(case(name, 0, vec![(from, values(from, 240))], |add, loads| {
                    add(Expr::Cast { to, saturate, rounding, value: loads[0] })
                }));
            }
        }
    }
    out
}

pub fn bitcasts() -> Vec<Case> {
    let mut out = Vec::new();
    for from in dtypes() {
        // A bool has two patterns only.
        for to in dtypes().filter(|to| to.bits() == from.bits() && *to != DType::Bool) {
            out.push(case(format!("bitcast_{from}_{to}"), 0, vec![(from, values(from, 300))], |add, loads| {
                add(Expr::Bitcast { to, value: loads[0] })
            }));
        }
    }
    out
}

/// Operations of which one side is known: what is folded and what has a shorter way.
pub fn with_constants() -> Vec<Case> {
    let mut out = Vec::new();
    for dtype in dtypes() {
        let constants: Vec<Scalar> = match dtype.class() {
            Class::Bool => vec![Scalar::bool(false), Scalar::bool(true)],
            Class::Float => {
                let known = [0.0, -0.0, 1.0, 2.0, 3.0, 0.5, -1.0, 6.0, f64::INFINITY, f64::NAN];
                known.map(|v| Scalar::from_f64(dtype, v)).into()
            }
            _ => [0, 1, 2, 3, -1].map(|v| Scalar::from_i64(dtype, v)).into(),
        };
        for row in BINARY.iter().filter(|row| row.classes.contains(&dtype.class())) {
            for (k, constant) in constants.iter().enumerate() {
                let rounded = dtype.is_float() && matches!(row.op, BinOp::Pow | BinOp::Atan2);
                let allowed = if rounded { steps(dtype) } else { 0 };
                let operands = || vec![(dtype, values(dtype, 120))];
                out.push(case(format!("{}_{dtype}_by_{k}", row.name), allowed, operands(), |add, loads| {
                    let constant = add(Expr::Const(*constant));
                    add(Expr::Binary(row.op, loads[0], constant))
                }));
                out.push(case(format!("{}_{dtype}_of_{k}", row.name), allowed, operands(), |add, loads| {
                    let constant = add(Expr::Const(*constant));
                    add(Expr::Binary(row.op, constant, loads[0]))
                }));
            }
        }
    }
    out
}

/// What the hardware approximates, where 16 bits are wanted.
pub fn fast() -> Vec<Case> {
    let mut out = Vec::new();
    for dtype in [DType::F16, DType::BF16] {
        for op in [UnOp::Exp, UnOp::Log, UnOp::Tanh, UnOp::Sigmoid, UnOp::Erf, UnOp::Sqrt, UnOp::Recip] {
            // The hardware's tanh has as many bits as an f16.
            let allowed = if op == UnOp::Tanh && dtype == DType::F16 { 2 } else { 1 };
            let operands = vec![(dtype, values(dtype, 2000))];
            let mut fast = case(format!("fast_{}_{dtype}", op.row().name), allowed, operands, |add, loads| {
                add(Expr::Unary(op, loads[0]))
            });
            fast.maths = MathsMode::Fast;
            out.push(fast);
        }
    }
    out
}
