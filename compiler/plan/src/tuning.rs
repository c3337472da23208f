//! What can be tuned in a plan: claims whose family can run them in several variants.
//!
//! While it plans, the planner asks [`crate::Target::tuning`] which variant a claim shall run in. A [`Question`] has all that
//! the time of a variant depends on: the family's problem, typical sizes, and the pointwise work around it.
//!
//! ```text
//! product, revision 1: "f16 a=rk/16 b=packed/16 -> rc/8", sizes 128 768 768, epilogue "kernel …", chosen 64x64x64_2x2_4
//! ```

use graph::dim::Dim;

use crate::plan::CodeId;

/// What a family says of a claim that it can run in several variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Of the family's code: answers to an older one are stale.
    pub revision: u32,
    /// All that is code but the variant, and the access classes, in few words. Sizes and epilogue are added by the plan.
    pub text: String,
    /// The variant that the claim has.
    pub chosen: String,
}

/// A variant by its name, and the nanoseconds that the family's model gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    pub name: String,
    pub cost: f64,
}

/// Asks for a variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub family: &'static str,
    pub problem: Problem,
    /// Typical values of the claim's sizes.
    pub sizes: Vec<u64>,
    /// The pointwise work after the claim, as the text of a kernel.
    pub epilogue: Option<String>,
    /// The variants, the cheapest first; as many as the target asked for.
    pub variants: Vec<Variant>,
}

/// A question, and the launches that it was about: those of this code with these sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub question: Question,
    /// An answer that the family does not offer for this claim.
    pub refused: Option<String>,
    pub code: CodeId,
    pub sizes: Vec<Dim>,
}

/// How a target answers.
pub struct Tuning<'a> {
    /// The variant for a question; `None` leaves the claim as its family made it.
    pub choose: &'a dyn Fn(&Question) -> Option<String>,
    /// How many variants are listed with a question.
    pub variants: usize,
}
