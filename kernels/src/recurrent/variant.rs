//! The ways in which a layer's work is shared out.

/// Registers for weights that a thread may have, times its CTA's threads.
const WEIGHTS: u32 = 36 * 1024;

/// How it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecurrentVariant {
    /// CTAs of a cluster.
    pub ctas: u32,
    /// Lanes of a unit.
    pub lanes: u32,
    pub threads: u32,
    /// Rows of the batch that a cluster has.
    pub rows: u32,
}

impl RecurrentVariant {
    /// `c4_16_512_1`: CTAs, lanes of a unit, threads, rows.
    pub fn name(&self) -> String {
        format!("c{}_{}_{}_{}", self.ctas, self.lanes, self.threads, self.rows)
    }

    /// Units of a CTA, and how many of them each group of lanes has.
    pub fn units(&self, hidden: u32) -> (u32, u32) {
        let units = hidden.div_ceil(self.ctas);
        (units, units.div_ceil(self.threads / self.lanes))
    }

    /// Quadruples of weights that a lane has of a row.
    pub fn quads(&self, hidden: u32) -> u32 {
        hidden.div_ceil(self.lanes * 4)
    }

    /// Whether the weights stay in registers.
    pub fn resident(&self, problem: (u32, u32)) -> bool {
        let (hidden, gates) = problem;
        self.units(hidden).1 * gates * self.quads(hidden) * 4 * self.threads <= WEIGHTS
    }
}

/// Every variant; `check` says which run.
pub fn variants() -> Vec<RecurrentVariant> {
    let mut out = Vec::new();
    for ctas in [1, 2, 4, 8] {
        for lanes in [8, 16, 32] {
            for threads in [256, 512] {
                for rows in [1, 2, 4] {
                    out.push(RecurrentVariant { ctas, lanes, threads, rows });
                }
            }
        }
    }
    out
}
