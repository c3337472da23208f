//! The LSTM cell over a sequence.
//!
//! ```text
//! gates in ONNX order i o f c:   g = xw[t] + h R                        [batch][4 * hidden]
//! i = σ(g_i + P_i c)   f = σ(g_f + P_f c)   c' = f c + i tanh(g_c)      input_forget: f = 1 - i
//! o = σ(g_o + P_o c')  h' = o tanh(c')
//! ```
//!
//! Limits: the default activations. The rest is said in `rnn`.

use super::isa::{Isa, Work, vectorize};
use super::math::{sigmoid, tanh};
use super::rnn::{Sequence, clipped, recur};
use super::{KernelError, need, product};

/// Variations of the cell.
#[derive(Debug, Clone, Copy, Default)]
pub struct LstmOptions<'a> {
    /// `[3 * hidden]` in the order i o f.
    pub peepholes: Option<&'a [f32]>,
    /// Limit of what enters the activations of the gates.
    pub clip: Option<f32>,
    /// Ties the forget gate to the input gate.
    pub input_forget: bool,
}

/// Runs the sequence: `h` and `c` are read and replaced, `y` receives every h.
///
/// `xw` is `[steps][batch][4 * hidden]` with both biases added; `scratch` has `batch * 4 * hidden` elements.
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
) -> Result<(), KernelError> {
    q.check(4, xw, h, y.as_deref(), scratch)?;
    need("c", q.state_len(), c.len())?;
    let peepholes = options.peepholes.unwrap_or_default();
    need("peepholes", product(&[options.peepholes.map_or(0, |_| 3), q.hidden]), peepholes.len())?;
    q.clear_ends(&mut y);
    let n = q.hidden;
    for s in 0..q.steps {
        recur(isa, q, 4 * n, h, r_packed, scratch, 4 * n, 0)?;
        for b in 0..q.batch {
            let Some(t) = q.time(b, s) else { continue };
            let from = (t * q.batch + b) * 4 * n;
            let state = &mut h[b * n..(b + 1) * n];
            let cell = Cell {
                gates: &mut scratch[b * 4 * n..(b + 1) * 4 * n],
                x: &xw[from..from + 4 * n],
                c: &mut c[b * n..(b + 1) * n],
                h: state,
                options,
            };
            vectorize(isa, cell);
            if let Some(y) = &mut y {
                y[q.at(t, b)..q.at(t, b) + n].copy_from_slice(&h[b * n..(b + 1) * n]);
            }
        }
    }
    Ok(())
}

struct Cell<'a> {
    gates: &'a mut [f32],
    x: &'a [f32],
    c: &'a mut [f32],
    h: &'a mut [f32],
    options: &'a LstmOptions<'a>,
}

impl Work for Cell<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { gates, x, c, h, options } = self;
        let n = h.len();
        let clip = options.clip.unwrap_or(f32::INFINITY);
        gates.iter_mut().zip(x).for_each(|(g, x)| *g += x);
        let (i, rest) = gates.split_at_mut(n);
        let (o, rest) = rest.split_at_mut(n);
        let (f, g) = rest.split_at_mut(n);
        let (p_i, p_rest) = options.peepholes.unwrap_or_default().split_at(options.peepholes.map_or(0, |_| n));
        let (p_o, p_f) = p_rest.split_at(p_i.len());
        add_product(i, p_i, c);
        add_product(f, p_f, c);
        if options.input_forget {
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
            *h = sigmoid(clipped(*o, clip)) * tanh(*c);
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
