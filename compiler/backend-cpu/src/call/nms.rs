//! The call of a suppression of boxes.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::{CallSite, offset, offset_mut};
use crate::code::NmsCode;
use crate::error::PrintError;

/// An expression of type `Result<(), KernelError>`.
pub(super) fn nms_call(site: &CallSite<'_>, code: NmsCode, sizes: &[TokenStream]) -> Result<TokenStream, PrintError> {
    let missing = PrintError::Malformed("a suppression of boxes with too few operands, results or sizes");
    let [batch, classes, count, steps] = sizes else { return Err(missing) };
    let reads = site.reads.iter().zip(&site.launch.reads);
    let reads: Vec<TokenStream> = reads.map(|(slice, view)| offset(view, site, slice.clone())).collect();
    let names: Vec<Ident> = (0..reads.len()).map(|k| format_ident!("x{k}")).collect();
    let (boxes, scores, threshold, floor) = match (names.as_slice(), code.floor) {
        ([boxes, scores, threshold], false) => (boxes, scores, threshold, quote!(None)),
        ([boxes, scores, threshold, floor], true) => (boxes, scores, threshold, quote!(Some(#floor))),
        _ => return Err(missing),
    };
    let writes = site.writes.iter().zip(&site.launch.writes);
    let writes: Vec<TokenStream> = writes.map(|(slice, view)| offset_mut(view, site, slice.clone())).collect();
    let ([best, valid], Some(workspace), centered) = (writes.as_slice(), &site.workspace, code.centered) else {
        return Err(missing);
    };
    Ok(quote! {{
        #(let #names: &[f32] = #reads;)*
        let best: &mut [i64] = #best;
        let valid: &mut [u8] = #valid;
        let workspace: &mut [f32] = #workspace;
        runtime::cpu::nms::limits(#threshold, #floor).and_then(|(threshold, floor)| {
            let nms = runtime::cpu::nms::Nms {
                batch: #batch,
                classes: #classes,
                count: #count,
                steps: #steps,
                centered: #centered,
                threshold,
                floor,
            };
            runtime::cpu::nms::nms(runtime::cpu::isa::Isa::detect(), &nms, #boxes, #scores, workspace, best, valid)
        })
    }})
}
