//! Steps as Rust: statements over the running call, which reach buffers through checked views.
//!
//! ```text
//! // Relu "relu_1"
//! run.profile.begin(3);
//! {
//!     let ([r0], [w0]) = run.buffers.arena.split([(0, 4096)], [(4096, 4096)])?;
//!     kernels::relu::relu(memory::typed::<f32>(r0)?, memory::typed_mut::<f32>(w0)?, 1024).map_err(StepError::kernel)?;
//! }
//! ```

mod access;
mod control;
mod host;

use std::cell::RefCell;

use graph::dim::{Dim, SymId};
use graph::graph::Origin;
use graph::node::OriginId;
use graph::symbol::Symbols;
use plan::plan::{Action, Launch, Plan, Step, View};
use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::error::EmitError;
use crate::names::one_line;
use crate::size::{SizeTable, literal};
use crate::slots::{Slot, Slots};
use crate::target::{Call, TargetPrinter};
pub(crate) use access::end_of;
pub(crate) use host::attr as host_attr;

/// What printing of steps needs, and what it gathers.
pub struct Steps<'a, C> {
    pub plan: &'a Plan<C>,
    pub target: &'a dyn TargetPrinter<C>,
    pub slots: &'a Slots,
    pub sizes: &'a SizeTable<'a>,
    /// Nodes of the steps, in order.
    nodes: RefCell<Vec<(String, String)>>,
    /// Functions that blocks were split into.
    functions: RefCell<Vec<TokenStream>>,
    /// Host operators that are called.
    hosts: RefCell<Vec<&'static graph::host::HostOp>>,
}

/// What became of a plan's steps.
pub struct PrintedSteps {
    /// Statements of the whole plan.
    pub body: TokenStream,
    pub functions: Vec<TokenStream>,
    /// Name and operator of every step's nodes.
    pub nodes: Vec<(String, String)>,
    pub hosts: Vec<&'static graph::host::HostOp>,
}

/// Where steps find the sizes.
fn base() -> TokenStream {
    quote!(run.sizes)
}

impl<'a, C> Steps<'a, C> {
    /// Prints all steps of a plan.
    pub fn print(
        plan: &'a Plan<C>,
        target: &'a dyn TargetPrinter<C>,
        slots: &'a Slots,
        sizes: &'a SizeTable<'a>,
    ) -> Result<PrintedSteps, EmitError> {
        let steps = Steps {
            plan,
            target,
            slots,
            sizes,
            nodes: RefCell::default(),
            functions: RefCell::default(),
            hosts: RefCell::default(),
        };
        let body = steps.block(&plan.body)?;
        let (functions, nodes, hosts) =
            (steps.functions.into_inner(), steps.nodes.into_inner(), steps.hosts.into_inner());
        Ok(PrintedSteps { body, functions, nodes, hosts })
    }

