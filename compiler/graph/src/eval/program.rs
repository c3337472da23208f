//! A node's expressions made ready to run over blocks: what each one is, and in which order.

use crate::eval::affine::{Affine, Domain, Var};
use crate::eval::block::Block;
use crate::eval::cast::{Cast, bitcast};
use crate::eval::column::{Column, Vals};
use crate::eval::load::load_form;
use crate::eval::source::Source;
use crate::eval::{Bindings, Problem, float, integer};
use crate::expr::{Expr, ExprId, Exprs};

/// Columns of the expressions of a program, by expression.
pub(super) type Columns = Vec<Option<Column>>;

/// Expressions over a domain.
pub(super) struct Program<'a> {
    pub exprs: &'a Exprs,
    pub sources: &'a [Source<'a>],
    forms: Vec<Form>,
    pub domain: Domain,
}

/// How an expression is evaluated.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// The same everywhere.
    Fixed(Column),
    /// Affine in the index.
    Affine(Affine),
    /// A load in range everywhere, at an affine position.
    Strided(Affine),
    /// A load at an affine position; `dims` are the forms that may leave their extent.
    Clipped { dims: Vec<(Affine, i64)>, position: Affine, or: Option<ExprId> },
    /// A load at any positions.
    Gathered,
    /// From its children.
    Operation,
}

pub(super) const MALFORMED: Problem = Problem::Malformed { what: "an expression does not fit its place" };

