//! Lanes: blocks of 16 entries of a dim, computed as a whole in the innermost loop.
//!
//! What the lanes read stands in arrays before their loop, gathered with its bounds where it does not lie side by side; what they
//! write is stored after it. So the loop has a constant number of turns and no branch, and the compiler makes vectors of it. A
//! reduction runs around the loop, over 16 accumulators.
//!
//! ```text
//! for i1o in … { for i2 in … {                         let lanes = min(16, p0 - 16 * i1o);
//!     let g0 = *lanes(x0, …);  let g1 = gather(x1, …);
//!     for i1_n in 0..16 { out0[i1_n] = f(g0[i1_n], g1[i1_n]); }
//!     put_block(y0, …, out0, lanes);                   entries from `lanes` on are zero: the padding of a blocked layout
//! } }
//! ```

use std::collections::BTreeMap;

use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId, UnOp};
use graph::node::Combiner;
use graph::symbol::SymSource;
use nest::kernel::{Body, Kernel, Port, Stage, Target};
use nest::layout::Block;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use crate::error::PrintError;
use crate::print::address::integer;
use crate::print::function::first_block;
use crate::print::types::{from_stored, storage_type, to_stored};

use super::{AFTER, LoopVar, StagePrinter, since};

/// Lanes in a block.
const WIDTH: i64 = 16;

/// The dim that lanes run over.
#[derive(Clone, Copy)]
pub struct Lanes {
    pub block: Block,
}

/// The loop over lanes of the stage that is printed.
pub(super) struct Lane {
    symbol: SymId,
    name: Ident,
    /// First entry of the block, and how many of the dim there are from it on, up to 16.
    start: Dim,
    count: TokenStream,
    /// Where the number of lanes is not known: what it is.
    counted: Option<TokenStream>,
    /// What loads stand in arrays of the working type, and the level of those.
    arrays: BTreeMap<ExprId, (Ident, usize)>,
    /// Whether the reductions are over.
    after: bool,
    names: usize,
}

impl Lane {
    fn counter(&self) -> Ident {
        format_ident!("{}_n", self.name)
    }

    /// The accumulators of all lanes.
    pub(super) fn accumulators(name: &Ident) -> Ident {
        format_ident!("{name}_lanes")
    }
}

impl Lanes {
    /// Lanes over the blocked dim of a stage's results; where nothing is blocked, over the innermost dim of a stage that computes
    /// much and reads what does not lie side by side, or over one that a reduction reads in blocks.
    pub fn of(kernel: &Kernel, outer: usize, stage: &Stage) -> Option<Lanes> {
        let whole = |port: &Port| port.dtype.bits() >= 8 && port.dtype != DType::Str;
        let stored: Option<Vec<&Port>> = stage
            .outs
            .iter()
            .map(|out| match &out.target {
                Target::Store { result, .. } => kernel.results.get(*result),
                Target::Keep => None,
            })
            .collect();
        let stored = stored?;
        if !kernel.operands.iter().all(whole) || !stored.iter().all(|port| whole(port)) {
            return None;
        }
        match first_block(kernel, stage) {
            Some(block) => {
                let fits = block.dim >= outer && block.factor == WIDTH;
                let same = stored.iter().all(|port| port.access.block == Some(block));
                (fits && same && can_reduce(kernel, stage, block)).then_some(Lanes { block })
            }
            None => strip(kernel, outer, stage).or_else(|| reduced(kernel, outer, stage)),
        }
    }
}

/// Lanes over a dim of a dense result that an operand of a reduction has in blocks.
fn reduced(kernel: &Kernel, outer: usize, stage: &Stage) -> Option<Lanes> {
    if stage.reduce.is_empty() {
        return None;
    }
    stage.exprs.iter().find_map(|(_, expr)| {
        let Expr::Load { operand, index, or: None } = expr else { return None };
        let block = kernel.operands.get(*operand as usize)?.access.block.filter(|b| b.factor == WIDTH)?;
        let Some(Expr::Index(dim)) = stage.exprs.get(*index.get(block.dim)?) else { return None };
        let dim = *dim as usize;
        let own = (outer..outer + stage.inner.len()).contains(&dim);
        (own && can_reduce(kernel, stage, block)).then_some(Lanes { block: Block { dim, factor: WIDTH } })
    })
}

