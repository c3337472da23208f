//! What a model is compiled for.

use std::str::FromStr;

use ptx::Sm;
use runtime_min::gpu::cudarc_table::driver;
use runtime_min::gpu::owned::device_facts;

use crate::error::Error;

/// A target of the command line: `cpu`, an architecture, or that of this machine's first GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Cpu,
    Gpu(Sm),
    /// The GPU that is present.
    Native,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        match text {
            "cpu" => Ok(Target::Cpu),
            "native" => Ok(Target::Native),
            _ => Sm::named(text).map(Target::Gpu).ok_or_else(|| {
                let names: Vec<&str> = Sm::ALL.iter().map(|sm| sm.name()).collect();
                format!("expected cpu, native, or GPU architectures ({}) with commas between", names.join(", "))
            }),
        }
    }
}

/// Where a compilation goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    Cpu,
    /// Architectures, each once, in the order given.
    Gpus(Vec<Sm>),
}

impl Targets {
    /// What a list of targets says.
    pub fn of(list: &[Target]) -> Result<Targets, Error> {
        let mut gpus: Vec<Sm> = Vec::new();
        for target in list {
            let sm = match target {
                Target::Cpu if list.len() == 1 => return Ok(Targets::Cpu),
                Target::Cpu => {
                    return Err(Error::Option {
                        what: "--target".to_string(),
                        expected: "cpu alone, or GPU architectures; make two crates for both".to_string(),
                        found: "cpu among GPUs".to_string(),
                    });
                }
                Target::Gpu(sm) => *sm,
                Target::Native => native()?,
            };
            if !gpus.contains(&sm) {
                gpus.push(sm);
            }
        }
        if gpus.is_empty() { Ok(Targets::Cpu) } else { Ok(Targets::Gpus(gpus)) }
    }
}

/// The architecture whose code this machine's first GPU runs best.
fn native() -> Result<Sm, Error> {
    let facts = driver().and_then(|table| device_facts(table, 0)).map_err(runtime_min::error::Error::from)?;
    Sm::for_capability(facts.capability / 10, facts.capability % 10).ok_or_else(|| Error::Option {
        what: "--target native".to_string(),
        expected: "a GPU of compute capability 7.5 or later".to_string(),
        found: format!("{} of {}.{}", facts.name, facts.capability / 10, facts.capability % 10),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Targets>) {
        let list: Result<Vec<Target>, String> = text.split(',').map(str::parse).collect();
        let found = list.ok().and_then(|list| Targets::of(&list).ok());
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn lists_of_targets() {
        check("cpu", Some(Targets::Cpu));
        check("sm_80,sm_90a,sm_80", Some(Targets::Gpus(vec![Sm::Sm80, Sm::Sm90a])));
        check("cpu,sm_80", None);
        check("sm_42", None);
    }
}
