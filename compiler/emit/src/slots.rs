//! Where each buffer of a plan lies in the generated code.

use std::collections::BTreeMap;

use graph::dim::Dim;
use graph::dtype::DType;
use plan::arena::bytes;
use plan::plan::{Buffer, BufferId, Place, Plan};
use proc_macro2::{Ident, TokenStream};
use quote::quote;

use crate::error::EmitError;
use crate::names::{Namer, snake};
use crate::size::SizeTable;
use crate::weight_table::WeightTable;

/// Where a buffer lies.
#[derive(Clone, Debug)]
pub enum Slot {
    /// A range of bytes of the session's arena.
    Arena { offset: Dim, bytes: Dim },
    /// A range of bytes of the weights.
    Weight { offset: usize, elements: usize },
    /// A constant object of the engine, by position.
    Constant(usize),
    /// A slice of the call's `Io`.
    Input { field: Ident },
    /// An object of the call's `Io`.
    InputObject { field: Ident },
    /// Memory of its own. With `bytes`, it is made ready before a call starts; without, it grows as steps write it.
    Memory { field: Ident, bytes: Option<Dim> },
    /// An object of the session.
    Object { field: Ident },
}

/// A buffer with its place.
#[derive(Clone, Debug)]
pub struct SlotEntry {
    pub dtype: DType,
    pub elements: Dim,
    pub slot: Slot,
}

/// All buffers of a plan.
pub struct Slots {
    entries: Vec<SlotEntry>,
    /// Fields of memory of their own, in order.
    pub memories: Vec<(Ident, Option<Dim>)>,
    /// Fields of objects, in order.
    pub objects: Vec<Ident>,
}

/// Names of inputs and outputs as fields and functions.
#[derive(Clone, Debug, Default)]
pub struct BorderNames {
    pub inputs: Vec<Ident>,
    pub outputs: Vec<Ident>,
}

impl BorderNames {
    /// Unique names of a plan's inputs and outputs.
    pub fn of<C>(plan: &Plan<C>) -> BorderNames {
        let mut inputs = Namer::without(&["weights", "constants", "dims", "shape", "into_io"]);
        let mut outputs = Namer::without(&["dims", "shape"]);
        BorderNames {
            inputs: plan.inputs.iter().map(|b| inputs.unique(snake(&b.name))).collect(),
            outputs: plan.outputs.iter().map(|b| outputs.unique(snake(&b.name))).collect(),
        }
    }
}

impl Slots {
    /// Places every buffer.
    pub fn of<C>(
        plan: &Plan<C>,
        names: &BorderNames,
        weights: &WeightTable,
        sizes: &SizeTable<'_>,
    ) -> Result<Slots, EmitError> {
        let mut namer = Namer::without(&["budget", "arena"]);
        let mut slots = Slots { entries: Vec::new(), memories: Vec::new(), objects: Vec::new() };
        let mut fields: BTreeMap<String, Ident> = BTreeMap::new();
        for (index, buffer) in plan.buffers.iter().enumerate() {
            let id = BufferId(index as u32);
            let slot = match &buffer.place {
                Place::Arena { offset } => Slot::Arena { offset: offset.clone(), bytes: bytes(buffer) },
                Place::Weight(k) => weights.slot(*k).ok_or(no_buffer(plan, id))?,
                Place::Input(k) => {
                    let field = names.inputs.get(*k).cloned().ok_or(no_buffer(plan, id))?;
                    if is_object(buffer) { Slot::InputObject { field } } else { Slot::Input { field } }
                }
                Place::Output(k) => {
                    let name = names.outputs.get(*k).ok_or(no_buffer(plan, id))?;
                    slots.own(&mut namer, &mut fields, format!("output_{name}"), buffer, sizes)
                }
                Place::State(k) => slots.own(&mut namer, &mut fields, format!("state_{k}"), buffer, sizes),
                Place::Growable => slots.own(&mut namer, &mut fields, format!("growing_{index}"), buffer, sizes),
                Place::Object(_) => slots.own(&mut namer, &mut fields, format!("object_{index}"), buffer, sizes),
            };
            slots.entries.push(SlotEntry { dtype: buffer.dtype, elements: buffer.elements.clone(), slot });
        }
        Ok(slots)
    }

    /// Buffers of one place share one field.
    fn own(
        &mut self,
        namer: &mut Namer,
        fields: &mut BTreeMap<String, Ident>,
        name: String,
        buffer: &Buffer,
        sizes: &SizeTable<'_>,
    ) -> Slot {
        let known = fields.get(&name).cloned();
        let field = known.clone().unwrap_or_else(|| namer.unique(name.clone()));
        fields.insert(name, field.clone());
        if is_object(buffer) {
            if known.is_none() {
                self.objects.push(field.clone());
            }
            return Slot::Object { field };
        }
        let grows = buffer.place == Place::Growable || !sizes.known_at_start(&buffer.elements);
        let bytes = (!grows).then(|| bytes(buffer));
        if known.is_none() {
            self.memories.push((field.clone(), bytes.clone()));
        }
        Slot::Memory { field, bytes }
    }

    /// The place of a buffer.
    pub fn get(&self, id: BufferId) -> Result<&SlotEntry, EmitError> {
        self.entries.get(id.0 as usize).ok_or(EmitError::NoBuffer { buffer: id.0, count: self.entries.len() })
    }
}

/// Strings, sequences, optionals and maps are no bytes.
pub fn is_object(buffer: &Buffer) -> bool {
    buffer.dtype == DType::Str || matches!(buffer.place, Place::Object(_))
}

fn no_buffer<C>(plan: &Plan<C>, id: BufferId) -> EmitError {
    EmitError::NoBuffer { buffer: id.0, count: plan.buffers.len() }
}

/// The Rust type in whose slices a dtype is stored.
pub fn storage(dtype: DType) -> TokenStream {
    match dtype {
        DType::F32 => quote!(f32),
        DType::F64 => quote!(f64),
        DType::F16 => quote!(half::f16),
        DType::BF16 => quote!(half::bf16),
        DType::I64 => quote!(i64),
        DType::I32 => quote!(i32),
        DType::I16 => quote!(i16),
        DType::I8 => quote!(i8),
        DType::U64 => quote!(u64),
        DType::U32 => quote!(u32),
        DType::U16 => quote!(u16),
        DType::U8 | DType::Bool => quote!(u8),
        DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ | DType::F8E8M0 => quote!(u8),
        DType::F4E2M1 | DType::I4 | DType::U4 | DType::I2 | DType::U2 => quote!(u8),
        DType::Str => quote!(String),
    }
}

/// The dtype as the runtime's datums name it.
pub fn datum_dtype(dtype: DType) -> TokenStream {
    let name = quote::format_ident!("{}", format!("{dtype:?}"));
    quote!(datum::DType::#name)
}

/// Elements of the storage type that so many elements of the dtype take.
pub fn storage_count(dtype: DType, elements: &Dim) -> Dim {
    match dtype.bits() {
        4 | 2 => {
            let bits = elements * &Dim::constant(i64::from(dtype.bits()));
            graph::symbol::Symbols::default().ceil_div(&bits, &Dim::constant(8))
        }
        _ => elements.clone(),
    }
}
