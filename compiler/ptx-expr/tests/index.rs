//! Index maps: polynomials, offsets, guards and predicates at every point of small domains, against their value by [`Dim::eval`].

use graph::dim::{Dim, Pred, SymId};
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId, Exprs, Leaves as Types};
use graph::scalar::Scalar;
use graph::symbol::{SymSource, Symbols};
use nest::index::IndexSpace;
use nest::layout::{Access, Block};
use ptx_expr::{Arith, Emitter, Error, Fits, Host, Leaves, Load, Options, Whole};

/// Index variables and parameters from a list; divisors by the formula of the runtime.
struct Point<'p> {
    index: &'p [i64],
    params: &'p [i64],
    /// How wide parameters come.
    wide: bool,
    divisors: bool,
    sizes: bool,
    /// Elements of operand 0.
    data: &'p [i64],
    /// Fast divisions that were asked for.
    divided: usize,
}

impl Leaves<Host> for Point<'_> {
    fn index(&mut self, _: &mut Host, index: u32) -> Result<Whole<u64>, Error> {
        let value = self.index[index as usize];
        Ok(Whole { value: u64::from(value as u32), wide: false })
    }

    fn symbol(&mut self, _: &mut Host, symbol: SymId) -> Result<Whole<u64>, Error> {
        let value = *self.params.get(symbol.0 as usize).ok_or(Error::Symbol { symbol: symbol.0 })?;
        Ok(if self.wide {
            Whole { value: value as u64, wide: true }
        } else {
            Whole { value: u64::from(value as u32), wide: false }
        })
    }

    fn load(&mut self, e: &mut Emitter<'_, Host>, load: Load<'_>) -> Result<u64, Error> {
        let at = e.value(load.index[0], self)?;
        Ok(self.data[at as usize] as u64)
    }

    fn size(&mut self, a: &mut Host, size: &Dim) -> Result<Option<Whole<u64>>, Error> {
        let value = size.eval(&|s| self.params.get(s.0 as usize).copied());
        Ok(value.filter(|_| self.sizes).map(|v| Whole { value: a.i64(v), wide: true }))
    }

    fn divisor(&mut self, a: &mut Host, size: &Dim) -> Result<Option<(u64, u64)>, Error> {
        let value = size.eval(&|s| self.params.get(s.0 as usize).copied());
        let Some(d) = value.filter(|d| self.divisors && *d > 0) else { return Ok(None) };
        self.divided += 1;
        let (d, shift) = (d as u64, 64 - (d as u64 - 1).leading_zeros());
        let multiplier = (((1u64 << shift) - d) << 32) / d + 1;
        Ok(Some((a.u32(multiplier as u32), a.u32(shift))))
    }
}

fn signed(whole: Whole<u64>) -> i64 {
    if whole.wide { whole.value as i64 } else { i64::from(whole.value as u32 as i32) }
}

/// Two parameters of unknown size, and one known to be small.
fn params() -> (Symbols, Vec<Dim>) {
    let mut symbols = Symbols::default();
    let list = [("n", 0, None), ("s", 1, None), ("k", 1, Some(64))];
    let dims = list.map(|(name, lo, hi)| Dim::symbol(symbols.add(name, lo, hi, SymSource::Input)));
    (symbols, dims.into())
}

const PARAMS: [i64; 3] = [5, 3, 7];
const EXTENTS: [i64; 3] = [9, 40, 11];

/// Every point of the domain (thinned), under every way to give leaves.
fn check(build: impl Fn(&IndexSpace, &[Dim]) -> Dim) {
    let (symbols, p) = params();
    let space = IndexSpace::new(&symbols, &EXTENTS.map(Dim::constant));
    let dim = build(&space, &p);
    let exprs = Exprs::default();
    for fits in [Fits::Proven, Fits::Assumed] {
        for ways in 0..8 {
            for k in (0..EXTENTS.iter().product::<i64>()).step_by(7) {
                let index = [k / (EXTENTS[1] * EXTENTS[2]), k / EXTENTS[2] % EXTENTS[1], k % EXTENTS[2]];
                let (wide, divisors, sizes) = (ways & 1 != 0, ways & 2 != 0, ways & 4 != 0);
                let mut point = Point { index: &index, params: &PARAMS, wide, divisors, sizes, data: &[], divided: 0 };
                let mut host = Host::default();
                let options = Options { fits, ..Options::default() };
                let mut e = Emitter::new(&mut host, &exprs, &space, options);
                let found = signed(e.whole(&dim, &mut point).unwrap());
                let expected = dim.eval(&|s| match space.as_variable(s) {
                    Some(v) => index.get(v).copied(),
                    None => PARAMS.get(s.0 as usize).copied(),
                });
                assert_eq!(Some(found), expected, "{dim:?} at {index:?}, {fits:?}, ways {ways}");
            }
        }
    }
}

fn k(value: i64) -> Dim {
    Dim::constant(value)
}