/// The dim that runs in lanes, if a kernel has one.
pub(crate) fn lanes_dim(kernel: &Kernel) -> Option<usize> {
    let Body::Nest(nest) = &kernel.body else { return None };
    let [stage] = nest.stages.as_slice() else { return None };
    Lanes::of(kernel, nest.outer.len(), stage).map(|lanes| lanes.block.dim)
}

/// Whether a stage's reductions, if it has any, run in lanes: over something that is blocked likewise.
fn can_reduce(kernel: &Kernel, stage: &Stage, block: Block) -> bool {
    let place = |acc: &graph::node::Acc| matches!(acc.combiner, Combiner::ArgMax { .. } | Combiner::ArgMin { .. });
    let blocked = kernel.operands.iter().any(|port| port.access.block == Some(block));
    let none = stage.reduce.is_empty() && stage.accs.is_empty();
    let fixed = stage.reduce.iter().all(|extent| extent.size.is_none());
    none || (blocked && fixed && !stage.accs.iter().any(place))
}

fn strip(kernel: &Kernel, outer: usize, stage: &Stage) -> Option<Lanes> {
    let (dim, _) = stage.inner.iter().enumerate().rfind(|(_, extent)| !extent.is(1))?;
    let dim = outer + dim;
    let far = |expr: &Expr| match expr {
        Expr::Unary(op, _) => !matches!(
            op,
            UnOp::Neg
                | UnOp::Abs
                | UnOp::Not
                | UnOp::IsNan
                | UnOp::IsInf
                | UnOp::Sign
                | UnOp::Floor
                | UnOp::Ceil
                | UnOp::Round
                | UnOp::Trunc
                | UnOp::PopCount
                | UnOp::Sqrt
                | UnOp::Recip
        ),
        Expr::Binary(op, _, _) => *op == BinOp::Pow,
        Expr::Const(_)
        | Expr::Index(_)
        | Expr::Acc(_)
        | Expr::Dim(_)
        | Expr::Compare(..)
        | Expr::Select(..)
        | Expr::Fma(..)
        | Expr::Cast { .. }
        | Expr::Bitcast { .. }
        | Expr::Load { .. } => false,
    };
    let scattered = |expr: &Expr| {
        let Expr::Load { operand, index, or } = expr else { return false };
        let Some(port) = kernel.operands.get(*operand as usize) else { return false };
        let beside = |(d, e): (usize, &ExprId)| {
            let here = stage.exprs.get(*e) == Some(&Expr::Index(dim as u32));
            !uses(stage, *e, dim as u32) || (here && port.access.strides.get(d).is_some_and(|s| s.is(1)))
        };
        or.is_some() || port.access.block.is_some() || !index.iter().enumerate().all(beside)
    };
    let plain = stage.reduce.is_empty() && stage.accs.is_empty();
    let heavy = stage.exprs.iter().any(|(id, e)| far(e) && stage.exprs.dtype(id).is_float());
    let reads = stage.exprs.iter().any(|(_, e)| scattered(e));
    (plain && heavy && reads).then_some(Lanes { block: Block { dim, factor: WIDTH } })
}

/// Whether an expression of indices depends on one.
fn uses(stage: &Stage, id: ExprId, dim: u32) -> bool {
    match stage.exprs.get(id) {
        Some(Expr::Index(d)) => *d == dim,
        Some(Expr::Binary(_, a, b)) => uses(stage, *a, dim) || uses(stage, *b, dim),
        Some(Expr::Unary(_, a)) => uses(stage, *a, dim),
        Some(Expr::Const(_) | Expr::Dim(_)) => false,
        Some(_) | None => true,
    }
}

/// Bounds of a load in lanes: conditions on all of them, and the first and the end of those inside.
struct Inside {
    all: Vec<TokenStream>,
    from: TokenStream,
    to: TokenStream,
    level: usize,
}

