//! The recurrent drivers against naive f64 recurrences, on every level.
use super::super::crew::Crew;
use super::gru::{GruOptions, gru};
use super::isa::Isa;
use super::lstm::{LstmOptions, lstm};
use super::noise::noise;
use super::pack::{pack_b, packed_b_len};
use super::rnn::{Activation, Sequence, rnn};

/// R is `[hidden][gates * hidden]`; columns `from..to` packed.
fn packed(n: usize, width: usize, from: usize, to: usize, r: &[f32]) -> Vec<f32> {
    let mut dst = vec![0.0; packed_b_len(n, to - from).unwrap_or(0)];
    assert_eq!(pack_b(n, to - from, &r[from..], width, 1, &mut dst), Ok(()));
    dst
}

fn sigma(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Runs `cell(gates before activation without h_new part, h, c)` over the sequence; returns y, h, c.
fn reference(
    q: &Sequence,
    gates: usize,
    xw: &[f32],
    h0: &[f32],
    c0: &[f32],
    cell: impl Fn(&[f64], &mut [f64], &mut [f64]),
) -> [Vec<f64>; 3] {
    let n = q.hidden;
    let mut y = vec![0.0; q.steps * q.y_stride];
    let mut h: Vec<f64> = h0.iter().map(|&v| v.into()).collect();
    let mut c: Vec<f64> = c0.iter().map(|&v| v.into()).collect();
    for b in 0..q.batch {
        let length = q.lengths.map_or(q.steps, |l| l[b] as usize);
        for s in 0..length {
            let t = if q.reverse { length - 1 - s } else { s };
            let x: Vec<f64> = xw[(t * q.batch + b) * gates * n..][..gates * n].iter().map(|&v| v.into()).collect();
            cell(&x, &mut h[b * n..(b + 1) * n], &mut c[b * n..(b + 1) * n]);
            y[t * q.y_stride + b * n..][..n].copy_from_slice(&h[b * n..(b + 1) * n]);
        }
    }
    [y, h, c]
}

fn close(name: &str, got: &[f32], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        assert!((f64::from(*g) - w).abs() < 1e-5, "{name}: {g} {w}");
    }
}

fn dot(h: &[f64], r: &[f32], width: usize, j: usize) -> f64 {
    h.iter().enumerate().map(|(k, h)| h * f64::from(r[k * width + j])).sum()
}

fn each(run: impl Fn(Isa, &Sequence)) {
    let lengths = [4, 0, 2];
    for isa in Isa::LEVELS.iter().filter_map(|&level| Isa::with_level(level)) {
        for (hidden, reverse, lengths) in
            [(5, false, None), (16, true, None), (19, false, Some(&lengths[..])), (7, true, Some(&lengths[..]))]
        {
            run(isa, &Sequence { steps: 4, batch: 3, hidden, reverse, lengths, y_stride: 3 * hidden });
        }
    }
}

#[test]
fn simple_cell() {
    each(|isa, q| {
        let n = q.hidden;
        let (xw, r, h0) = (noise(4 * 3 * n, 1), noise(n * n, 2), noise(3 * n, 3));
        let [y_want, h_want, _] = reference(q, 1, &xw, &h0, &h0, |x, h, _| {
            let old = h.to_vec();
            for j in 0..n {
                h[j] = (x[j] + dot(&old, &r, n, j)).tanh();
            }
        });
        let (mut h, mut y, mut scratch) = (h0, vec![9.0; 4 * 3 * n], vec![0.0; 3 * n]);
        let packed = packed(n, n, 0, n, &r);
        assert_eq!(rnn(isa, q, Activation::Tanh, None, &xw, &packed, &mut h, Some(&mut y), &mut scratch), Ok(()));
        close("rnn y", &y, &y_want);
        close("rnn h", &h, &h_want);
    });
}

#[test]
fn lstm_cell() {
    each(|isa, q| {
        for (with_p, clip, input_forget) in [(false, None, false), (true, Some(0.7), false), (true, None, true)] {
            let n = q.hidden;
            let (xw, r, p) = (noise(4 * 3 * 4 * n, 1), noise(n * 4 * n, 2), noise(3 * n, 5));
            let (h0, c0) = (noise(3 * n, 3), noise(3 * n, 4));
            let limit = clip.map_or(f64::INFINITY, f64::from);
            let [y_want, h_want, c_want] = reference(q, 4, &xw, &h0, &c0, |x, h, c| {
                let old = h.to_vec();
                let gate = |g: usize, j: usize| x[g * n + j] + dot(&old, &r, 4 * n, g * n + j);
                let peep = |g: usize, j: usize| if with_p { f64::from(p[g * n + j]) } else { 0.0 };
                for j in 0..n {
                    let i = sigma((gate(0, j) + peep(0, j) * c[j]).clamp(-limit, limit));
                    let f = sigma((gate(2, j) + peep(2, j) * c[j]).clamp(-limit, limit));
                    let f = if input_forget { 1.0 - i } else { f };
                    c[j] = f * c[j] + i * gate(3, j).clamp(-limit, limit).tanh();
                    h[j] =
                        sigma((gate(1, j) + peep(1, j) * c[j]).clamp(-limit, limit)) * c[j].clamp(-limit, limit).tanh();
                }
            });
            let options = LstmOptions { peepholes: with_p.then_some(&p[..]), clip, input_forget };
            let (mut h, mut c, mut y, mut scratch) = (h0, c0, vec![9.0; 4 * 3 * n], vec![0.0; 12 * n]);
            let packed = packed(n, 4 * n, 0, 4 * n, &r);
            let mut run = |h: &mut [f32], c: &mut [f32], y: &mut [f32]| {
                lstm(isa, q, &options, &xw, &packed, h, c, Some(y), &mut scratch, &mut Crew::default())
            };
            assert_eq!(run(&mut h, &mut c, &mut y), Ok(()));
            close("lstm y", &y, &y_want);
            close("lstm h", &h, &h_want);
            close("lstm c", &c, &c_want);
        }
    });
}

