//! One stage as nested loops.
//!
//! Levels: 0 is the block around the loops, level `k` the body of the `k`-th loop. Parallel loops come first, in the memory
//! order of the first result; a dim that is blocked there becomes two loops, the inner one innermost. Then the reductions.

mod accumulate;
mod lanes;

use std::collections::BTreeMap;

use graph::dim::{Dim, SymId};
use graph::dtype::{Class, DType};
use graph::expr::{BinOp, Expr, ExprId, Exprs, UnOp};
use graph::node::{Acc, Combiner, Extent};
use graph::symbol::{SymSource, Symbols};
use nest::kernel::Port;
use nest::layout::Block;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use accumulate::{Accumulator, accumulator};
use lanes::Lane;
pub(super) use lanes::Lanes;
pub(crate) use lanes::lanes_dim;

use crate::error::PrintError;
use crate::print::address::{SizePrinter, integer};
use crate::print::cast::{bitcast, cast};
use crate::print::expr::{binary, compare, literal, rounded, unary};
use crate::print::types::{from_stored, packed_access, storage_type, to_stored, working_type};

/// How an operand is read.
pub(super) enum Source {
    /// A slice with an address map.
    Memory { name: Ident, port: Port },
    /// An expression of the working type that is the same at every index of the stage: a kept scalar.
    Value(TokenStream),
    /// The values of a tile along its channels.
    Tile(Ident),
}

/// A dim of which a stage runs over one block of 16: which block, and how many of its entries; `None`: all of them, in
/// arrays that become registers.
pub(super) struct TileLoop {
    pub dim: usize,
    pub block: TokenStream,
    pub count: Option<TokenStream>,
}

/// Channels in a block of a tile.
const TILE_BLOCK: i64 = 16;

/// What a stage computes; index variables run over `parallel`, then `reduce`.
pub(super) struct StageSpec<'a> {
    pub parallel: &'a [Dim],
    pub reduce: &'a [Extent],
    pub exprs: &'a Exprs,
    pub accs: &'a [Acc],
    pub sources: &'a [Source],
    /// Block of the first result's layout.
    pub block: Option<Block>,
    /// Parallel dims whose index is given from outside: expression, known to be within the extent.
    pub given: BTreeMap<usize, TokenStream>,
    pub tile: Option<TileLoop>,
    /// Whether the parallel loops but the innermost run over a slab's entries.
    pub slab: bool,
    /// The dim whose blocks of 16 entries are computed as a whole, innermost of all loops.
    pub lanes: Option<Lanes>,
}

/// A sink: what happens with the values at one point.
pub(super) enum Sink {
    /// Store to a slice with an address map, at the stage's own index.
    /// The slice begins at position `start` of the buffer, if that is given.
    Store { name: Ident, port: Port, value: ExprId, index: Vec<ExprId>, start: Option<TokenStream> },
    /// Any statements over printed values.
    Custom { values: Vec<ExprId>, print: Box<dyn Fn(&[TokenStream]) -> TokenStream> },
}

/// A loop.
struct LoopVar {
    name: Ident,
    extent: TokenStream,
    /// The dim that it runs over, one entry or block at a time.
    dim: Option<usize>,
}

/// Prints one stage.
pub(super) struct StagePrinter<'a> {
    spec: &'a StageSpec<'a>,
    symbols: Symbols,
    names: BTreeMap<SymId, (TokenStream, usize)>,
    /// Index variables as polynomials of loop variables.
    index: Vec<Dim>,
    loops: Vec<LoopVar>,
    parallel_loops: usize,
    innermost: Option<SymId>,
    /// Position among the channels of the tile.
    in_tile: Dim,
    polynomials: BTreeMap<ExprId, Dim>,
    levels: BTreeMap<ExprId, usize>,
    values: BTreeMap<ExprId, TokenStream>,
    /// Statements of each level before the deeper loop, and after it.
    before: Vec<TokenStream>,
    after: TokenStream,
    /// Statements right after the innermost loop, in the body of the one around it.
    behind: TokenStream,
    rows: usize,
    /// Whether all loops are there, so that the innermost is known.
    complete: bool,
    lane: Option<Lane>,
}

