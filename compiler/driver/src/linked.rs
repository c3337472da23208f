//! Machine code in a lock folder: made by the driver's linker, and compared with what it makes now.

use emit::gpu::GpuTarget;
use kernels::GpuCode;
use plan::plan::Plan;
use runtime_min::error::Error as RunError;
use runtime_min::gpu::cudarc_table::driver;

use crate::compiler::{Compiled, Compiler};
use crate::error::Error;
use crate::gpu::Gpu;
use crate::locked::{Locked, WithCubins, kernel_texts, named};
use crate::planned::Planned;
use crate::trial::Machine;

/// Links the kernels of all plans for their own targets, and keeps the machine code in the lock's folder. What is there stays.
pub fn keep(machine: &Machine, plans: &[(Gpu, Plan<GpuCode>)], lock: &Locked) -> Result<(), Error> {
    let Some(folder) = lock.folder() else { return Ok(()) };
    for (gpu, plan) in plans {
        let texts = kernel_texts(plan, &lock.target(*gpu))?;
        let missing: Vec<(&str, &str)> = named(&texts).collect();
        let linked = machine.link(gpu.architecture(), gpu.name(), &missing);
        for ((_, ptx), result) in missing.iter().zip(linked) {
            result.map_err(|what| Error::Answer { what })?;
            if let Some(code) = machine.cubin(gpu.name(), ptx) {
                folder.keep_cubin(gpu.name(), ptx, &code)?;
            }
        }
    }
    Ok(())
}

/// What becomes of machine code in the lock's folder that no kernel of a model refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unused {
    /// It stays, and is told: models, sizes and precisions can share a lock.
    Tell,
    Delete,
}

/// Says how many files of machine code no kernel of a compiled model refers to, or deletes them; for each of its targets.
pub fn unused(compiled: &Compiled, what: Unused) -> Result<String, Error> {
    let (Planned::Gpus(plans), Some(folder)) = (&compiled.plans, compiled.lock.folder()) else {
        return Ok(String::new());
    };
    let mut out = String::new();
    for (gpu, plan) in plans {
        let texts = kernel_texts(plan, &WithCubins::none(*gpu))?;
        let texts: Vec<&str> = texts.keys().map(String::as_str).collect();
        let count = match what {
            Unused::Tell => folder.unused(gpu.name(), &texts)?.len(),
            Unused::Delete => folder.prune(gpu.name(), &texts)?,
        };
        let name = gpu.name();
        match what {
            Unused::Tell | Unused::Delete if count == 0 => {}
            Unused::Tell => out.push_str(&format!(
                "{count} files of machine code for {name} belong to no kernel of this model at these sizes and precision; \
                 if no other shares the lock, --prune deletes them\n"
            )),
            Unused::Delete => out.push_str(&format!("deleted {count} files of machine code for {name}\n")),
        }
    }
    Ok(out)
}

/// What a lock's machine code is worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Kernels whose machine code is what the driver makes now.
    pub same: usize,
    /// Kernels without machine code in the lock, those whose machine code differs, and those that the driver refuses.
    pub missing: Vec<String>,
    pub different: Vec<String>,
    pub refused: Vec<String>,
}

impl Verified {
    /// Whether nothing differs.
    pub fn passed(&self) -> bool {
        self.different.is_empty() && self.refused.is_empty()
    }

    /// Lines for people.
    pub fn text(&self) -> String {
        let mut out = format!("{} kernels have the machine code that this driver makes\n", self.same);
        for (list, what) in [
            (&self.missing, "is not in the lock; the driver compiles it when an engine loads"),
            (&self.different, "differs from what this driver makes: another driver made it, or the file was changed"),
            (&self.refused, "is refused by this driver"),
        ] {
            list.iter().for_each(|name| out.push_str(&format!("{name} {what}\n")));
        }
        out
    }
}

/// Links the kernels of a model again on this machine's GPU, and compares with its lock.
pub fn verify_lock(compiler: &Compiler) -> Result<Verified, Error> {
    let compiled = compiler.compile()?;
    let machine = Machine::open(driver().map_err(RunError::from)?, 0)?;
    match &compiled.plans {
        Planned::Gpus(list) => verify(&machine, list, &compiled.lock),
        Planned::Cpu(_) => Ok(Verified::default()),
    }
}

/// Links the kernels of all plans again, and compares with the lock's folder.
pub fn verify(machine: &Machine, plans: &[(Gpu, Plan<GpuCode>)], lock: &Locked) -> Result<Verified, Error> {
    let mut out = Verified::default();
    let Some(folder) = lock.folder() else { return Ok(out) };
    for (gpu, plan) in plans {
        let texts = kernel_texts(plan, &WithCubins::none(*gpu))?;
        let list: Vec<(&str, &str)> = named(&texts).collect();
        let linked = machine.link(gpu.architecture(), gpu.name(), &list);
        for ((name, ptx), result) in list.iter().zip(linked) {
            let label = format!("{name} {}-{}", gpu.name(), tune::folder::hash_of(ptx));
            let kept = folder.cubin(gpu.name(), ptx)?;
            match (kept, result) {
                (None, _) => out.missing.push(label),
                (Some(_), Err(why)) => out.refused.push(format!("{label} ({why})")),
                (Some(kept), Ok(())) if machine.cubin(gpu.name(), ptx).is_some_and(|made| made == kept) => {
                    out.same += 1
                }
                (Some(_), Ok(())) => out.different.push(label),
            }
        }
    }
    Ok(out)
}