impl StagePrinter<'_> {
    /// Makes the lanes of a dim whose blocks have their loop.
    pub(super) fn make_lane(&mut self, lanes: &Lanes) {
        let dim = lanes.block.dim;
        let (Some(extent), Some(start)) = (self.spec.parallel.get(dim), self.index.get(dim).cloned()) else { return };
        let symbol = self.symbols.add("lane", 0, Some(WIDTH - 1), SymSource::Bind);
        let name = format_ident!("i{dim}");
        self.names.insert(symbol, (quote!(#name), 0));
        let whole = self.symbols.modulo(extent, &Dim::constant(WIDTH)).is(0);
        let left = self.size_tokens(&(extent - &start));
        let (count, counted) =
            if whole { (integer(WIDTH), None) } else { (quote!(lanes), Some(quote!(i64::min(16, #left)))) };
        if let Some(slot) = self.index.get_mut(dim) {
            *slot = &start + &Dim::symbol(symbol);
        }
        self.lane = Some(Lane { symbol, name, start, count, counted, arrays: BTreeMap::new(), after: false, names: 0 });
    }

    /// Puts the loop over lanes inside all others.
    pub(super) fn add_lane_loop(&mut self) {
        let Some(lane) = &self.lane else { return };
        let (symbol, name, level) = (lane.symbol, lane.name.clone(), self.dim_level(&lane.start));
        let counted = lane.counted.clone();
        self.loops.push(LoopVar { name: name.clone(), extent: integer(WIDTH), dim: None });
        self.names.insert(symbol, (quote!(#name), self.loops.len()));
        self.innermost = Some(symbol);
        if let (Some(count), Some(slot)) = (counted, self.before.get_mut(level)) {
            slot.extend(quote!(let lanes: i64 = #count;));
        }
    }

    /// Where the accumulator of a lane lies.
    pub(super) fn lane_place(&self, name: &Ident) -> Option<TokenStream> {
        let (lanes, counter) = (Lane::accumulators(name), self.lane.as_ref()?.counter());
        Some(quote!(#lanes[#counter]))
    }

    /// From here on, what depends on a lane is computed after the reductions, in a loop of its own.
    pub(super) fn leave_reduction(&mut self) {
        let Some(lane) = &mut self.lane else { return };
        let outer = self.parallel_loops;
        lane.after = true;
        lane.arrays.retain(|_, (_, level)| *level <= outer);
        if let Some(name) = self.names.get_mut(&lane.symbol) {
            name.1 = AFTER;
        }
        let levels = &self.levels;
        self.values.retain(|id, _| levels.get(id).is_some_and(|level| *level <= outer));
        self.levels.retain(|_, level| *level <= outer);
        self.polynomials.clear();
    }

    /// Puts what comes after the reductions into a loop over the lanes.
    pub(super) fn close_lanes(&mut self) {
        let Some(lane) = &self.lane else { return };
        let (name, counter) = (&lane.name, lane.counter());
        let (after, behind) = (&self.after, std::mem::take(&mut self.behind));
        self.after = quote! {
            for #counter in 0..16 { let #name = #counter as i64; #after }
            #behind
        };
    }

    /// The deepest level outside the loop over lanes, and the level of what is in it.
    fn lane_levels(&self) -> (usize, usize) {
        match self.lane.as_ref().is_some_and(|lane| lane.after) {
            true => (self.parallel_loops, AFTER),
            false => (self.loops.len().saturating_sub(1), self.loops.len()),
        }
    }

    /// Value at the first lane, and the difference from lane to lane.
    fn linear(&self, dim: &Dim) -> Option<(Dim, Dim)> {
        let symbol = self.lane.as_ref()?.symbol;
        let at = |lane: i64| self.symbols.substitute(dim, &|id| (id == symbol).then(|| Dim::constant(lane)));
        let base = at(0);
        let step = &at(1) - &base;
        (&base + &(&step * &Dim::symbol(symbol)) == *dim).then_some((base, step))
    }

    /// Bounds of indices that move with the lanes by one or not at all.
    fn inside(&self, at: &[Dim], shape: &[Dim]) -> Option<Inside> {
        let count = self.lane.as_ref()?.count.clone();
        let mut inside = Inside { all: Vec::new(), from: quote!(0), to: count, level: 0 };
        for (i, extent) in at.iter().zip(shape) {
            let low = self.symbols.range(i).lo < 0;
            let high = self.symbols.range(&(&(extent - i) - &Dim::constant(1))).lo < 0;
            if !low && !high {
                continue;
            }
            let (base, step) = self.linear(i)?;
            inside.level = inside.level.max(self.dim_level(&base)).max(self.dim_level(extent));
            let (first, extent) = (self.size_tokens(&base), self.size_tokens(extent));
            match step.as_const()? {
                0 => {
                    inside.all.extend(low.then(|| quote!(#first >= 0)));
                    inside.all.extend(high.then(|| quote!(#first < #extent)));
                }
                1 => {
                    let Inside { from, to, .. } = &mut inside;
                    if low {
                        *from = quote!(i64::max(#from, -#first));
                    }
                    if high {
                        *to = quote!(i64::min(#to, #extent - #first));
                    }
                }
                _ => return None,
            }
        }
        Some(inside)
    }

    /// A load whose address moves with the lanes: from an array that is filled before their loop. `None`: nothing moves, or the
    /// address is known in the loop only.
    pub(super) fn lane_load(
        &mut self,
        id: ExprId,
        (name, port): (&Ident, &Port),
        address: &Dim,
        at: &[Dim],
        or: Option<ExprId>,
    ) -> Result<Option<TokenStream>, PrintError> {
        let Some(symbol) = self.lane.as_ref().map(|lane| lane.symbol) else { return Ok(None) };
        let moves = |dim: &Dim| {
            let mut found = false;
            dim.for_each_symbol(&mut |s| found |= s == symbol);
            found
        };
        if port.dtype.bits() < 8 || port.dtype == DType::Str || !(moves(address) || at.iter().any(moves)) {
            return Ok(None);
        }
        let (outside, within) = self.lane_levels();
        let first = |p: &Self, dim: &Dim| {
            let mut level = 0;
            dim.for_each_symbol(&mut |s| {
                level = level.max(if s == symbol { 0 } else { p.names.get(&s).map_or(0, |n| n.1) });
            });
            level
        };
        let mut level = at.iter().chain([address]).map(|dim| first(self, dim)).max().unwrap_or(0);
        if let Some(lane) = self.lane.as_ref().filter(|lane| lane.counted.is_some()) {
            level = level.max(self.dim_level(&lane.start));
        }
        if level > outside {
            return Ok(None);
        }
        // What stands in for an element outside: an array, or for each lane in the loop.
        let (mut or_array, mut or_lane) = (None, None);
        if let Some(or) = or {
            let value = self.value(or)?;
            let known = self.lane.as_ref().and_then(|lane| lane.arrays.get(&or).cloned());
            let plain = port.dtype == DType::F32;
            match known {
                Some((array, depth)) if plain => {
                    or_array = Some(quote!(#array));
                    level = level.max(depth);
                }
                _ if plain && self.level(or) <= outside => {
                    or_array = Some(quote!([#value; 16]));
                    level = level.max(self.level(or));
                }
                _ => or_lane = Some(value),
            }
        }
        let inside = match or {
            Some(_) => self.inside(at, &port.shape),
            None => self.inside(&[], &[]),
        };
        let other = or_array.clone().unwrap_or_else(|| quote!([Default::default(); 16]));
        let filled = match (self.linear(address), inside) {
            (Some((base, step)), Some(inside)) if level.max(inside.level) <= outside => {
                level = level.max(inside.level);
                let block = port.access.block.and_then(|b| at.get(b.dim)).and_then(|i| self.linear(i));
                let padded = block.is_some_and(|(_, step)| step.is(1)) && step.is(1) && or.is_none();
                let (base, step) = (self.size_tokens(&base), self.size_tokens(&step));
                let Inside { all, from, to, .. } = inside;
                match (padded, all.is_empty()) {
                    (true, _) => quote!(*scalar::lanes(#name, #base)?),
                    (_, true) => quote!(scalar::gather(#name, #base, #step, (#from, #to), #other)),
                    (_, false) => quote! {
                        if #(#all)&&* { scalar::gather(#name, #base, #step, (#from, #to), #other) } else { #other }
                    },
                }
            }
            _ => self.filled_singly(name, port, (address, at), or.is_some(), &other),
        };
        let Some(lane) = &mut self.lane else { return Ok(None) };
        let array = format_ident!("g{}", lane.names);
        lane.names += 1;
        let counter = lane.counter();
        if or_lane.is_none() && port.dtype == DType::F32 {
            lane.arrays.insert(id, (array.clone(), level));
        }
        let ty = storage_type(port.dtype);
        if let Some(slot) = self.before.get_mut(level) {
            slot.extend(quote!(let #array: [#ty; 16] = #filled;));
        }
        let element = from_stored(port.dtype, quote!(#array[#counter]));
        let tokens = match or_lane {
            Some(or) => {
                let condition = self.conditions(at, &port.shape);
                quote!(if #(#condition)&&* { #element } else { #or })
            }
            None => element,
        };
        Ok(Some(self.bind(id, within, tokens)))
    }

    /// That indices lie inside.
    fn conditions(&self, at: &[Dim], shape: &[Dim]) -> Vec<TokenStream> {
        let pairs = at.iter().zip(shape).map(|(i, extent)| (self.size_tokens(i), self.size_tokens(extent)));
        pairs.flat_map(|(i, extent)| [quote!(#i >= 0), quote!(#i < #extent)]).collect()
    }

    /// An array that is filled lane by lane.
    fn filled_singly(
        &self,
        name: &Ident,
        port: &Port,
        (address, at): (&Dim, &[Dim]),
        bounded: bool,
        other: &TokenStream,
    ) -> TokenStream {
        let Some(lane) = &self.lane else { return TokenStream::new() };
        let (counter, index, address) = (lane.counter(), &lane.name, self.size_tokens(address));
        let mut condition = if bounded { self.conditions(at, &port.shape) } else { Vec::new() };
        let count = &lane.count;
        condition.push(quote!(#index < #count));
        quote! {{
            let mut filled = #other;
            for (#counter, slot) in filled.iter_mut().enumerate() {
                let #index = #counter as i64;
                if #(#condition)&&* {
                    *slot = scalar::load(#name, #address);
                }
            }
            filled
        }}
    }

    /// Stores a lane of a tile whose places lie apart: from an array, after the loop over the lanes, which so has no branch.
    pub(super) fn tile_store(
        &mut self,
        (name, port): (&Ident, &Port),
        address: &Dim,
        start: Option<&TokenStream>,
        value: &TokenStream,
    ) -> Option<TokenStream> {
        let whole = self.spec.tile.as_ref().is_some_and(|tile| tile.count.is_none()) && self.spec.reduce.is_empty();
        let innermost = self.innermost.filter(|_| whole)?;
        let depth = self.loops.len();
        let mut known = port.dtype.bits() >= 8 && port.dtype != DType::Str;
        address.for_each_symbol(&mut |s| known &= s == innermost || self.names.get(&s).is_some_and(|n| n.1 < depth));
        let index = self.loops.last().filter(|_| known)?.name.clone();
        let (counter, at) = (format_ident!("{index}_n"), since(start, self.size_tokens(address)));
        let (array, ty) = (format_ident!("out{}", self.rows), storage_type(port.dtype));
        self.rows += 1;
        if let Some(slot) = depth.checked_sub(1).and_then(|level| self.before.get_mut(level)) {
            slot.extend(quote!(let mut #array: [#ty; 16] = [Default::default(); 16];));
        }
        self.behind.extend(quote! {
            for (#counter, value) in #array.iter().enumerate() {
                let #index = #counter as i64;
                scalar::store(&mut *#name, #at, *value);
            }
        });
        let stored = to_stored(port.dtype, value.clone());
        Some(quote!(#array[#counter] = #stored;))
    }

    /// Stores a lane: to an array that goes to memory after the loop, if the lanes lie side by side.
    pub(super) fn lane_store(
        &mut self,
        (name, port): (&Ident, &Port),
        address: &Dim,
        start: Option<&TokenStream>,
        value: &TokenStream,
    ) -> Option<TokenStream> {
        let stored = to_stored(port.dtype, value.clone());
        let (outside, _) = self.lane_levels();
        let lane = self.lane.as_ref()?;
        let (counter, index, count) = (lane.counter(), lane.name.clone(), lane.count.clone());
        let beside = self.linear(address).filter(|(base, step)| step.is(1) && self.dim_level(base) <= outside);
        let Some((base, _)) = beside else {
            let at = since(start, self.size_tokens(address));
            return Some(quote!(if #index < #count { scalar::store(&mut *#name, #at, #stored); }));
        };
        let at = since(start, self.size_tokens(&base));
        let array = format_ident!("out{}", self.rows);
        self.rows += 1;
        let ty = storage_type(port.dtype);
        if let Some(slot) = self.before.get_mut(outside) {
            slot.extend(quote!(let mut #array: [#ty; 16] = [Default::default(); 16];));
        }
        let put = if port.access.block.is_some() { quote!(put_block) } else { quote!(put) };
        self.behind.extend(quote!(scalar::#put(&mut *#name, #at, &#array, #count)?;));
        Some(quote!(#array[#counter] = #stored;))
    }
}

#[cfg(test)]
mod tests {
    use crate::print::{TileMap, print_epilogue, print_kernel};

    /// What a kernel's function has, and what it has not.
    fn check(text: &str, with: &[&str], without: &[&str]) {
        let kernel = nest::text::parse(text).unwrap();
        let printed = print_kernel(&kernel, "k", "").unwrap().tokens.to_string();
        for part in with {
            assert!(printed.contains(part), "{part} is not in {printed}");
        }
        for part in without {
            assert!(!printed.contains(part), "{part} is in {printed}");
        }
    }

    fn pointwise(operand: &str, result: &str, index: &str, function: &str) -> String {
        format!(
            "kernel params 2 {{ operand {operand} result {result} nest outer [] {{ stage inner [p0, p1] {{
               e0 = index 0
               e1 = index 1
               e2 = load 0 {index}
               e3 = {function} e2
               out [e3 to 0 [e0, e1]] }} }} }}"
        )
    }

    #[test]
    fn lanes_of_blocks() {
        let result = "f32[p0, p1] block 1 by 16";
        let blocked = pointwise(result, result, "[e0, e1]", "neg");
        check(&blocked, &["* scalar :: lanes (x0", "scalar :: put_block (& mut * y0"], &["gather"]);
        let dense = pointwise("f32[p0, p1]", result, "[e0, e1]", "neg");
        check(&dense, &["scalar :: gather (x0 ,", ", 1 , (0 , lanes)", "put_block"], &["scalar :: load"]);
        let across = pointwise("f32[p1, p0]", result, "[e1, e0]", "neg");
        check(&across, &["scalar :: gather (x0 ,", "p0 , (0 , lanes)"], &["scalar :: load"]);
    }

    #[test]
    fn strips_where_much_is_computed_from_afar() {
        let result = "f32[p0, p1]";
        check(&pointwise("f32[p1, p0]", result, "[e1, e0]", "exp"), &["scalar :: gather (x0", "scalar :: put ("], &[]);
        check(&pointwise("f32[p1, p0]", result, "[e1, e0]", "neg"), &["scalar :: load (x0"], &["gather"]);
        check(&pointwise(result, result, "[e0, e1]", "exp"), &["scalar :: row (x0"], &["gather"]);
    }

    #[test]
    fn pieces_of_a_whole_are_chosen_for_all_lanes() {
        let text = "kernel params 2 { operand f32[32, p0] block 0 by 16 operand f32[32, p0] block 0 by 16
             result f32[64, p0] block 0 by 16 nest outer [] { stage inner [64, p0] {
               e0 = index 0
               e1 = index 1
               e2 = const i64 32
               e3 = sub e0, e2
               e4 = const f32 0
               e5 = load 1 [e3, e1] or e4
               e6 = load 0 [e0, e1] or e5
               out [e6 to 0 [e0, e1]] } } }";
        check(text, &["scalar :: gather (x1", "scalar :: gather (x0", ", g0)"], &["scalar :: load"]);
    }

    #[test]
    fn tiles_go_to_places_apart_after_their_loop() {
        let epilogue = |result: &str| {
            let text = pointwise("f32[p0, p1]", result, "[e0, e1]", "exp");
            let map = TileMap { n: vec![0], y: Vec::new(), x: Vec::new(), c: 1 };
            print_epilogue(&nest::text::parse(&text).unwrap(), 1, &map, "e", "").unwrap().tokens.to_string()
        };
        let apart = epilogue("f32[p0, p1] strides [1, p0]");
        assert!(apart.contains("for (ci_n , value) in out") && apart.contains("[ci_n] = e3 ;"), "{apart}");
        assert!(!epilogue("f32[p0, p1]").contains("value) in out"));
    }

    #[test]
    fn reductions_run_around_the_lanes() {
        let text = "kernel params 2 { operand f32[p0, p1] block 0 by 16 result f32[p0] block 0 by 16
             nest outer [] { stage inner [p0] {
               reduce [p1]
               e0 = index 0
               e1 = index 1
               e2 = load 0 [e0, e1]
               acc0: f32 = sum e2
               e3 = acc 0
               e4 = neg e3
               out [e4 to 0 [e0]] } } }";
        let dense = text.replace("result f32[p0] block 0 by 16", "result f32[p0]");
        check(&dense, &["acc0_lanes [i0_n] +=", "scalar :: put (& mut * y0"], &["scalar :: load"]);
        let apart = dense.replace("result f32[p0]", "result f32[p0] strides [p1]");
        check(&apart, &["if i0 < lanes { scalar :: store (& mut * y0 ,"], &["scalar :: put"]);
        let (before, after) = ("let mut acc0_lanes : [f64 ; 16]", "let acc0 : f32 =");
        check(text, &[before, "for r0 in 0 .. p1", "acc0_lanes [i0_n] +=", after, "put_block"], &[]);
    }
}
