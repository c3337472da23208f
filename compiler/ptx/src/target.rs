//! Targets and versions: which GPU a module is for, which PTX version its text declares, and what a form needs of both.

use std::fmt;

/// An architecture that modules are made for. Those with an `a` have features of that architecture alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sm {
    Sm75,
    Sm80,
    Sm86,
    Sm87,
    Sm89,
    Sm90a,
    Sm100a,
    Sm120a,
}

impl Sm {
    pub const ALL: [Sm; 8] = [Sm::Sm75, Sm::Sm80, Sm::Sm86, Sm::Sm87, Sm::Sm89, Sm::Sm90a, Sm::Sm100a, Sm::Sm120a];

    /// Number, name, lowest PTX version that knows it.
    const fn properties(self) -> (u32, &'static str, Version) {
        match self {
            Sm::Sm75 => (75, "sm_75", Version(6, 3)),
            Sm::Sm80 => (80, "sm_80", Version(7, 0)),
            Sm::Sm86 => (86, "sm_86", Version(7, 1)),
            Sm::Sm87 => (87, "sm_87", Version(7, 4)),
            Sm::Sm89 => (89, "sm_89", Version(7, 8)),
            Sm::Sm90a => (90, "sm_90a", Version(8, 0)),
            Sm::Sm100a => (100, "sm_100a", Version(8, 6)),
            Sm::Sm120a => (120, "sm_120a", Version(8, 7)),
        }
    }

    /// Compute capability times ten.
    pub const fn number(self) -> u32 {
        self.properties().0
    }

    /// As `.target` names it.
    pub const fn name(self) -> &'static str {
        self.properties().1
    }

    /// The lowest PTX version that knows this target.
    pub const fn version(self) -> Version {
        self.properties().2
    }

    /// The target with a name such as `sm_90a`.
    pub fn named(name: &str) -> Option<Sm> {
        Sm::ALL.into_iter().find(|sm| sm.name() == name)
    }

    /// The target whose code a device of this compute capability runs best; `None` below the oldest.
    pub fn for_capability(major: u32, minor: u32) -> Option<Sm> {
        let number = major * 10 + minor;
        let runs = |sm: &Sm| if sm.is_specific() { sm.number() == number } else { sm.number() <= number };
        Sm::ALL.into_iter().rfind(runs)
    }

    /// Whether code for it runs on this architecture alone.
    pub const fn is_specific(self) -> bool {
        matches!(self, Sm::Sm90a | Sm::Sm100a | Sm::Sm120a)
    }
}

impl fmt::Display for Sm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A version of the PTX language, major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u8, pub u8);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Which architectures have a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// All from this number on.
    From(u32),
    /// These alone.
    Only(&'static [Sm]),
}

impl Arch {
    pub fn has(self, sm: Sm) -> bool {
        match self {
            Arch::From(number) => sm.number() >= number,
            Arch::Only(list) => list.contains(&sm),
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arch::From(number) => write!(f, "sm_{number} or later"),
            Arch::Only(list) => {
                let names: Vec<&str> = list.iter().map(|sm| sm.name()).collect();
                write!(f, "{}", names.join(" or "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sm;

    #[track_caller]
    fn check(capability: (u32, u32), expected: Option<&str>) {
        assert_eq!(Sm::for_capability(capability.0, capability.1).map(Sm::name), expected);
    }

    /// A target with features of its own is for its architecture alone; later ones take the last that goes on.
    #[test]
    fn a_device_gets_the_last_target_that_runs_on_it() {
        check((7, 0), None);
        check((7, 5), Some("sm_75"));
        check((8, 6), Some("sm_86"));
        check((8, 8), Some("sm_87"));
        check((9, 0), Some("sm_90a"));
        check((10, 0), Some("sm_100a"));
        check((10, 3), Some("sm_89"));
        check((12, 0), Some("sm_120a"));
    }
}
