//! Which architectures a test runs on.
//!
//! The oldest and the one with most forms of its own always; each of the others in one test of three, chosen by a seed. The variable
//! `SM` asks for `all` or for one by name, `SEED` for another choice.

use std::fmt;

use ptx::Sm;

/// The choice for all tests of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architectures {
    Some { seed: u64 },
    All,
    One(Sm),
}

/// Those that every test runs on.
const ALWAYS: [Sm; 2] = [Sm::Sm75, Sm::Sm90a];

/// One of so many tests runs on each of the others.
const SHARE: u64 = 3;

impl Architectures {
    /// What the variables `SM` and `SEED` ask for.
    pub fn from_env() -> Result<Architectures, String> {
        let seed = match std::env::var("SEED") {
            Ok(text) => text.parse().map_err(|_| format!("SEED: expected a number, found {text:?}"))?,
            Err(_) => 1,
        };
        match std::env::var("SM").as_deref() {
            Ok("all") => Ok(Architectures::All),
            Ok(name) => Sm::named(name).map(Architectures::One).ok_or_else(|| {
                let names: Vec<&str> = Sm::ALL.iter().map(|sm| sm.name()).collect();
                format!("SM: expected `all` or one of {}, found {name:?}", names.join(", "))
            }),
            Err(_) => Ok(Architectures::Some { seed }),
        }
    }

    /// Those that a test runs on.
    pub fn of(self, test: &str) -> Vec<Sm> {
        match self {
            Architectures::All => Sm::ALL.to_vec(),
            Architectures::One(sm) => vec![sm],
            Architectures::Some { seed } => {
                let chosen = |sm: &Sm| ALWAYS.contains(sm) || hash(seed, sm.name(), test) % SHARE == 0;
                Sm::ALL.into_iter().filter(chosen).collect()
            }
        }
    }
}

impl fmt::Display for Architectures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Architectures::All => f.write_str("all architectures"),
            Architectures::One(sm) => write!(f, "{sm}"),
            Architectures::Some { seed } => {
                write!(
                    f,
                    "sm_75 and sm_90a, each other architecture in one test of {SHARE} (SEED={seed}; SM=all for all)"
                )
            }
        }
    }
}

/// FNV-1a, and a last mix of its bits.
fn hash(seed: u64, architecture: &str, test: &str) -> u64 {
    let bytes = architecture.bytes().chain([0]).chain(test.bytes());
    let h = bytes.fold(seed ^ 0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (h ^ h >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_tests_run_on_each_other_architecture() {
        let some = Architectures::Some { seed: 1 };
        for sm in Sm::ALL {
            let count = (0..3000).filter(|k| some.of(&format!("test_{k}")).contains(&sm)).count();
            let expected = if ALWAYS.contains(&sm) { 3000..3001 } else { 900..1100 };
            assert!(expected.contains(&count), "{sm}: {count}");
        }
        assert_ne!(
            (0..9).map(|k| Architectures::Some { seed: 2 }.of(&k.to_string())).collect::<Vec<_>>(),
            (0..9).map(|k| some.of(&k.to_string())).collect::<Vec<_>>()
        );
        assert_eq!(Architectures::All.of("test"), Sm::ALL);
    }
}