#[test]
fn sums_and_products() {
    check(|s, p| &(&(&s.variable(0) * &k(360)) + &(&s.variable(1) * &p[2])) - &(&s.variable(2) + &k(4)));
    check(|s, p| &(&(&s.variable(0) * &p[0]) * &p[1]) + &(&(&s.variable(1) * &p[0]) + &s.variable(2)));
    check(|s, _| &(&s.variable(1) * &k(1 << 40)) - &(&s.variable(2) * &k(3)));
    check(|_, p| &(&p[0] * &p[1]) - &k(100));
    check(|_, _| k(i64::MIN + 5));
}

#[test]
fn quotients_by_constants() {
    for divisor in [1, 2, 3, 5, 7, 8, 12, 31, 1000, 1 << 30, i64::from(i32::MAX), 1 << 33, -3] {
        check(|s, _| s.symbols().floor_div(&(&(&s.variable(1) * &k(13)) + &s.variable(2)), &k(divisor)));
        check(|s, _| s.symbols().modulo(&(&(&s.variable(1) * &k(13)) + &s.variable(2)), &k(divisor)));
        // Negative dividends, as in padded windows.
        check(|s, _| s.symbols().floor_div(&(&s.variable(1) - &k(17)), &k(divisor)));
        check(|s, _| s.symbols().modulo(&(&s.variable(1) - &k(17)), &k(divisor)));
        check(|s, p| s.symbols().floor_div(&(&s.variable(1) - &p[0]), &k(divisor)));
        check(|s, p| s.symbols().ceil_div(&(&s.variable(1) + &p[1]), &k(divisor)));
    }
}

#[test]
fn quotients_by_sizes() {
    for size in 0..3 {
        check(|s, p| s.symbols().floor_div(&(&(&s.variable(1) * &k(9)) + &s.variable(2)), &p[size]));
        check(|s, p| s.symbols().modulo(&(&(&s.variable(1) * &k(9)) + &s.variable(2)), &p[size]));
        check(|s, p| s.symbols().modulo(&(&s.variable(1) - &k(20)), &p[size]));
        check(|s, p| s.symbols().ceil_div(&s.variable(1), &p[size]));
        check(|s, p| s.symbols().floor_div(&s.variable(1), &(&p[size] * &k(2))));
    }
}

#[test]
fn extremes_and_selections() {
    check(|s, p| s.symbols().min(&(&s.variable(1) - &k(5)), &p[0]));
    check(|s, p| s.symbols().max(&(&s.variable(1) - &k(5)), &p[1]));
    check(|s, p| s.symbols().select(&Pred::Le(s.variable(2), p[0].clone()), &s.variable(1), &k(-1)));
    check(|s, p| {
        let divides = Pred::Divides(p[1].clone(), s.variable(1));
        let equal = Pred::Not(Box::new(Pred::Eq(s.variable(0), p[0].clone())));
        let either = Pred::Or(vec![divides.clone(), Pred::Eq(s.variable(2), k(3))]);
        s.symbols().select(&Pred::And(vec![equal, either]), &k(7), &(&s.variable(0) * &k(1 << 35)))
    });
}

#[test]
fn a_fast_divisor_serves_where_the_dividend_fits() {
    let (symbols, p) = params();
    let space = IndexSpace::new(&symbols, &EXTENTS.map(k));
    let exprs = Exprs::default();
    let both =
        &space.symbols().floor_div(&space.variable(1), &p[2]) + &space.symbols().modulo(&space.variable(1), &p[2]);
    let mut point =
        Point { index: &[0, 33, 0], params: &PARAMS, wide: false, divisors: true, sizes: false, data: &[], divided: 0 };
    let mut host = Host::default();
    let mut e = Emitter::new(&mut host, &exprs, &space, Options::default());
    assert_eq!(signed(e.whole(&both, &mut point).unwrap()), 33 / 7 + 33 % 7);
    assert_eq!(point.divided, 1, "quotient and remainder share a division");
}

/// `data[i1]` as an index: guarded in 64 bits, then part of an address.
struct Gather {
    exprs: Exprs,
    index: Vec<ExprId>,
}

fn gather() -> Gather {
    let mut exprs = Exprs::default();
    let leaves = Types { operands: &[DType::I64], accs: &[] };
    let i = exprs.add(Expr::Index(1), leaves).unwrap();
    let row = exprs.add(Expr::Load { operand: 0, index: vec![i], or: None }, leaves).unwrap();
    let one = exprs.add(Expr::Const(Scalar::i64(1)), leaves).unwrap();
    let before = exprs.add(Expr::Binary(BinOp::Sub, row, one), leaves).unwrap();
    Gather { exprs, index: vec![before, i] }
}