    fn step(&self, step: &Step) -> Result<TokenStream, EmitError> {
        match &step.action {
            Action::Launch(launch) => {
                let inner = self.launch(launch)?;
                Ok(self.timed(&step.origins, "launch", inner))
            }
            Action::Copy { from, to } => {
                let inner = self.copy(from, to)?;
                Ok(self.timed(&step.origins, "copy", inner))
            }
            Action::Clear { buffer } => {
                let access = self.access(&[], &[*buffer], &[])?;
                let (prelude, target) = (&access.prelude, access.written_bytes(self, 0)?);
                Ok(self.timed(&step.origins, "clear", quote!(#prelude #target.fill(0);)))
            }
            Action::Host(call) => {
                let inner = self.host(call)?;
                Ok(self.timed(&step.origins, "host", inner))
            }
            Action::ReadBack { reads } => {
                let mut inner = TokenStream::new();
                for (from, symbol) in reads {
                    let (prelude, value) = self.scalar(from)?;
                    let set = self.set(*symbol, &value, false);
                    inner.extend(if reads.len() == 1 { quote!(#prelude #set) } else { quote!({ #prelude #set }) });
                }
                Ok(self.timed(&step.origins, "read back", inner))
            }
            Action::Let { symbol, value } => {
                let certain = self.certain(*symbol, value);
                let set = self.set(*symbol, &self.size(value), certain);
                Ok(if certain { set } else { self.timed(&step.origins, "let", set) })
            }
            Action::Check { guard } => {
                let Some(guard) = self.plan.guards.get(*guard) else { return Ok(TokenStream::new()) };
                if self.sizes.pred_known_at_start(&guard.pred) {
                    // Checked when the sizes are prepared.
                    return Ok(TokenStream::new());
                }
                let (holds, what) = (self.sizes.pred(&guard.pred, &base()), Literal::string(&one_line(&guard.what)));
                let origins: Vec<OriginId> = guard.origin.into_iter().collect();
                Ok(self.timed(&origins, "check", quote!(sizes::guard(#holds, #what)?;)))
            }
            Action::Loop(inner) => self.repeat(inner, &step.origins),
            Action::If(inner) => self.choose(inner, &step.origins),
        }
    }

    /// A step's statements, with its nodes for errors and the clock.
    fn timed(&self, origins: &[OriginId], kind: &str, inner: TokenStream) -> TokenStream {
        let begin = self.begin(origins, kind);
        match mentions_let(&inner) {
            true => quote!(#begin { #inner }),
            false => quote!(#begin #inner),
        }
    }

    /// The statement that a step begins.
    fn begin(&self, origins: &[OriginId], kind: &str) -> TokenStream {
        let (name, op) = describe(&self.plan.origins, origins, kind);
        let comment = Literal::string(&if name.is_empty() { op.clone() } else { format!("{op} {name}") });
        let mut nodes = self.nodes.borrow_mut();
        let index = Literal::usize_unsuffixed(nodes.len());
        nodes.push((name, op));
        quote! {
            __comment!(#comment);
            run.profile.begin(#index);
        }
    }

    fn size(&self, dim: &Dim) -> TokenStream {
        self.sizes.expr(dim, &base())
    }

    /// Whether a value is certain to be in a symbol's range.
    fn certain(&self, symbol: SymId, value: &Dim) -> bool {
        let symbols: &Symbols = self.sizes.symbols();
        let range = symbols.range(value);
        let Some(symbol) = symbols.get(symbol) else { return false };
        let below = symbol.hi.is_none_or(|hi| range.hi <= i128::from(hi));
        range.lo >= i128::from(symbol.lo) && below
    }

    /// Gives a symbol a value, checked against its range unless that is certain.
    fn set(&self, symbol: SymId, value: &TokenStream, certain: bool) -> TokenStream {
        let field = self.sizes.field(symbol);
        let Some(known) = self.sizes.symbols().get(symbol) else { return quote!(run.sizes.#field = #value;) };
        if certain || (known.lo == i64::MIN && known.hi.is_none()) {
            return quote!(run.sizes.#field = #value;);
        }
        let name = Literal::string(&one_line(&known.name));
        let lo = literal(known.lo);
        let hi = option(known.hi);
        quote!(run.sizes.#field = sizes::in_range(#name, #value, #lo, #hi)?;)
    }

    fn launch(&self, launch: &Launch) -> Result<TokenStream, EmitError> {
        let reads: Vec<_> = launch.reads.iter().map(|v| v.buffer).collect();
        let mut writes: Vec<_> = launch.writes.iter().map(|v| v.buffer).collect();
        writes.extend(launch.workspace.iter().map(|v| v.buffer));
        let written: Vec<&View> = launch.writes.iter().chain(&launch.workspace).collect();
        let access = self.access(&reads, &writes, &written)?;
        let read = (0..reads.len()).map(|k| access.read(self, k)).collect::<Result<Vec<_>, _>>()?;
        let mut write = (0..writes.len())
            .map(|k| access.written(self, k, written.get(k).copied()))
            .collect::<Result<Vec<_>, _>>()?;
        let workspace = launch.workspace.as_ref().and_then(|_| write.pop());
        let size = |dim: &Dim| self.size(dim);
        let call = Call { launch, reads: &read, writes: &write, workspace, size: &size };
        let call = self.target.call(self.plan, &call)?;
        let prelude = &access.prelude;
        Ok(quote!(#prelude #call.map_err(StepError::kernel)?;))
    }

    /// Statements that copy a dense view or an object.
    fn copy(&self, from: &View, to: &View) -> Result<TokenStream, EmitError> {
        let (source, target) = (self.slots.get(from.buffer)?, self.slots.get(to.buffer)?);
        if let Slot::Object { field } = &target.slot {
            let value = self.object(from.buffer)?;
            return Ok(quote!(run.buffers.#field.clone_from(#value);));
        }
        let access = self.access(&[from.buffer], &[to.buffer], &[to])?;
        let (prelude, read) = (&access.prelude, access.read(self, 0)?);
        let write = access.written(self, 0, Some(to))?;
        let (start, place) = (self.size(&from.access.offset), self.size(&to.access.offset));
        let count = self.size(&Dim::product(&from.shape));
        Ok(match source.dtype.bits() {
            bits @ (2 | 4) => {
                let bits = Literal::usize_unsuffixed(bits as usize);
                quote!(#prelude copy::copy_packed(#bits, #read, #start, #write, #place, #count)?;)
            }
            _ => quote!(#prelude copy::copy(#read, #start, #write, #place, #count)?;),
        })
    }

    /// A reference to an object.
    fn object(&self, buffer: plan::plan::BufferId) -> Result<TokenStream, EmitError> {
        Ok(match &self.slots.get(buffer)?.slot {
            Slot::Object { field } => quote!(&run.buffers.#field),
            Slot::InputObject { field } => quote!(run.io.#field),
            Slot::Constant(k) => {
                let k = Literal::usize_unsuffixed(*k);
                quote!(bridge::constant(run.io.constants, #k)?)
            }
            Slot::Arena { .. } | Slot::Weight { .. } | Slot::Input { .. } | Slot::Memory { .. } => {
                return Err(EmitError::NoBuffer { buffer: buffer.0, count: self.plan.buffers.len() });
            }
        })
    }

    /// Statements, and the i64 or truth value at the start of a view.
    fn scalar(&self, view: &View) -> Result<(TokenStream, TokenStream), EmitError> {
        let access = self.access(&[view.buffer], &[], &[])?;
        let read = access.read(self, 0)?;
        let at = self.size(&view.access.offset);
        Ok((access.prelude, quote!(copy::scalar(#read, #at)?)))
    }
}

/// Whether statements bring names into being.
fn mentions_let(tokens: &TokenStream) -> bool {
    tokens.clone().into_iter().any(|t| matches!(t, proc_macro2::TokenTree::Ident(i) if i == "let"))
}

/// `Some(value)` or `None`.
pub fn option(value: Option<i64>) -> TokenStream {
    match value {
        Some(value) => {
            let value = literal(value);
            quote!(Some(#value))
        }
        None => quote!(None),
    }
}

/// Names and operators of a step's nodes; `kind` where it has none.
pub fn describe(table: &[Origin], origins: &[OriginId], kind: &str) -> (String, String) {
    const SHOWN: usize = 4;
    let known: Vec<&Origin> = origins.iter().filter_map(|o| table.get(o.0 as usize)).collect();
    if known.is_empty() {
        return (String::new(), kind.to_string());
    }
    let join = |part: fn(&Origin) -> &str| {
        let mut out: Vec<String> = known.iter().take(SHOWN).map(|o| one_line(part(o))).collect();
        if known.len() > SHOWN {
            out.push(format!("{} more", known.len() - SHOWN));
        }
        out.join("+")
    };
    (join(|o| &o.name), join(|o| &o.op_type))
}