impl<'a> Program<'a> {
    /// Prepares the expressions that `roots` need. The domain must not be empty.
    pub(super) fn new(
        exprs: &'a Exprs,
        sources: &'a [Source<'a>],
        mut domain: Domain,
        bindings: &Bindings,
        roots: &[ExprId],
    ) -> Result<Program<'a>, Problem> {
        let affine = domain.analyze(exprs, &|d| bindings.dim(d));
        let mut forms = Vec::with_capacity(exprs.len());
        for (id, expr) in exprs.iter() {
            forms.push(form(exprs, id, expr, sources, &domain, &affine));
        }
        let mut program = Program { exprs, sources, forms, domain };
        let needed = program.schedule(roots);
        for id in &needed {
            if let (Some(Expr::Dim(d)), Form::Operation) = (exprs.get(*id), &program.forms[id.0 as usize]) {
                return Err(Problem::UnknownSize { dim: format!("{d:?}") });
            }
        }
        program.merge(&needed);
        Ok(program)
    }

    /// The program of one expression over some of the variables, put in new groups (`order` gives variable and group).
    /// The expression must not depend on those left out.
    pub(super) fn over(&self, order: &[(usize, u8)], root: ExprId) -> Program<'a> {
        let moved = |a: &Affine| Affine { base: a.base, coefs: order.iter().map(|(v, _)| a.coefs[*v]).collect() };
        let forms = self.forms.iter().map(|form| match form {
            Form::Affine(a) => Form::Affine(moved(a)),
            Form::Strided(a) => Form::Strided(moved(a)),
            Form::Clipped { dims, position, or } => Form::Clipped {
                dims: dims.iter().map(|(a, extent)| (moved(a), *extent)).collect(),
                position: moved(position),
                or: *or,
            },
            Form::Fixed(_) | Form::Gathered | Form::Operation => form.clone(),
        });
        let vars = order.iter().map(|(v, group)| Var { group: *group, ..self.domain.vars[*v] }).collect();
        let domain = Domain { vars, index: Vec::new() };
        let mut program = Program { exprs: self.exprs, sources: self.sources, forms: forms.collect(), domain };
        let needed = program.schedule(&[root]);
        program.merge(&needed);
        program
    }

    /// Merges variables that all needed expressions walk as one. The others are lost.
    fn merge(&mut self, needed: &[ExprId]) {
        let mut keep = vec![false; self.forms.len()];
        needed.iter().for_each(|id| keep[id.0 as usize] = true);
        let mut all: Vec<&mut Affine> = Vec::new();
        for (form, keep) in self.forms.iter_mut().zip(keep) {
            match form {
                form if !keep => *form = Form::Operation,
                Form::Affine(a) | Form::Strided(a) => all.push(a),
                Form::Clipped { dims, position, .. } => {
                    all.extend(dims.iter_mut().map(|(a, _)| a));
                    all.push(position);
                }
                Form::Fixed(_) | Form::Gathered | Form::Operation => {}
            }
        }
        self.domain.merge(&mut all);
    }

    /// The expressions that `roots` need, children first.
    pub(super) fn schedule(&self, roots: &[ExprId]) -> Vec<ExprId> {
        let mut needed = vec![false; self.forms.len()];
        for root in roots {
            if let Some(slot) = needed.get_mut(root.0 as usize) {
                *slot = true;
            }
        }
        for id in (0..self.forms.len()).rev() {
            if needed[id] {
                self.for_each_needed(ExprId(id as u32), &mut |child| {
                    if let Some(slot) = needed.get_mut(child.0 as usize) {
                        *slot = true;
                    }
                });
            }
        }
        (0..needed.len()).filter(|id| needed[*id]).map(|id| ExprId(id as u32)).collect()
    }

    /// For every expression, whether it depends on one of the variables for which `moves` holds.
    pub(super) fn dependent(&self, moves: &dyn Fn(usize) -> bool) -> Vec<bool> {
        let mut out = vec![false; self.forms.len()];
        let varies = |a: &Affine| a.coefs.iter().enumerate().any(|(v, c)| *c != 0 && moves(v));
        for id in 0..self.forms.len() {
            let mut any = match &self.forms[id] {
                Form::Affine(a) | Form::Strided(a) => varies(a),
                Form::Clipped { dims, position, .. } => varies(position) || dims.iter().any(|(a, _)| varies(a)),
                Form::Fixed(_) | Form::Gathered | Form::Operation => false,
            };
            self.for_each_needed(ExprId(id as u32), &mut |child| any |= out.get(child.0 as usize) == Some(&true));
            out[id] = any;
        }
        out
    }

    /// Steps of the positions of all affine loads along a variable, for choosing what to run along.
    pub(super) fn load_steps(&self, schedule: &[ExprId], var: usize) -> u64 {
        let steps = schedule.iter().map(|id| match &self.forms[id.0 as usize] {
            Form::Strided(a) | Form::Clipped { position: a, .. } => a.coefs.get(var).map_or(0, |c| c.unsigned_abs()),
            Form::Fixed(_) | Form::Affine(_) | Form::Gathered | Form::Operation => 0,
        });
        steps.fold(0, u64::saturating_add)
    }

    /// Evaluates a schedule over a block. Expressions not in it must have their columns already. `roots`, if given, are
    /// all that is wanted: the alternative of a load that no point takes is then left out.
    pub(super) fn run(
        &self,
        schedule: &[ExprId],
        roots: Option<&[ExprId]>,
        block: &Block,
        accs: &[Column],
        columns: &mut Columns,
    ) -> Result<(), Problem> {
        columns.resize(self.forms.len(), None);
        let wanted = roots.and_then(|roots| self.wanted(schedule, roots, block));
        for id in schedule {
            let slot = id.0 as usize;
            if wanted.as_ref().is_some_and(|w| !w[slot]) {
                columns[slot] = None;
                continue;
            }
            columns[slot] = Some(self.evaluate(*id, block, accs, columns)?);
        }
        Ok(())
    }

    /// The column of a child.
    pub(super) fn column<'c>(&self, columns: &'c Columns, id: ExprId) -> Result<&'c Column, Problem> {
        columns.get(id.0 as usize).and_then(Option::as_ref).ok_or(MALFORMED)
    }

    fn for_each_needed(&self, id: ExprId, visit: &mut dyn FnMut(ExprId)) {
        match &self.forms[id.0 as usize] {
            Form::Fixed(_) | Form::Affine(_) | Form::Strided(_) => {}
            Form::Clipped { or, .. } => or.iter().copied().for_each(visit),
            Form::Gathered | Form::Operation => {
                if let Some(expr) = self.exprs.get(id) {
                    expr.for_each_child(visit);
                }
            }
        }
    }

    /// What this block needs of a schedule; `None` if nothing can be left out.
    fn wanted(&self, schedule: &[ExprId], roots: &[ExprId], block: &Block) -> Option<Vec<bool>> {
        let skips = |id: &ExprId| {
            let Form::Clipped { or: Some(or), .. } = &self.forms[id.0 as usize] else { return false };
            !matches!(self.forms.get(or.0 as usize), Some(Form::Fixed(_)))
        };
        if !schedule.iter().any(skips) {
            return None;
        }
        let mut wanted = vec![false; self.forms.len()];
        for root in roots {
            *wanted.get_mut(root.0 as usize)? = true;
        }
        for id in schedule.iter().rev() {
            if !wanted[id.0 as usize] {
                continue;
            }
            if let Form::Clipped { dims, or: Some(or), .. } = &self.forms[id.0 as usize] {
                let inside = block.inside(dims);
                let all = inside.iter().zip(block.lens()).all(|((from, to), len)| to - from == *len);
                wanted[or.0 as usize] |= !all;
            } else {
                self.for_each_needed(*id, &mut |child| wanted[child.0 as usize] = true);
            }
        }
        Some(wanted)
    }

    fn evaluate(&self, id: ExprId, block: &Block, accs: &[Column], columns: &Columns) -> Result<Column, Problem> {
        let expr = self.exprs.get(id).ok_or(MALFORMED)?;
        match (&self.forms[id.0 as usize], expr) {
            (Form::Fixed(column), _) => Ok(column.clone()),
            (Form::Affine(a), _) => Ok(Column::I(block.column(a))),
            (Form::Strided(position), Expr::Load { operand, .. }) => self.strided(*operand, position, block),
            (Form::Clipped { dims, position, or }, Expr::Load { operand, .. }) => {
                let or = or.and_then(|or| columns.get(or.0 as usize)).and_then(Option::as_ref);
                self.clipped(*operand, dims, position, or, block)
            }
            (Form::Gathered, Expr::Load { operand, index, or }) => {
                let or = or.map(|or| self.column(columns, or)).transpose()?;
                self.gathered(*operand, index, or, columns)
            }
            (Form::Strided(_) | Form::Clipped { .. } | Form::Gathered, _) => Err(MALFORMED),
            (Form::Operation, _) => self.operation(id, expr, accs, columns),
        }
    }

    fn operation(&self, id: ExprId, expr: &Expr, accs: &[Column], columns: &Columns) -> Result<Column, Problem> {
        let dtype = self.exprs.dtype(id);
        let get = |id: ExprId| self.column(columns, id);
        match expr {
            Expr::Acc(k) => accs.get(*k as usize).cloned().ok_or(MALFORMED),
            Expr::Unary(op, a) => match get(*a)? {
                Column::F(v) => float::unary(*op, self.exprs.dtype(*a), v),
                Column::I(v) => integer::unary(*op, self.exprs.dtype(*a), v),
            },
            Expr::Binary(op, a, b) => match (get(*a)?, get(*b)?) {
                (Column::F(a), Column::F(b)) => float::binary(*op, dtype, a, b),
                (Column::I(a), Column::I(b)) => integer::binary(*op, dtype, a, b),
                (Column::F(_), Column::I(_)) | (Column::I(_), Column::F(_)) => Err(MALFORMED),
            },
            Expr::Compare(op, a, b) => match (get(*a)?, get(*b)?) {
                (Column::F(x), Column::F(y)) => Ok(float::compare(*op, x, y)),
                (Column::I(x), Column::I(y)) => Ok(integer::compare(*op, self.exprs.dtype(*a), x, y)),
                (Column::F(_), Column::I(_)) | (Column::I(_), Column::F(_)) => Err(MALFORMED),
            },
            Expr::Select(c, a, b) => {
                let condition = get(*c)?.as_i().ok_or(MALFORMED)?;
                match (get(*a)?, get(*b)?) {
                    (Column::F(a), Column::F(b)) => Ok(Column::F(a.select(b, condition))),
                    (Column::I(a), Column::I(b)) => Ok(Column::I(a.select(b, condition))),
                    (Column::F(_), Column::I(_)) | (Column::I(_), Column::F(_)) => Err(MALFORMED),
                }
            }
            Expr::Fma(a, b, c) => match (get(*a)?, get(*b)?, get(*c)?) {
                (Column::F(a), Column::F(b), Column::F(c)) => Ok(Column::F(float::fma(dtype, a, b, c))),
                (Column::I(a), Column::I(b), Column::I(c)) => {
                    let product = a.zip(b, i64::wrapping_mul);
                    Ok(Column::I(integer::wrap(dtype, product.zip(c, i64::wrapping_add))))
                }
                (Column::F(_) | Column::I(_), _, _) => Err(MALFORMED),
            },
            Expr::Cast { to, saturate, rounding, value } => {
                let from = self.exprs.dtype(*value);
                Cast { from, to: *to, saturate: *saturate, rounding: *rounding }.run(get(*value)?)
            }
            Expr::Bitcast { to, value } => Ok(bitcast(self.exprs.dtype(*value), *to, get(*value)?)),
            Expr::Const(_) | Expr::Index(_) | Expr::Dim(_) | Expr::Load { .. } => Err(MALFORMED),
        }
    }
}

fn form(
    exprs: &Exprs,
    id: ExprId,
    expr: &Expr,
    sources: &[Source<'_>],
    domain: &Domain,
    affine: &[Option<Affine>],
) -> Form {
    if let Some(a) = affine.get(id.0 as usize).and_then(Option::as_ref) {
        let fixed = a.constant().map(|v| Column::I(Vals::One(integer::wrap_one(exprs.dtype(id), v))));
        return fixed.map_or_else(|| Form::Affine(a.clone()), Form::Fixed);
    }
    match expr {
        Expr::Const(s) => Form::Fixed(Column::one(*s)),
        Expr::Load { operand, index, or } => {
            let Some(source) = sources.get(*operand as usize) else { return Form::Gathered };
            load_form(source, index, *or, domain, affine).unwrap_or(Form::Gathered)
        }
        Expr::Index(_)
        | Expr::Acc(_)
        | Expr::Dim(_)
        | Expr::Unary(..)
        | Expr::Binary(..)
        | Expr::Compare(..)
        | Expr::Select(..)
        | Expr::Fma(..)
        | Expr::Cast { .. }
        | Expr::Bitcast { .. } => Form::Operation,
    }
}
