//! Which of several programs runs on a device: they are of one model, compiled for different architectures.

use super::super::error::{DeviceError, Error};
use super::driver::DriverTable;
use super::modules::spell;
use super::owned::device_facts;
use super::program::{Program, Target};

/// The program that runs best on device `ordinal`: one for exactly this architecture, else the latest that it runs.
pub fn fitting(
    driver: &'static DriverTable,
    ordinal: u32,
    programs: &[&'static Program],
) -> Result<&'static Program, Error> {
    if let [only] = programs {
        // Loading says whether it fits.
        return Ok(only);
    }
    let facts = device_facts(driver, ordinal)?;
    let targets: Vec<Target> = programs.iter().map(|p| p.target).collect();
    let best = best(facts.capability, &targets).and_then(|k| programs.get(k));
    let needed = || targets.iter().map(|t| spell(*t)).collect::<Vec<_>>().join(", ");
    Ok(best.ok_or_else(|| DeviceError::Unfit {
        found: format!("{} of compute capability {}.{}", facts.name, facts.capability / 10, facts.capability % 10),
        needed: format!("a GPU for one of the crate's targets: {}", needed()),
    })?)
}

fn best(capability: u32, targets: &[Target]) -> Option<usize> {
    let runs = |t: &Target| if t.specific { t.capability == capability } else { t.capability <= capability };
    let all = targets.iter().enumerate().filter(|(_, t)| runs(t));
    all.max_by_key(|(_, t)| (t.capability, t.specific)).map(|(k, _)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_architecture_first_then_the_latest_before_it() {
        let target = |capability, specific| Target { capability, specific };
        let targets = [target(75, false), target(80, false), target(90, true)];
        let found = [70, 75, 86, 90, 120].map(|capability| best(capability, &targets));
        assert_eq!(found, [None, Some(0), Some(1), Some(2), Some(1)]);
    }
}
