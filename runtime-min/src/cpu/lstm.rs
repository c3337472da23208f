//! The LSTM cell over a sequence.
//!
//! ```text
//! gates in ONNX order i o f c:   g = xw[t] + h R                        [batch][4 * hidden]
//! i = σ(g_i + P_i c)   f = σ(g_f + P_f c)   c' = f c + i tanh(g_c)      input_forget: f = 1 - i
//! o = σ(g_o + P_o c')  h' = o tanh(c')
//! ```
//!
//! ```text
//! two threads, one sequence:   units 0..h/2 │ units h/2..h      each: its columns of all four gates, its part of c' and h'
//! ```
//!
//! Limits: the default activations; threads share a step only where there is one sequence and blocks of 16 units. The rest is
//! said in `rnn`.

use super::super::crew::Crew;
use super::gemm::{Gemm, gemm_part};
use super::isa::{Isa, Work, vectorize};
use super::math::{sigmoid, tanh};
use super::rnn::{Sequence, clipped, recur};
use super::tile::Tile;
use super::{BLOCK, KernelError, need, product};
use core::ops::Range;

/// Variations of the cell.
#[derive(Debug, Clone, Copy, Default)]
pub struct LstmOptions<'a> {
    /// `[3 * hidden]` in the order i o f.
    pub peepholes: Option<&'a [f32]>,
    /// Limit of what enters the activations.
    pub clip: Option<f32>,
    /// Ties the forget gate to the input gate.
    pub input_forget: bool,
}

/// Runs the sequence: `h` and `c` are read and replaced, `y` receives every h.
///
/// `xw` is `[steps][batch][4 * hidden]` with both biases added; `scratch` has `batch * 4 * hidden` elements. No value depends on
/// the number of threads.
#[allow(clippy::too_many_arguments, reason = "the operands of the operator")]
pub fn lstm(
    isa: Isa,
    q: &Sequence,
    options: &LstmOptions,
    xw: &[f32],
    r_packed: &[f32],
    h: &mut [f32],
    c: &mut [f32],
    mut y: Option<&mut [f32]>,
    scratch: &mut [f32],
    crew: &mut Crew,
) -> Result<(), KernelError> {
    q.check(4, xw, h, y.as_deref(), scratch)?;
    need("c", q.state_len(), c.len())?;
    let peepholes = options.peepholes.unwrap_or_default();
    need("peepholes", product(&[options.peepholes.map_or(0, |_| 3), q.hidden]), peepholes.len())?;
    q.clear_ends(&mut y);
    let n = q.hidden;
    let alone = crew.parts() < 2 || 4 * n * n < LEAST;
    if let (false, 1, 0, false, None, Some(y)) = (alone, q.batch, n % BLOCK, q.reverse, q.lengths, y.as_deref_mut()) {
        return shared(isa, q, options, (xw, r_packed), (h, c), y, scratch, crew);
    }
    for s in 0..q.steps {
        recur(isa, q, 4 * n, h, r_packed, scratch, 4 * n, 0)?;
        for b in 0..q.batch {
            let Some(t) = q.time(b, s) else { continue };
            let from = (t * q.batch + b) * 4 * n;
            let state = &mut h[b * n..(b + 1) * n];
            let gates = &mut scratch[b * 4 * n..(b + 1) * 4 * n];
            let c = &mut c[b * n..(b + 1) * n];
            vectorize(isa, Cell::of(options, gates, &xw[from..from + 4 * n], 0..n, c, state));
            if let Some(y) = &mut y {
                y[q.at(t, b)..q.at(t, b) + n].copy_from_slice(&h[b * n..(b + 1) * n]);
            }
        }
    }
    Ok(())
}

/// Multiply-adds of a step from which threads share it.
const LEAST: usize = 1 << 15;
/// Most parts of a step.
const MOST: usize = 8;

/// One sequence, each step done by all threads.
#[allow(clippy::too_many_arguments, reason = "the operands of the operator")]
fn shared(
    isa: Isa,
    q: &Sequence,
    options: &LstmOptions,
    (xw, r_packed): (&[f32], &[f32]),
    (h, c): (&mut [f32], &mut [f32]),
    y: &mut [f32],
    scratch: &mut [f32],
    crew: &mut Crew,
) -> Result<(), KernelError> {
    let n = q.hidden;
    let blocks = n / BLOCK;
    let parts = crew.parts().min(blocks).min(MOST);
    let units = |part: usize| blocks * part / parts * BLOCK..blocks * (part + 1) / parts * BLOCK;
    for (s, x) in xw.chunks_exact(4 * n).enumerate().take(q.steps) {
        let (done, rest) = y.split_at_mut(s * q.y_stride);
        let before = match s.checked_sub(1) {
            Some(last) => &done[last * q.y_stride..][..n],
            None => &h[..n],
        };
        let (mut gates, mut cells, mut states) = (&mut scratch[..4 * n], &mut c[..n], &mut rest[..n]);
        let mut own: [_; MOST] = core::array::from_fn(|part| {
            let count = if part < parts { units(part).len() } else { 0 };
            let part = (take(&mut gates, 4 * count), take(&mut cells, count), take(&mut states, count));
            (part, Ok(()))
        });
        let whole = crew.each(&mut own[..parts], 0, |part, ((gates, c, h), done), _| {
            *done = columns(isa, before, r_packed, units(part), gates);
            vectorize(isa, Cell::of(options, gates, x, units(part), c, h));
        });
        whole.map_err(|_| KernelError::Shape { rule: "every thread of the session lives" })?;
        own[..parts].iter().try_for_each(|(_, done)| *done)?;
    }
    if let Some(last) = q.steps.checked_sub(1) {
        h[..n].copy_from_slice(&y[last * q.y_stride..][..n]);
    }
    Ok(())
}