impl<'a> StagePrinter<'a> {
    pub fn new(spec: &'a StageSpec<'a>, params: usize, extents: &[Dim]) -> StagePrinter<'a> {
        let mut symbols = Symbols::default();
        let mut names = BTreeMap::new();
        for k in 0..params {
            let is_extent = extents.iter().any(|d| d.as_symbol() == Some(SymId(k as u32)));
            let lo = if is_extent { 0 } else { -(1 << 40) };
            let id = symbols.add(&format!("p{k}"), lo, Some(1 << 40), SymSource::Input);
            let name = format_ident!("p{k}");
            names.insert(id, (quote!(#name), 0));
        }
        let mut printer = StagePrinter {
            spec,
            symbols,
            names,
            index: Vec::new(),
            loops: Vec::new(),
            parallel_loops: 0,
            innermost: None,
            in_tile: Dim::constant(0),
            polynomials: BTreeMap::new(),
            levels: BTreeMap::new(),
            values: BTreeMap::new(),
            before: Vec::new(),
            after: TokenStream::new(),
            behind: TokenStream::new(),
            rows: 0,
            complete: false,
            lane: None,
        };
        printer.make_loops();
        printer
    }

    fn make_loops(&mut self) {
        let spec = self.spec;
        let block = spec.block.filter(|b| b.dim < spec.parallel.len() && !spec.given.contains_key(&b.dim));
        let block = spec.lanes.as_ref().map_or(block, |lanes| Some(lanes.block));
        self.index = vec![Dim::constant(0); spec.parallel.len()];
        for (d, extent) in spec.parallel.iter().enumerate() {
            if let Some(given) = spec.given.get(&d) {
                let id = self.symbols.add(&format!("g{d}"), 0, Some(1 << 40), SymSource::Input);
                self.names.insert(id, (given.clone(), 0));
                self.index[d] = Dim::symbol(id);
                continue;
            }
            match block.filter(|b| b.dim == d) {
                Some(b) => {
                    let blocks = self.symbols.ceil_div(extent, &Dim::constant(b.factor));
                    let outer = self.add_dim_loop(&format!("i{d}o"), &blocks, d);
                    self.index[d] = &outer * &Dim::constant(b.factor);
                }
                None if extent.is(1) || spec.tile.as_ref().is_some_and(|t| t.dim == d) => {}
                None => self.index[d] = self.add_dim_loop(&format!("i{d}"), extent, d),
            }
        }
        if let Some(lanes) = &spec.lanes {
            self.make_lane(lanes);
        } else if let Some(b) = block
            && let Some(extent) = spec.parallel.get(b.dim)
        {
            let factor = Dim::constant(b.factor);
            let start = self.index[b.dim].clone();
            // Whole blocks have a constant extent, which the compiler unrolls.
            let whole = self.symbols.modulo(extent, &factor).is(0);
            let count = if whole { factor } else { self.symbols.min(&factor, &(extent - &start)) };
            let inner = self.add_loop(&format!("i{}", b.dim), &count);
            if let Some(symbol) = inner.as_symbol().and_then(|s| self.symbols.get_mut(s)) {
                symbol.hi = Some(b.factor - 1);
            }
            self.index[b.dim] = &start + &inner;
        }
        if let Some(tile) = &spec.tile {
            self.make_tile_loops(tile);
        }
        self.parallel_loops = self.loops.len();
    }

    fn make_tile_loops(&mut self, tile: &TileLoop) {
        let block = self.symbols.add("block", 0, Some(1 << 40), SymSource::Input);
        self.names.insert(block, (tile.block.clone(), 0));
        let count = tile.count.clone().unwrap_or_else(|| integer(TILE_BLOCK));
        self.in_tile = self.add_loop_tokens("ci", count, Some(TILE_BLOCK));
        if let Some(slot) = self.index.get_mut(tile.dim) {
            *slot = &(&Dim::symbol(block) * &Dim::constant(TILE_BLOCK)) + &self.in_tile;
        }
    }

    fn size_tokens(&self, dim: &Dim) -> TokenStream {
        let name = |id: SymId| self.names.get(&id).map(|n| n.0.clone()).unwrap_or_else(|| quote!(0));
        SizePrinter { symbols: &self.symbols, name: &name }.size(dim)
    }

    fn add_dim_loop(&mut self, name: &str, extent: &Dim, dim: usize) -> Dim {
        let index = self.add_loop(name, extent);
        if let Some(last) = self.loops.last_mut() {
            last.dim = Some(dim);
        }
        index
    }

    fn add_loop(&mut self, name: &str, extent: &Dim) -> Dim {
        let tokens = self.size_tokens(extent);
        self.add_loop_tokens(name, tokens, extent.as_const())
    }

    fn add_loop_tokens(&mut self, name: &str, extent: TokenStream, constant: Option<i64>) -> Dim {
        let hi = constant.map_or(1 << 40, |c| (c - 1).max(0));
        let id = self.symbols.add(name, 0, Some(hi), SymSource::Bind);
        let ident = format_ident!("{name}");
        self.loops.push(LoopVar { name: ident.clone(), extent, dim: None });
        self.names.insert(id, (quote!(#ident), self.loops.len()));
        self.innermost = Some(id);
        Dim::symbol(id)
    }

    fn dim_level(&self, dim: &Dim) -> usize {
        let mut level = 0;
        dim.for_each_symbol(&mut |s| level = level.max(self.names.get(&s).map_or(0, |n| n.1)));
        level
    }

    /// The tokens of the stage: loops around everything that the sinks need.
    pub fn print(mut self, sinks: &[Sink]) -> Result<TokenStream, PrintError> {
        let mut reduce_extents = Vec::new();
        for extent in self.spec.reduce {
            reduce_extents.push(extent.clone());
        }
        // Extents that depend on the index are printed before their loop exists.
        let lane = usize::from(self.lane.is_some());
        self.before = vec![TokenStream::new(); self.loops.len() + reduce_extents.len() + lane + 1];
        for (r, extent) in reduce_extents.iter().enumerate() {
            let tokens = match extent.size {
                Some(size) => {
                    let value = self.value(size)?;
                    let bound = self.size_tokens(&extent.bound);
                    quote!(i64::min(#value, #bound))
                }
                None => self.size_tokens(&extent.bound),
            };
            let constant = if extent.size.is_none() { extent.bound.as_const() } else { None };
            let var = self.add_loop_tokens(&format!("r{r}"), tokens, constant);
            self.index.push(var);
        }
        self.add_lane_loop();
        let deepest = self.loops.len();
        self.complete = true;
        for (k, acc) in self.spec.accs.iter().enumerate() {
            let name = format_ident!("acc{k}");
            let place = self.lane_place(&name).unwrap_or_else(|| quote!(#name));
            let value = self.term(acc)?;
            let Accumulator { more, ty, start, step, end } =
                accumulator(acc, self.spec.exprs.dtype(acc.value), &name, &place, &value)?;
            let declared = match self.lane {
                Some(_) => {
                    let lanes = Lane::accumulators(&name);
                    quote!(let mut #lanes: [#ty; 16] = [#start; 16];)
                }
                None => quote!(let mut #name: #ty = #start;),
            };
            self.before[self.parallel_loops].extend(quote!(#declared #more));
            let step = match acc.combiner {
                Combiner::ArgMax { .. } | Combiner::ArgMin { .. } => {
                    let position = self.reduce_position();
                    quote!({ let position: i64 = #position; #step })
                }
                _ => step,
            };
            self.before[deepest].extend(step);
            let working = working_type(acc.dtype);
            if self.lane.is_some() || end.to_string() != name.to_string() {
                self.after.extend(quote!(let #name: #working = #end;));
            }
        }
        let has_reduce = !self.spec.reduce.is_empty() || !self.spec.accs.is_empty();
        if has_reduce {
            self.leave_reduction();
        }
        let mut stores = TokenStream::new();
        for sink in sinks {
            stores.extend(self.sink(sink)?);
        }
        if has_reduce {
            self.after.extend(stores);
            self.close_lanes();
        } else {
            let level = deepest;
            self.before[level].extend(stores);
        }
        Ok(self.nest())
    }

    /// What an accumulator combines: a sum takes the product of two floats unrounded, as the evaluator does.
    fn term(&mut self, acc: &Acc) -> Result<TokenStream, PrintError> {
        if let Some(Expr::Binary(BinOp::Mul, a, b)) = self.spec.exprs.get(acc.value)
            && acc.combiner == Combiner::Sum
            && self.spec.exprs.dtype(acc.value).is_float()
        {
            let (a, b) = (self.value(*a)?, self.value(*b)?);
            return Ok(quote!(((#a) as f64 * (#b) as f64)));
        }
        self.value(acc.value)
    }

    /// Linear index of the current reduction step.
    fn reduce_position(&self) -> TokenStream {
        let mut linear = quote!(0i64);
        for (extent, var) in self.spec.reduce.iter().zip(self.index.iter().skip(self.spec.parallel.len())) {
            let (bound, var) = (self.size_tokens(&extent.bound), self.size_tokens(var));
            linear = quote!((#linear * #bound + #var));
        }
        linear
    }

    fn nest(&self) -> TokenStream {
        let mut body = TokenStream::new();
        for level in (0..self.before.len()).rev() {
            let before = &self.before[level];
            let after = if level == self.parallel_loops { self.after.clone() } else { TokenStream::new() };
            body = quote!(#before #body #after);
            if level > 0 {
                let LoopVar { name, extent, dim } = &self.loops[level - 1];
                body = if level == self.before.len() - 1 {
                    let counter = format_ident!("{name}_n");
                    let behind = &self.behind;
                    quote! {
                        for #counter in 0..scalar::count(#extent) { let #name = #counter as i64; #body }
                        #behind
                    }
                } else {
                    let entries = entries(*dim, extent, self.spec.slab);
                    quote!(for #name in #entries { #body })
                };
            }
        }
        body
    }

    /// An i64 expression as a polynomial of loop variables; what depends on data becomes a symbol of its own.
    fn polynomial(&mut self, id: ExprId) -> Result<Dim, PrintError> {
        if let Some(known) = self.polynomials.get(&id) {
            return Ok(known.clone());
        }
        let expr = self.spec.exprs.get(id).ok_or(PrintError::Malformed("no such expression"))?.clone();
        let value = match &expr {
            Expr::Const(c) => Some(Dim::constant(c.as_i64())),
            Expr::Index(k) => Some(self.index.get(*k as usize).cloned().ok_or(PrintError::Malformed("no such index"))?),
            Expr::Dim(d) => Some(d.clone()),
            Expr::Unary(UnOp::Neg, a) => Some(-&self.polynomial(*a)?),
            Expr::Binary(op, a, b) => {
                let foldable = matches!(
                    op,
                    BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::FloorDiv | BinOp::Mod | BinOp::Min | BinOp::Max
                );
                if foldable {
                    let (a, b) = (self.polynomial(*a)?, self.polynomial(*b)?);
                    let s = &self.symbols;
                    match op {
                        BinOp::Add => Some(&a + &b),
                        BinOp::Sub => Some(&a - &b),
                        BinOp::Mul => Some(&a * &b),
                        BinOp::FloorDiv => Some(s.floor_div(&a, &b)),
                        BinOp::Mod => Some(s.modulo(&a, &b)),
                        BinOp::Min => Some(s.min(&a, &b)),
                        _ => Some(s.max(&a, &b)),
                    }
                } else {
                    None
                }
            }
            _ => None,
        };
        let value = match value {
            Some(v) => v,
            None => {
                let tokens = self.scalar(id, &expr)?;
                let level = self.levels.get(&id).copied().unwrap_or(0);
                let symbol = self.symbols.add(&format!("e{}", id.0), i64::MIN, None, SymSource::Bind);
                self.names.insert(symbol, (tokens, level));
                Dim::symbol(symbol)
            }
        };
        self.polynomials.insert(id, value.clone());
        Ok(value)
    }

    /// The Rust expression of a value; its `let` is put where it belongs.
    fn value(&mut self, id: ExprId) -> Result<TokenStream, PrintError> {
        if let Some(known) = self.values.get(&id) {
            return Ok(known.clone());
        }
        let expr = self.spec.exprs.get(id).ok_or(PrintError::Malformed("no such expression"))?.clone();
        if self.spec.exprs.dtype(id) == DType::I64 {
            let polynomial = self.polynomial(id)?;
            let level = self.dim_level(&polynomial);
            let tokens = self.size_tokens(&polynomial);
            let tokens = if polynomial.as_const().is_some() { quote!((#tokens as i64)) } else { tokens };
            self.levels.insert(id, level);
            self.values.insert(id, tokens.clone());
            return Ok(tokens);
        }
        self.scalar(id, &expr)
    }

    fn level(&self, id: ExprId) -> usize {
        self.levels.get(&id).copied().unwrap_or(0)
    }

    /// Prints an expression as a `let` of its level.
    fn scalar(&mut self, id: ExprId, expr: &Expr) -> Result<TokenStream, PrintError> {
        let dtype = self.spec.exprs.dtype(id);
        let mut level = 0;
        let mut child = |p: &mut Self, e: ExprId| -> Result<TokenStream, PrintError> {
            let value = p.value(e)?;
            level = level.max(p.level(e));
            Ok(value)
        };
        let tokens = match expr {
            Expr::Const(c) => {
                let value = literal(*c);
                self.levels.insert(id, 0);
                self.values.insert(id, value.clone());
                return Ok(value);
            }
            Expr::Acc(k) => {
                let name = format_ident!("acc{k}");
                self.levels.insert(id, AFTER);
                self.values.insert(id, quote!(#name));
                return Ok(quote!(#name));
            }
            Expr::Index(_) | Expr::Dim(_) => return Err(PrintError::Malformed("an index that is not i64")),
            Expr::Unary(op, a) => {
                let from = self.spec.exprs.dtype(*a);
                let a = child(self, *a)?;
                unary(*op, from, &a)?
            }
            Expr::Binary(op, a, b) => {
                let (a, b) = (child(self, *a)?, child(self, *b)?);
                binary(*op, dtype, &a, &b)?
            }
            Expr::Compare(op, a, b) => {
                let (a, b) = (child(self, *a)?, child(self, *b)?);
                compare(*op, &a, &b)
            }
            Expr::Select(c, a, b) => {
                let (c, a, b) = (child(self, *c)?, child(self, *a)?, child(self, *b)?);
                if dtype == DType::Str {
                    quote!(if #c { (#a).clone() } else { (#b).clone() })
                } else {
                    quote!(if #c { #a } else { #b })
                }
            }
            Expr::Fma(a, b, c) => {
                let (a, b, c) = (child(self, *a)?, child(self, *b)?, child(self, *c)?);
                match dtype.class() {
                    Class::Float => rounded(dtype, quote!((#a).mul_add(#b, #c))),
                    _ => rounded(dtype, quote!((#a).wrapping_mul(#b).wrapping_add(#c))),
                }
            }
            Expr::Cast { to, saturate, rounding, value } => {
                let from = self.spec.exprs.dtype(*value);
                let a = child(self, *value)?;
                cast(from, *to, *saturate, *rounding, &a)?
            }
            Expr::Bitcast { to, value } => {
                let from = self.spec.exprs.dtype(*value);
                let a = child(self, *value)?;
                bitcast(from, *to, &a)?
            }
            Expr::Load { operand, index, or } => return self.load(id, *operand as usize, index, *or),
        };
        Ok(self.bind(id, level, tokens))
    }

    /// `let e = …` at a level.
    fn bind(&mut self, id: ExprId, level: usize, tokens: TokenStream) -> TokenStream {
        let name = format_ident!("e{}", id.0);
        let ty = working_type(self.spec.exprs.dtype(id));
        let statement = quote!(let #name: #ty = #tokens;);
        if level == AFTER {
            self.after.extend(statement);
        } else if let Some(slot) = self.before.get_mut(level) {
            slot.extend(statement);
        }
        self.levels.insert(id, level);
        self.values.insert(id, quote!(#name));
        quote!(#name)
    }

    fn load(
        &mut self,
        id: ExprId,
        operand: usize,
        index: &[ExprId],
        or: Option<ExprId>,
    ) -> Result<TokenStream, PrintError> {
        let dtype = self.spec.exprs.dtype(id);
        let spec = self.spec;
        let source = spec.sources.get(operand).ok_or(PrintError::Malformed("no such operand"))?;
        let (name, port) = match source {
            Source::Memory { name, port } => (name, port),
            Source::Value(tokens) => {
                let tokens = tokens.clone();
                return Ok(self.bind(id, 0, tokens));
            }
            Source::Tile(name) => {
                let address = self.in_tile.clone();
                let row = self.row_slice(&address, quote!(#name), None, false);
                let (slice, counter) = row.ok_or(PrintError::Malformed("a tile without a channel loop"))?;
                let level = self.parallel_loops;
                return Ok(self.bind(id, level, quote!(#slice[#counter])));
            }
        };
        let mut at = Vec::with_capacity(index.len());
        for i in index {
            at.push(self.polynomial(*i)?);
        }
        let address = port.access.address(&at, &self.symbols);
        if let Some(tokens) = self.lane_load(id, (name, port), &address, &at, or)? {
            return Ok(tokens);
        }
        let mut level = self.dim_level(&address);
        let mut condition = Vec::new();
        let otherwise = match or {
            None => None,
            Some(or) => {
                let value = self.value(or)?;
                level = level.max(self.level(or));
                for (i, extent) in at.iter().zip(&port.shape) {
                    let (range, top) =
                        (self.symbols.range(i), self.symbols.range(&(&(extent - i) - &Dim::constant(1))));
                    level = level.max(self.dim_level(i));
                    let (i, extent) = (self.size_tokens(i), self.size_tokens(extent));
                    if range.lo < 0 {
                        condition.push(quote!(#i >= 0));
                    }
                    if top.lo < 0 {
                        condition.push(quote!(#i < #extent));
                    }
                }
                Some(value)
            }
        };
        let row = if condition.is_empty() && level != AFTER { self.row(name, port, &address, dtype) } else { None };
        let loaded = match row {
            Some(tokens) => tokens,
            None => {
                let at = self.size_tokens(&address);
                element(name, dtype, &at)
            }
        };
        let tokens = match otherwise {
            Some(or) if !condition.is_empty() => quote!(if #(#condition)&&* { #loaded } else { #or }),
            _ => loaded,
        };
        Ok(self.bind(id, level, tokens))
    }

    /// A load through a slice of the row, where the address moves by one with the innermost loop.
    fn row(&mut self, name: &Ident, port: &Port, address: &Dim, dtype: DType) -> Option<TokenStream> {
        if dtype == DType::Str || port.dtype.bits() < 8 {
            return None;
        }
        let (slice, counter) = self.row_slice(address, quote!(#name), None, false)?;
        Some(from_stored(dtype, quote!(#slice[#counter])))
    }

    /// The elements of a slice that the innermost loop runs over, as a slice or array of their own, and their index.
    fn row_slice(
        &mut self,
        address: &Dim,
        of: TokenStream,
        start: Option<&TokenStream>,
        mutable: bool,
    ) -> Option<(Ident, Ident)> {
        let innermost = self.innermost.filter(|_| self.complete && self.lane.is_none())?;
        let depth = self.loops.len();
        let base = address - &Dim::symbol(innermost);
        if self.dim_level(&base) >= depth {
            return None;
        }
        let LoopVar { name, extent, .. } = self.loops.get(depth - 1)?;
        let counter = format_ident!("{name}_n");
        let row = format_ident!("row{}", self.rows);
        let (base, extent) = (since(start, self.size_tokens(&base)), extent.clone());
        self.rows += 1;
        let registers = self.spec.tile.as_ref().is_some_and(|t| t.count.is_none());
        let slot = self.before.get_mut(depth - 1)?;
        match (registers, mutable) {
            (false, false) => slot.extend(quote!(let #row = scalar::row(#of, #base, #extent)?;)),
            (false, true) => slot.extend(quote!(let #row = scalar::row_mut(#of, #base, #extent)?;)),
            (true, false) => slot.extend(quote!(let #row = *scalar::lanes(#of, #base)?;)),
            (true, true) => {
                let to = format_ident!("to{row}");
                slot.extend(quote!(let #to = scalar::lanes_mut(#of, #base)?; let mut #row = *#to;));
                self.behind.extend(quote!(*#to = #row;));
            }
        }
        Some((row, counter))
    }

    fn sink(&mut self, sink: &Sink) -> Result<TokenStream, PrintError> {
        match sink {
            Sink::Custom { values, print } => {
                let mut printed = Vec::with_capacity(values.len());
                for value in values {
                    printed.push(self.value(*value)?);
                }
                Ok(print(&printed))
            }
            Sink::Store { name, port, value, index, start } => {
                let tokens = self.value(*value)?;
                let mut at = Vec::with_capacity(index.len());
                for i in index {
                    at.push(self.polynomial(*i)?);
                }
                let address = port.access.address(&at, &self.symbols);
                if let Some(tokens) = self.lane_store((name, port), &address, start.as_ref(), &tokens) {
                    return Ok(tokens);
                }
                let reduces = !self.spec.reduce.is_empty();
                let whole = port.dtype.bits() >= 8 && port.dtype != DType::Str;
                if whole && !reduces {
                    let row = self.row_slice(&address, quote!(&mut *#name), start.as_ref(), true);
                    if let Some((slice, counter)) = row {
                        let stored = to_stored(port.dtype, tokens);
                        return Ok(quote!(#slice[#counter] = #stored;));
                    }
                }
                if let Some(tokens) = self.tile_store((name, port), &address, start.as_ref(), &tokens) {
                    return Ok(tokens);
                }
                let at = since(start.as_ref(), self.size_tokens(&address));
                Ok(store(name, port.dtype, &at, tokens))
            }
        }
    }
}

/// The range of a loop over a dim: a slab's entries of it.
pub(super) fn entries(dim: Option<usize>, extent: &TokenStream, slab: bool) -> TokenStream {
    match dim.filter(|_| slab) {
        Some(dim) => {
            let dim = proc_macro2::Literal::usize_unsuffixed(dim);
            quote!(slab.range(#dim, #extent))
        }
        None => quote!(0..#extent),
    }
}

/// A position counted from the first element of a slice.
fn since(start: Option<&TokenStream>, position: TokenStream) -> TokenStream {
    match start {
        Some(start) => quote!((#position - #start)),
        None => position,
    }
}

/// Level of values that depend on accumulators: after the reduction loops.
const AFTER: usize = usize::MAX;

/// Reads one element; outside the slice it is zero, which a verified kernel never asks for.
pub(super) fn element(name: &Ident, dtype: DType, at: &TokenStream) -> TokenStream {
    match packed_access(dtype) {
        Some((get, _)) => quote!(#get(#name, #at)),
        None if dtype == DType::Str => quote!(scalar::string(#name, #at)),
        None => from_stored(dtype, quote!(scalar::load(#name, #at))),
    }
}

/// Writes one element.
pub(super) fn store(name: &Ident, dtype: DType, at: &TokenStream, value: TokenStream) -> TokenStream {
    match packed_access(dtype) {
        Some((_, set)) => quote!(#set(&mut *#name, #at, #value);),
        None => {
            let stored = to_stored(dtype, value);
            quote!(scalar::store(&mut *#name, #at, #stored);)
        }
    }
}

/// Type of a slice parameter.
pub(super) fn slice_type(dtype: DType) -> TokenStream {
    let ty = storage_type(dtype);
    quote!([#ty])
}
