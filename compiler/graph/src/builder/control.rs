//! Bodies: scopes, and the nodes that run them.

use crate::builder::{BuildError, Builder, Scope};
use crate::dim::{Dim, SymId};
use crate::graph::{Graph, ValueId};
use crate::node::{If, Loop, Op, Scan};
use crate::symbol::SymSource;
use crate::ty::Type;

/// A position in the tables of symbols and guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    symbols: usize,
    guards: usize,
}

impl Builder {
    /// Opens the graph of a body; values of the graph outside cannot be named until [`Builder::end_body`].
    pub fn begin_body(&mut self) -> Result<(), BuildError> {
        if self.scopes.len() > self.limits.nesting {
            return Err(BuildError::Limit {
                what: "nesting",
                found: self.scopes.len().to_string(),
                limit: self.limits.nesting.to_string(),
            });
        }
        self.scopes.push(Scope::default());
        Ok(())
    }

    /// Number of open scopes: 1 outside every body.
    pub fn depth(&self) -> usize {
        self.scopes.len()
    }

    /// Closes the innermost body. Closing the model's own graph yields an empty one.
    pub fn end_body(&mut self) -> Graph {
        if self.scopes.len() < 2 {
            return Graph::default();
        }
        self.scopes.pop().map(|s| s.graph).unwrap_or_default()
    }

    /// Inputs of the innermost body for values of the graph around it: same types, same contents.
    pub fn body_inputs(&mut self, outer: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
        outer.iter().map(|v| self.capture(*v)).collect()
    }

    /// One more input of the innermost body, standing for a value of the graph around it.
    pub fn capture(&mut self, outer: ValueId) -> Result<ValueId, BuildError> {
        let around = self.scopes.len().checked_sub(2).and_then(|i| self.scopes.get(i));
        let value = around.and_then(|s| s.graph.value(outer)).ok_or(BuildError::NoValue { value: outer.0 })?.clone();
        let id = self.input("", value.ty);
        self.set_contents(id, value.contents);
        Ok(id)
    }

    /// Where the tables of symbols and guards end now, for [`Builder::forget_since`].
    pub fn mark(&self) -> Mark {
        Mark { symbols: self.model.symbols.len(), guards: self.model.guards.len() }
    }

    /// Drops the symbols and guards that came after a mark. Everything that mentions them must be gone: what was built
    /// since is a body that was closed and is not used.
    pub fn forget_since(&mut self, mark: Mark) {
        self.model.symbols.truncate(mark.symbols);
        self.model.guards.truncate(mark.guards);
    }

    /// Whether a size mentions a symbol that came after a mark.
    pub fn is_since(&self, mark: Mark, dim: &Dim) -> bool {
        let mut since = false;
        dim.for_each_symbol(&mut |s| since |= s.0 as usize >= mark.symbols);
        since
    }

    /// A fresh symbol for a size that only the running model knows.
    pub fn fresh_symbol(&mut self, lo: i64, hi: Option<i64>) -> SymId {
        let name = format!("n{}", self.model.symbols.len());
        self.model.symbols.add(&name, lo, hi, SymSource::Bind)
    }

    /// A `Scan` (see there for the order of operands and body inputs).
    pub fn scan(
        &mut self,
        trip: Dim,
        carried: usize,
        scanned: usize,
        operands: Vec<ValueId>,
        body: Graph,
    ) -> Result<Vec<ValueId>, BuildError> {
        let mut types = Vec::with_capacity(body.outputs.len());
        for (k, output) in body.outputs.iter().enumerate() {
            let ty = body.value(*output).map(|v| v.ty.clone()).ok_or(BuildError::NoValue { value: output.0 })?;
            types.push(if k < carried { ty } else { stacked(ty, &trip)? });
        }
        let op = Op::Scan(Scan { trip, carried, scanned, body: Box::new(body) });
        self.push(op, operands, types, Vec::new())
    }

    /// An `If` whose results have these types; `binds` are the symbols new in them.
    pub fn if_else(
        &mut self,
        operands: Vec<ValueId>,
        then_body: Graph,
        else_body: Graph,
        types: Vec<Type>,
        binds: Vec<SymId>,
    ) -> Result<Vec<ValueId>, BuildError> {
        let op = Op::If(If { then_body: Box::new(then_body), else_body: Box::new(else_body) });
        self.push(op, operands, types, binds)
    }

    /// A `Loop` whose results have these types; `binds` are the symbols new in them.
    pub fn loop_while(
        &mut self,
        carried: usize,
        operands: Vec<ValueId>,
        body: Graph,
        types: Vec<Type>,
        binds: Vec<SymId>,
    ) -> Result<Vec<ValueId>, BuildError> {
        let op = Op::Loop(Loop { carried, body: Box::new(body) });
        self.push(op, operands, types, binds)
    }
}

fn stacked(ty: Type, trip: &Dim) -> Result<Type, BuildError> {
    match ty {
        Type::Tensor(mut t) => {
            t.shape.insert(0, trip.clone());
            Ok(Type::Tensor(t))
        }
        other => Err(BuildError::NotATensor { found: format!("{other:?}") }),
    }
}
