//! Which instruction set runs, and how plain loops are compiled for it.
//!
//! An [`Isa`] is a proof: it can only be made for a level that this processor has, so a kernel that takes one may call the
//! functions compiled for that level. [`vectorize`] compiles ordinary Rust loops once per level:
//!
//! ```text
//! vectorize(isa, work) ─┬─ Avx512:   #[target_feature(avx512…)] fn { work.run() }   work is inlined here, 16 lanes
//!                       ├─ Avx2:     #[target_feature(avx2,fma)] fn { work.run() }   8 lanes
//!                       └─ Portable: work.run()                                      what the target guarantees (SSE2, NEON)
//! ```
//!
//! Limits: inlining is certain when the loop lives in an `#[inline(always)]` function reached through [`Work::run`] of a type of
//! its own; a closure, even one that only calls such a function, is inlined when all of it is small. Code that is not inlined is
//! still right, only narrower.
//! Idea: function multiversioning by inlining into feature-gated shells, as the `pulp` and `multiversion` crates do it.

/// Width of the vector code, from narrow to wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What the compilation target guarantees: SSE2 on x86-64, NEON on AArch64, scalar code elsewhere.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 F, BW, VL and DQ.
    Avx512,
}

/// A level that this processor is known to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Isa(Level);

impl Isa {
    /// All levels, narrow to wide.
    pub const LEVELS: [Level; 3] = [Level::Portable, Level::Avx2, Level::Avx512];

    /// The widest level of this processor. Cheap: the answer is kept by the standard library.
    pub fn detect() -> Self {
        let widest = Self::LEVELS.iter().rev().find_map(|&level| Self::with_level(level));
        widest.unwrap_or(Self::portable())
    }

    /// The level every processor of the target has.
    pub const fn portable() -> Self {
        Self(Level::Portable)
    }

    /// `level`, if this processor has it.
    pub fn with_level(level: Level) -> Option<Self> {
        has(level).then_some(Self(level))
    }

    /// The level proven.
    pub const fn level(self) -> Level {
        self.0
    }
}

#[cfg(target_arch = "x86_64")]
fn has(level: Level) -> bool {
    let avx2 = || std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
    match level {
        Level::Portable => true,
        Level::Avx2 => avx2(),
        Level::Avx512 => {
            avx2()
                && std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512vl")
                && std::is_x86_feature_detected!("avx512dq")
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn has(level: Level) -> bool {
    level == Level::Portable
}

/// Something to run at a chosen level. Implement it with `#[inline(always)] fn run`, or pass a small closure.
pub trait Work {
    /// What comes out.
    type Output;
    /// Does the work; must be marked `#[inline(always)]` to be compiled at the chosen level.
    fn run(self) -> Self::Output;
}

impl<R, F: FnOnce() -> R> Work for F {
    type Output = R;
    #[inline(always)]
    fn run(self) -> R {
        self()
    }
}

/// Runs `work` in code compiled for `isa`.
#[inline]
pub fn vectorize<W: Work>(isa: Isa, work: W) -> W::Output {
    match isa.level() {
        Level::Portable => work.run(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` of this level exists only on processors that have these features.
        Level::Avx2 => unsafe { run_avx2(work) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe { run_avx512(work) },
        #[cfg(not(target_arch = "x86_64"))]
        Level::Avx2 | Level::Avx512 => work.run(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<W: Work>(work: W) -> W::Output {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq")]
fn run_avx512<W: Work>(work: W) -> W::Output {
    work.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_is_always_there() {
        assert_eq!(Isa::with_level(Level::Portable), Some(Isa::portable()));
    }

    #[test]
    fn every_level_computes_the_same() {
        for isa in Isa::LEVELS.iter().filter_map(|&level| Isa::with_level(level)) {
            let mut x: Vec<f32> = (0..37).map(|i| i as f32).collect();
            vectorize(isa, || x.iter_mut().for_each(|v| *v = *v * 2.0 + 1.0));
            assert!(x.iter().enumerate().all(|(i, &v)| v == 2.0 * i as f32 + 1.0), "{isa:?}");
        }
    }
}
