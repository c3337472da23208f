//! Claims in the variants that the target's tuning chooses.

use graph::dim::Dim;
use nest::abstraction::abstract_sizes;
use nest::build::kernel_of_fused;
use nest::fuse::Fused;
use nest::layout::Access;

use crate::claim::Claim;
use crate::plan::CodeId;
use crate::planner::Planner;
use crate::planner::block::BlockState;
use crate::planner::units::Built;
use crate::tuning::{Asked, Question};

impl<C: Clone + PartialEq + std::fmt::Debug> Planner<'_, C> {
    /// The claim in the variant that tuning chooses, and what was asked; `None` where nothing is.
    pub(super) fn tuned(
        &self,
        state: &BlockState<'_>,
        built: &Built,
        claim: &Claim<C>,
        epilogue: Option<&Fused>,
    ) -> Option<(Claim<C>, Asked)> {
        let tuning = self.target.tuning.as_ref()?;
        let family = state.families.get(built.group.claim?)?;
        let claimant = self.target.claimants.get(*family)?;
        let question = Question {
            family: claimant.name(),
            problem: claimant.problem(claim)?,
            sizes: claim.sizes.iter().map(|d| crate::group::estimate(d, &self.symbols)).collect(),
            epilogue: epilogue.and_then(|fused| self.epilogue_text(fused)),
            variants: match tuning.variants {
                0 => Vec::new(),
                most => claimant.variants(&self.symbols, claim, most),
            },
        };
        let answer = (tuning.choose)(&question).filter(|name| *name != question.problem.chosen);
        let applied = answer.as_ref().and_then(|name| claimant.apply(&self.symbols, claim, name));
        let refused = answer.filter(|_| applied.is_none());
        let asked = Asked { question, refused, code: CodeId(0), sizes: Vec::new() };
        Some((applied.unwrap_or_else(|| claim.clone()), asked))
    }

    /// The pointwise work after a claim, whatever the layouts around it.
    fn epilogue_text(&self, fused: &Fused) -> Option<String> {
        let operands: Vec<Access> = fused.operands.iter().map(|o| Access::dense(&o.shape)).collect();
        let results: Vec<Access> = fused.results.iter().map(|_| Access::dense(&fused.shape)).collect();
        let kernel = kernel_of_fused(fused, &operands, &results)?;
        Some(nest::text::print(&abstract_sizes(kernel, self.target.constants).0))
    }

    /// Keeps a question with the launch that it was about.
    pub(super) fn remember(&mut self, question: Option<&Asked>, code: CodeId, sizes: &[Dim]) {
        let Some(asked) = question else { return };
        if !self.asked.iter().any(|a| a.code == code && a.sizes == sizes) {
            self.asked.push(Asked { code, sizes: sizes.to_vec(), ..asked.clone() });
        }
    }
}