#[test]
fn threads_that_share_a_step_change_no_bit() {
    let (n, steps) = (112, 5);
    let (xw, r, p) = (noise(steps * 4 * n, 1), noise(n * 4 * n, 2), noise(3 * n, 5));
    let (h0, c0) = (noise(n, 3), noise(n, 4));
    let packed = packed(n, 4 * n, 0, 4 * n, &r);
    let q = Sequence { steps, batch: 1, hidden: n, reverse: false, lengths: None, y_stride: n + 3 };
    let options = LstmOptions { peepholes: Some(&p), clip: Some(0.9), input_forget: false };
    let run = |threads: usize| {
        let (mut h, mut c, mut y) = (h0.clone(), c0.clone(), vec![9.0; steps * (n + 3)]);
        let (mut scratch, mut crew) = (vec![0.0; 4 * n], Crew::new(threads));
        let isa = Isa::detect();
        lstm(isa, &q, &options, &xw, &packed, &mut h, &mut c, Some(&mut y), &mut scratch, &mut crew).unwrap();
        [h, c, y]
    };
    let alone = run(1);
    assert!(alone[0] != h0 && alone[2][steps * (n + 3) - 3..] == [9.0; 3]);
    for threads in [2, 3, 9] {
        assert_eq!(run(threads), alone, "{threads} threads");
    }
}

#[test]
fn gru_cell() {
    each(|isa, q| {
        for linear_before_reset in [false, true] {
            let n = q.hidden;
            let (xw, r, b) = (noise(4 * 3 * 3 * n, 1), noise(n * 3 * n, 2), noise(n, 5));
            let h0 = noise(3 * n, 3);
            let [y_want, h_want, _] = reference(q, 3, &xw, &h0, &h0, |x, h, _| {
                let old = h.to_vec();
                let gate = |g: usize, j: usize| sigma(x[g * n + j] + dot(&old, &r, 3 * n, g * n + j));
                let reset: Vec<f64> = (0..n).map(|j| gate(1, j) * old[j]).collect();
                for j in 0..n {
                    let new = if linear_before_reset {
                        x[2 * n + j] + gate(1, j) * (dot(&old, &r, 3 * n, 2 * n + j) + f64::from(b[j]))
                    } else {
                        x[2 * n + j] + dot(&reset, &r, 3 * n, 2 * n + j)
                    };
                    h[j] = (1.0 - gate(0, j)) * new.tanh() + gate(0, j) * old[j];
                }
            });
            let options = GruOptions { clip: None, linear_before_reset, recurrent_bias: Some(&b) };
            let (mut h, mut y, mut scratch) = (h0, vec![9.0; 4 * 3 * n], vec![0.0; 9 * n]);
            let (zr, rh) = (packed(n, 3 * n, 0, 2 * n, &r), packed(n, 3 * n, 2 * n, 3 * n, &r));
            assert_eq!(gru(isa, q, &options, &xw, &zr, &rh, &mut h, Some(&mut y), &mut scratch), Ok(()));
            close("gru y", &y, &y_want);
            close("gru h", &h, &h_want);
        }
    });
}

#[test]
fn short_operands_are_refused() {
    let q = Sequence { steps: 2, batch: 1, hidden: 2, reverse: false, lengths: None, y_stride: 2 };
    let run = |xw: usize, r: usize, h: usize, y: usize, s: usize| {
        let (mut h, mut y, mut s) = (vec![0.0; h], vec![0.0; y], vec![0.0; s]);
        rnn(Isa::detect(), &q, Activation::Relu, None, &vec![0.0; xw], &vec![0.0; r], &mut h, Some(&mut y), &mut s)
    };
    assert!(run(4, 32, 2, 4, 2).is_ok());
    assert!(run(3, 32, 2, 4, 2).is_err());
    assert!(run(4, 31, 2, 4, 2).is_err());
    assert!(run(4, 32, 1, 4, 2).is_err());
    assert!(run(4, 32, 2, 3, 2).is_err());
    assert!(run(4, 32, 2, 4, 1).is_err());
}
