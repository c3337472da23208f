//! Why a kernel cannot become PTX.

use graph::expr::ExprError;

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PtxError {
    /// A kernel that its verifier refuses; nothing that the planner makes.
    #[error("the kernel is malformed: {0}; run the verifier of kernels on it")]
    Malformed(&'static str),
    /// Strings stay on the host.
    #[error("{0} cannot run on a GPU; it belongs to a host operator")]
    Unsupported(&'static str),
    #[error(transparent)]
    Expr(#[from] ExprError),
    #[error(transparent)]
    Scalar(#[from] ptx_expr::Error),
    /// A mistake of this crate.
    #[error("the PTX that was made is refused by its verifier: {0}")]
    Verify(String),
}
