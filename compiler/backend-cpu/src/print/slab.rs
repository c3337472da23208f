//! Which loop nests can run in slabs.
//!
//! ```text
//! nest outer [] { stage inner [p0, p1] { … out [e2 to 0 [e0, e1]] } }    slabs along dim 0; dim 1 is the innermost loop
//! ```

use graph::dtype::DType;
use graph::expr::Expr;
use nest::kernel::{Body, Kernel, Target};

use crate::print::function::first_block;

/// The dims of its result along which a nest can run in slabs; none: it has no parameter for one.
///
/// A slab's nest has one result of whole elements, which it stores at its own index. Dims of the stages' own are loops of one
/// stage only, and the innermost loop of a stage always runs as a whole.
pub fn slab_dims(kernel: &Kernel) -> Vec<usize> {
    let Body::Nest(nest) = &kernel.body else { return Vec::new() };
    let [port] = kernel.results.as_slice() else { return Vec::new() };
    let stores = nest.stages.iter().flat_map(|stage| stage.outs.iter().map(move |out| (stage, out)));
    let mut stores = stores.filter_map(|(stage, out)| match &out.target {
        Target::Store { index, .. } => Some((stage, index)),
        Target::Keep => None,
    });
    let (Some((stage, index)), None) = (stores.next(), stores.next()) else { return Vec::new() };
    let own = |d: usize| index.get(d).and_then(|i| stage.exprs.get(*i)) == Some(&Expr::Index(d as u32));
    let outer = nest.outer.len();
    let rank = outer + stage.inner.len();
    if port.dtype.bits() < 8 || port.dtype == DType::Str || index.len() != rank || !(0..rank).all(own) {
        return Vec::new();
    }
    let mut dims: Vec<usize> = (0..outer).collect();
    if nest.stages.len() == 1 {
        let loops = stage.inner.iter().enumerate().filter(|(_, extent)| !extent.is(1)).map(|(d, _)| outer + d);
        let mut loops: Vec<usize> = loops.collect();
        let innermost = stage.reduce.is_empty() && first_block(kernel, stage).is_none_or(|b| b.dim < outer);
        if innermost {
            loops.pop();
        }
        dims.extend(loops);
    }
    dims
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::print_kernel;

    /// Dims of a kernel, and the loops that its function has over slabs.
    fn check(text: &str, dims: &[usize], loops: &[&str]) {
        let kernel = nest::text::parse(text).unwrap();
        assert_eq!(slab_dims(&kernel), dims);
        let printed = print_kernel(&kernel, "k", "").unwrap().tokens.to_string();
        let found: Vec<&str> = printed.match_indices("slab . range").map(|(at, _)| &printed[at..]).collect();
        assert_eq!(found.len(), loops.len(), "{printed}");
        assert!(found.iter().zip(loops).all(|(found, expected)| found.starts_with(expected)), "{printed}");
        assert_eq!(printed.contains("slab : & Slab"), !dims.is_empty(), "{printed}");
        assert_eq!(printed.contains("- slab . start"), !dims.is_empty(), "{printed}");
    }

    fn pointwise(result: &str, stage: &str, index: &str) -> String {
        format!(
            "kernel params 2 {{ operand f32[p0, p1] result {result} nest outer [] {{ stage inner {stage} {{
               e0 = index 0
               e1 = index 1
               e2 = load 0 [e0, e1]
               out [e2 to 0 {index}] }} }} }}"
        )
    }

    #[test]
    fn all_loops_but_the_innermost() {
        check(&pointwise("f32[p0, p1]", "[p0, p1]", "[e0, e1]"), &[0], &["slab . range (0 , p0)"]);
        check(&pointwise("f32[p0, 1]", "[p0, 1]", "[e0, e1]"), &[], &[]);
    }

    #[test]
    fn blocks_of_a_blocked_dim() {
        let loops = ["slab . range (0 , p0)", "slab . range (1 , ((15 + p1) / 16))"];
        check(&pointwise("f32[p0, p1] block 1 by 16", "[p0, p1]", "[e0, e1]"), &[0, 1], &loops);
    }

    #[test]
    fn not_away_from_the_own_index_and_not_packed() {
        check(&pointwise("f32[p1, p0]", "[p0, p1]", "[e1, e0]"), &[], &[]);
        let packed = pointwise("u4[p0, p1]", "[p0, p1]", "[e0, e1]");
        assert_eq!(slab_dims(&nest::text::parse(&packed).unwrap()), []);
    }

    #[test]
    fn dims_outside_a_reduction() {
        let text = "kernel params 2 { operand f32[p0, p1] result f32[p0] nest outer [] { stage inner [p0] {
                      reduce [p1]
                      e0 = index 0
                      e1 = index 1
                      e2 = load 0 [e0, e1]
                      acc0: f32 = max e2
                      e3 = acc 0
                      out [e3 to 0 [e0]] } } }";
        check(text, &[0], &["slab . range (0 , p0)"]);
    }

    #[test]
    fn outer_dims_of_several_stages() {
        let text = "kernel params 2 { operand f32[p0, p1] result f32[p0, p1] nest outer [p0] {
                      stage inner [] {
                        reduce [p1]
                        e0 = index 0
                        e1 = index 1
                        e2 = load 0 [e0, e1]
                        acc0: f32 = max e2
                        e3 = acc 0
                        out [e3 keep] }
                      stage inner [p1] {
                        e0 = index 0
                        e1 = index 1
                        e2 = load 0 [e0, e1]
                        e3 = load 1 []
                        e4 = sub e2, e3
                        out [e4 to 0 [e0, e1]] } } }";
        check(text, &[0], &["slab . range (0 , p0)"]);
    }
}
