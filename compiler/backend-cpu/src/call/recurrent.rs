//! The call of a recurrent layer: first states are copied to the results, which the steps then replace.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::{CallSite, offset, offset_mut};
use crate::code::{CellCode, PlainCell, RecurrentCode};
use crate::error::PrintError;
use crate::print::float32;

/// An expression of type `Result<(), KernelError>`.
pub(super) fn recurrent_call(
    site: &CallSite<'_>,
    code: &RecurrentCode,
    derived: usize,
    sizes: &[TokenStream],
) -> Result<TokenStream, PrintError> {
    let missing = PrintError::Malformed("a recurrent layer with too few operands, results or sizes");
    let [steps, batch, hidden] = sizes else { return Err(missing) };
    let reads = site.reads.iter().zip(&site.launch.reads);
    let reads: Vec<TokenStream> = reads.map(|(slice, view)| offset(view, site, slice.clone())).collect();
    let inputs: Vec<Ident> = (0..reads.len()).map(|k| format_ident!("x{k}")).collect();
    let results: Vec<Ident> = (0..site.writes.len()).map(|k| format_ident!("y{k}")).collect();
    let writes = site.writes.iter().zip(&site.launch.writes);
    let writes = writes.map(|(slice, view)| offset_mut(view, site, slice.clone()));
    let workspace = site.workspace.clone().ok_or(missing.clone())?;
    let layer = layer(code, hidden, inputs.len().checked_sub(derived).ok_or(missing)?, &inputs, &results)?;
    let Layer { lengths, begin, call } = layer;
    Ok(quote! {{
        let isa = runtime::cpu::isa::Isa::detect();
        #(let #inputs = #reads;)*
        #(let #results: &mut [f32] = #writes;)*
        let workspace: &mut [f32] = #workspace;
        let sequence = runtime::cpu::rnn::Sequence {
            steps: #steps,
            batch: #batch,
            hidden: #hidden,
            reverse: false,
            lengths: #lengths,
            y_stride: #batch * #hidden,
        };
        #begin.and_then(|()| #call)
    }})
}

/// Parts of a layer's call.
struct Layer {
    lengths: TokenStream,
    begin: TokenStream,
    call: TokenStream,
}

/// `own` inputs are operands, the others packed weights.
fn layer(
    code: &RecurrentCode,
    hidden: &TokenStream,
    own: usize,
    inputs: &[Ident],
    results: &[Ident],
) -> Result<Layer, PrintError> {
    let missing = PrintError::Malformed("a recurrent layer with too few operands or results");
    let (operands, packed) = inputs.split_at_checked(own).ok_or(missing.clone())?;
    let mut rest = operands.iter();
    let mut next = |there: bool| match there {
        true => rest.next().map(Some).ok_or(missing.clone()),
        false => Ok(None),
    };
    let (pre, state) = (next(true)?, next(true)?);
    let cell = next(matches!(code.cell, CellCode::Lstm { .. }))?;
    let bias = next(matches!(code.cell, CellCode::Gru { bias: true, .. }))?;
    let lengths = option(next(code.lengths)?);
    let peepholes = option(next(matches!(code.cell, CellCode::Lstm { peepholes: true, .. }))?);
    let clip = match code.clip.map(|clip| float32(f32::from_bits(clip))) {
        Some(clip) => quote!(Some(#clip)),
        None => quote!(None),
    };
    let (begin, call) = match (code.cell, results, packed) {
        (CellCode::Lstm { input_forget, .. }, [h, c, y], [weights]) => {
            let options = quote! {
                runtime::cpu::lstm::LstmOptions {
                    peepholes: #peepholes,
                    clip: #clip,
                    input_forget: #input_forget,
                }
            };
            let call = quote! {
                runtime::cpu::lstm::lstm(
                    isa, &sequence, &#options, #pre, #weights, #h, #c, Some(#y), workspace, &mut run.crew
                )
            };
            (quote!(sequence.begin(#state, #h).and_then(|()| sequence.begin(#cell, #c))), call)
        }
        (CellCode::Gru { linear_before_reset, .. }, [h, y], [gates, last]) => {
            // Behind the biases of the inputs and the other gates.
            let bias = match bias {
                Some(bias) => quote!(#bias.get(5 * #hidden..)),
                None => quote!(None),
            };
            let options = quote! {
                runtime::cpu::gru::GruOptions {
                    clip: #clip,
                    linear_before_reset: #linear_before_reset,
                    recurrent_bias: #bias,
                }
            };
            let call = quote! {
                runtime::cpu::gru::gru(isa, &sequence, &#options, #pre, #gates, #last, #h, Some(#y), workspace)
            };
            (quote!(sequence.begin(#state, #h)), call)
        }
        (CellCode::Plain(function), [h, y], [weights]) => {
            let function = match function {
                PlainCell::Tanh => quote!(Tanh),
                PlainCell::Relu => quote!(Relu),
                PlainCell::Sigmoid => quote!(Sigmoid),
            };
            let function = quote!(runtime::cpu::rnn::Activation::#function);
            let call = quote! {
                runtime::cpu::rnn::rnn(isa, &sequence, #function, #clip, #pre, #weights, #h, Some(#y), workspace)
            };
            (quote!(sequence.begin(#state, #h)), call)
        }
        (CellCode::Lstm { .. } | CellCode::Gru { .. } | CellCode::Plain(_), _, _) => return Err(missing),
    };
    Ok(Layer { lengths, begin, call })
}

fn option(value: Option<&Ident>) -> TokenStream {
    match value {
        Some(value) => quote!(Some(#value)),
        None => quote!(None),
    }
}
