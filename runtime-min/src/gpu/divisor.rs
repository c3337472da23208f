//! Division of unsigned 32-bit numbers by a number known to the host: a multiplication, an addition and a shift.
//!
//! For 1 <= d < 2^31 and 0 <= n < 2^31, with s = ceil(log2 d) and m = floor(2^32 * (2^s - d) / d) + 1:
//!
//! ```text
//! n / d = (high32(n * m) + n) >> s        PTX: mad.hi.u32 t, n, m, n;  shr.u32 q, t, s;
//! ```
//!
//! The round-up method of Granlund and Montgomery, "Division by Invariant Integers using Multiplication" (1994), figure 4.1.
//! The addition cannot overflow as both terms are below 2^31. A kernel takes the pair as one parameter of 8 bytes, m first.

/// Divisor as kernels take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divisor {
    pub multiplier: u32,
    pub shift: u32,
}

impl Divisor {
    /// For a divisor of 1 to 2^31 - 1.
    pub fn new(divisor: i64) -> Option<Divisor> {
        if !(1..=i64::from(i32::MAX)).contains(&divisor) {
            return None;
        }
        let d = divisor as u64;
        let shift = 64 - (d - 1).leading_zeros();
        let multiplier = (((1 << shift) - d) << 32) / d + 1;
        Some(Divisor { multiplier: multiplier as u32, shift })
    }

    /// What the kernel computes: `n` divided by the divisor.
    pub fn divide(self, n: u32) -> u32 {
        let high = (u64::from(n) * u64::from(self.multiplier)) >> 32;
        ((high + u64::from(n)) >> self.shift) as u32
    }

    /// The 8 bytes of the parameter.
    pub fn to_bytes(self) -> [u8; 8] {
        (u64::from(self.multiplier) | u64::from(self.shift) << 32).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = i32::MAX as u32;

    /// Divisors at every edge: small ones, and around every power of two and its multiples by three and five.
    fn divisors() -> Vec<u32> {
        let mut out: Vec<u32> = (1..=1025).collect();
        for shift in 0..31u64 {
            for factor in [1u64, 3, 5] {
                let around = (-2i64..=2).map(|k| (factor << shift) as i64 + k);
                out.extend(around.filter(|d| (1..=i64::from(MOST)).contains(d)).map(|d| d as u32));
            }
        }
        out.extend(MOST - 100..=MOST);
        out
    }

    #[test]
    fn quotients_are_exact_at_every_edge() {
        for d in divisors() {
            let divisor = Divisor::new(i64::from(d)).unwrap();
            let mut check = |n: u64| {
                if n <= u64::from(MOST) {
                    assert_eq!(divisor.divide(n as u32), n as u32 / d, "{n} / {d}");
                    assert!(((n * u64::from(divisor.multiplier)) >> 32) + n <= u64::from(u32::MAX), "{n} / {d}");
                }
            };
            // A wrong quotient shows first beside a multiple of the divisor.
            let last = u64::from(MOST / d);
            let near = |k: u64| (k.saturating_sub(3)..=k + 3).filter(move |q| *q <= last + 1);
            for q in near(0).chain(near(last)).chain((0..31).flat_map(|s| near(1 << s))) {
                let n = q * u64::from(d);
                (n.saturating_sub(1)..=n + 1).for_each(&mut check);
            }
            (u64::from(MOST) - 3..=u64::from(MOST)).for_each(&mut check);
        }
    }

    #[test]
    fn small_numbers_are_divided_exhaustively() {
        for d in 1..=300u32 {
            let divisor = Divisor::new(i64::from(d)).unwrap();
            assert!((0..20_000).all(|n| divisor.divide(n) == n / d), "{d}");
        }
    }

    #[test]
    fn other_divisors_are_refused() {
        assert_eq!([0, -1, 1 << 31, i64::MAX].map(Divisor::new), [None; 4]);
        assert_eq!(Divisor::new(1), Some(Divisor { multiplier: 1, shift: 0 }));
        assert_eq!(Divisor::new(7).unwrap().to_bytes()[4..], [3, 0, 0, 0]);
    }
}