#[test]
fn indices_from_data_are_guarded_and_addressed() {
    let (symbols, _) = params();
    let space = IndexSpace::new(&symbols, &EXTENTS.map(k));
    let gather = gather();
    let shape = [k(20), k(40)];
    let access = Access::dense(&shape);
    let data: Vec<i64> = (0..40).map(|v| if v % 5 == 0 { i64::MIN + v } else { v - 3 }).collect();
    for fits in [Fits::Proven, Fits::Assumed] {
        for i in 0..40 {
            let mut point = Point {
                index: &[0, i, 0],
                params: &PARAMS,
                wide: false,
                divisors: false,
                sizes: false,
                data: &data,
                divided: 0,
            };
            let mut host = Host::default();
            let options = Options { fits, ..Options::default() };
            let mut e = Emitter::new(&mut host, &gather.exprs, &space, options);
            let guard = e.within(&shape, &gather.index, &mut point).unwrap().expect("data may be anything");
            let row = data[i as usize].wrapping_sub(1);
            assert_eq!(guard != 0, (0..20).contains(&row), "row {row}");
            let offset = signed(e.offset(&access, &gather.index, &mut point).unwrap());
            if guard != 0 {
                assert_eq!(offset, row * 40 + i);
            }
        }
    }
}

#[test]
fn what_is_certainly_within_has_no_guard() {
    let (symbols, p) = params();
    let space = IndexSpace::new(&symbols, &[p[0].clone(), k(40)]);
    let mut point =
        Point { index: &[0, 0], params: &PARAMS, wide: false, divisors: false, sizes: false, data: &[], divided: 0 };
    let exprs = Exprs::default();
    let mut host = Host::default();
    let mut e = Emitter::new(&mut host, &exprs, &space, Options::default());
    let shape = [p[0].clone(), k(40)];
    let same = [space.variable(0), space.variable(1)];
    assert_eq!(e.within_at(&shape, &same, &mut point).unwrap(), None);
    let moved = [space.variable(0), &space.variable(1) - &k(1)];
    assert_eq!(e.within_at(&shape, &moved, &mut point).unwrap(), Some(0), "-1 is outside");
}

#[test]
fn blocked_layouts_are_addressed() {
    check(|s, p| {
        let strides = vec![&p[0] * &k(64), k(320), k(16)];
        let access = Access { offset: k(3), strides, block: Some(Block { dim: 1, factor: 16 }) };
        access.address(&[s.variable(0), s.variable(1), s.variable(2)], s.symbols())
    });
}

#[test]
fn steps_along_a_variable() {
    let (symbols, p) = params();
    let space = IndexSpace::new(&symbols, &EXTENTS.map(k));
    let exprs = Exprs::default();
    let mut host = Host::default();
    let e = Emitter::new(&mut host, &exprs, &space, Options::default());
    let dim = &(&(&space.variable(1) * &p[0]) * &k(4)) + &space.variable(0);
    assert_eq!(e.step(&dim, 1), Some(&p[0] * &k(4)));
    assert_eq!(e.step(&dim, 2), Some(k(0)));
    assert_eq!(e.step(&space.symbols().floor_div(&space.variable(1), &k(3)), 1), None);
}

/// Lanes of a vector: an index variable stands for four times another, and the lane.
#[test]
fn placed_variables_are_polynomials() {
    let (symbols, _) = params();
    let space = IndexSpace::new(&symbols, &[k(10)]);
    let mut exprs = Exprs::default();
    let i = exprs.add(Expr::Index(0), Types { operands: &[], accs: &[] }).unwrap();
    let mut point =
        Point { index: &[6], params: &PARAMS, wide: false, divisors: false, sizes: false, data: &[], divided: 0 };
    let mut host = Host::default();
    let mut e = Emitter::new(&mut host, &exprs, &space, Options::default());
    e.place(0, &(&space.variable(0) * &k(4)) + &k(3));
    assert_eq!(e.value(i, &mut point).unwrap(), 27);
}

/// A sum of a hundred thousand terms needs no deep stack.
#[test]
fn deep_expressions_are_walked() {
    let (symbols, _) = params();
    let space = IndexSpace::new(&symbols, &EXTENTS.map(k));
    let leaves = Types { operands: &[DType::I64], accs: &[] };
    let mut exprs = Exprs::default();
    let i = exprs.add(Expr::Index(1), leaves).unwrap();
    let x = exprs.add(Expr::Load { operand: 0, index: vec![i], or: None }, leaves).unwrap();
    let mut sum = x;
    for _ in 0..100_000 {
        sum = exprs.add(Expr::Binary(BinOp::Add, sum, x), leaves).unwrap();
    }
    let mut point = Point {
        index: &[0, 2, 0],
        params: &PARAMS,
        wide: false,
        divisors: false,
        sizes: false,
        data: &[1, 2, 3],
        divided: 0,
    };
    let mut host = Host::default();
    let mut e = Emitter::new(&mut host, &exprs, &space, Options::default());
    assert_eq!(e.value(sum, &mut point).unwrap(), 300_003);
}