/// The first `count` elements, which `rest` loses.
fn take<'a>(rest: &mut &'a mut [f32], count: usize) -> &'a mut [f32] {
    let (own, left) = core::mem::take(rest).split_at_mut(count);
    *rest = left;
    own
}

/// What the state adds to all gates of some units.
fn columns(isa: Isa, h: &[f32], r_packed: &[f32], units: Range<usize>, gates: &mut [f32]) -> Result<(), KernelError> {
    let n = h.len();
    let g = Gemm::rows(1, 4 * n, n, h, r_packed);
    for (gate, sums) in gates.chunks_exact_mut(units.len().max(1)).enumerate() {
        let first = gate * n + units.start;
        let panels = first / BLOCK..(first + units.len()) / BLOCK;
        gemm_part(isa, &g, 0..1, panels, &mut |t: &Tile, acc: &[f32]| {
            sums[t.c - first..][..t.cs].copy_from_slice(&acc[..t.cs]);
        })?;
    }
    Ok(())
}

/// One step of some units: gates, inputs and peepholes lie gate by gate.
struct Cell<'a> {
    gates: &'a mut [f32],
    x: [&'a [f32]; 4],
    c: &'a mut [f32],
    h: &'a mut [f32],
    /// Empty where there are none.
    peepholes: [&'a [f32]; 3],
    clip: f32,
    input_forget: bool,
}

impl<'a> Cell<'a> {
    /// `x` has the gates of all units, `gates`, `c` and `h` have `units` only.
    fn of(
        options: &LstmOptions<'a>,
        gates: &'a mut [f32],
        x: &'a [f32],
        units: Range<usize>,
        c: &'a mut [f32],
        h: &'a mut [f32],
    ) -> Self {
        let n = x.len() / 4;
        let part =
            |all: &'a [f32], gate: usize| all.get(gate * n..).and_then(|g| g.get(units.clone())).unwrap_or_default();
        let weights = options.peepholes.unwrap_or_default();
        Self {
            gates,
            x: core::array::from_fn(|gate| part(x, gate)),
            c,
            h,
            peepholes: core::array::from_fn(|gate| part(weights, gate)),
            clip: options.clip.unwrap_or(f32::INFINITY),
            input_forget: options.input_forget,
        }
    }
}

impl Work for Cell<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { gates, x, c, h, peepholes: [p_i, p_o, p_f], clip, input_forget } = self;
        let n = h.len();
        for (gate, x) in gates.chunks_exact_mut(n.max(1)).zip(x) {
            gate.iter_mut().zip(x).for_each(|(g, x)| *g += x);
        }
        let (i, rest) = gates.split_at_mut(n);
        let (o, rest) = rest.split_at_mut(n);
        let (f, g) = rest.split_at_mut(n);
        add_product(i, p_i, c);
        add_product(f, p_f, c);
        if input_forget {
            for (f, i) in f.iter_mut().zip(&*i) {
                *f = 1.0 - sigmoid(clipped(*i, clip));
            }
        } else {
            f.iter_mut().for_each(|f| *f = sigmoid(clipped(*f, clip)));
        }
        for ((c, f), (i, g)) in c.iter_mut().zip(&*f).zip(i.iter().zip(&*g)) {
            *c = f * *c + sigmoid(clipped(*i, clip)) * tanh(clipped(*g, clip));
        }
        add_product(o, p_o, c);
        for ((h, o), c) in h.iter_mut().zip(&*o).zip(&*c) {
            *h = sigmoid(clipped(*o, clip)) * tanh(clipped(*c, clip));
        }
    }
}

/// `gate += peephole * c`; nothing if there is no peephole.
#[inline(always)]
fn add_product(gate: &mut [f32], peephole: &[f32], c: &[f32]) {
    for ((gate, p), c) in gate.iter_mut().zip(peephole).zip(c) {
        *gate += p * c;
    }
}
