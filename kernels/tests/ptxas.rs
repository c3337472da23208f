//! Every family and variant goes through the verifier of `ptx` and, where it is at hand, through `ptxas`, for every target: no
//! errors, no spills. `ptxas` comes from the variable `PTXAS` or from the path; without it the tests say so and pass.

use std::path::PathBuf;
use std::process::Command;

use kernels::finish::{Finish, Stored};
use kernels::fragment::Input;
use kernels::image::Window;
use kernels::product::{Product, Side};
use kernels::{KernelError, TileKernel, depthwise, gemm, simt, split, wide};
use ptx::{Entry, Module, Sm};

fn ptxas() -> Option<PathBuf> {
    let named = std::env::var_os("PTXAS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        named.into_iter().chain(std::env::split_paths(&path).map(|dir| dir.join("ptxas"))).find(|p| p.is_file());
    if found.is_none() {
        println!("skipped: no ptxas; set PTXAS");
    }
    found
}

/// Verifies kernels for a target, then runs `ptxas` on all of them in one text.
fn check(sm: Sm, kernels: Vec<TileKernel>) {
    check_entries(sm, kernels.into_iter().map(|k| k.entry).collect());
}

fn check_entries(sm: Sm, entries: Vec<Entry>) {
    let mut module = Module::new(sm, entries);
    for (n, entry) in module.entries.iter_mut().enumerate() {
        entry.name = format!("{}_{n}", entry.name);
    }
    if let Err(problems) = ptx::verify(&module) {
        panic!("{sm}: {:?}", problems.iter().take(3).collect::<Vec<_>>());
    }
    let Some(ptxas) = ptxas() else { return };
    let name = std::thread::current().name().unwrap_or("kernels").replace("::", "_");
    let file = std::env::temp_dir().join(format!("kernels_{name}_{sm}_{}.ptx", std::process::id()));
    std::fs::write(&file, ptx::print(&module)).unwrap();
    let run = Command::new(ptxas)
        .args(["-v", "-arch", sm.name(), "-o", "/dev/null"])
        .arg(&file)
        .output()
        .expect("ptxas runs");
    std::fs::remove_file(&file).unwrap();
    let text = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{sm}: {text}");
    assert!(!text.contains("serialized"), "{sm}: products wait for each other: {text}");
    let spills: Vec<&str> =
        text.lines().filter(|l| l.contains("spill") && !l.contains(" 0 bytes spill stores")).collect();
    assert!(spills.is_empty(), "{sm}: {spills:?} in {text}");
}

fn side(crossed: bool, chunk: u32) -> Side {
    Side { crossed, chunk, weights: false }
}

fn product(input: Input, sizes: [Option<u32>; 2], sides: [Side; 2], dtype: Stored, vector: u32) -> Product {
    let [columns, depth] = sizes;
    let [a, b] = sides;
    Product { input, columns, depth, batch_dims: 0, a, b, finish: Finish::Store { dtype, vector }, window: None }
}

/// The kernels of all variants that the target has.
fn gemms(problem: &Product, sm: Sm) -> Vec<TileKernel> {
    let known = |v: &gemm::GemmVariant| match gemm::emit(problem, v, sm) {
        Ok(kernel) => Some(kernel),
        Err(KernelError::Target { .. }) => None,
        Err(e) => panic!("{e}"),
    };
    gemm::VARIANTS.iter().filter_map(known).collect()
}

fn gemm_targets(input: Input, sizes: [Option<u32>; 2], sides: [Side; 2], dtype: Stored, vector: u32) {
    for sm in Sm::ALL {
        if sm.number() >= input.least_sm() {
            check(sm, gemms(&product(input, sizes, sides, dtype, vector), sm));
        }
    }
}

#[test]
fn gemm_f16_of_weights() {
    gemm_targets(Input::F16, [Some(768), Some(768)], [side(false, 16); 2], Stored::F16, 8);
}

#[test]
fn gemm_bf16_with_arguments_for_sizes() {
    gemm_targets(Input::Bf16, [None, None], [side(false, 16), side(true, 16)], Stored::Bf16, 1);
}

#[test]
fn gemm_tf32_of_weights() {
    gemm_targets(Input::Tf32, [Some(1000), Some(200)], [side(false, 16); 2], Stored::F32, 4);
}

#[test]
fn warp_groups() {
    let sides = [side(false, 16); 2];
    let window = Window { channels: 64, kernel: [3, 3], strides: [1, 1], dilations: [1, 1], groups: 1 };
    let product = |input, dtype| product(input, [Some(256), Some(576)], sides, dtype, 8);
    let f16 = product(Input::F16, Stored::F16);
    let problems = [f16.clone(), Product { window: Some(window), ..f16 }, product(Input::Bf16, Stored::F32)];
    for problem in problems {
        let vector = if problem.input == Input::Bf16 { 4 } else { 8 };
        let problem = Product { finish: problem.finish.at_most(vector), ..problem };
        let variants = wide::VARIANTS.iter().flat_map(|v| [*v, wide::WideVariant { splits: 4, ..*v }]);
        check(Sm::Sm90a, variants.map(|v| wide::emit(&problem, &v, Sm::Sm90a).unwrap()).collect());
    }
}

#[test]
fn simt_on_every_target() {
    for sm in Sm::ALL {
        for (a, b) in [(side(false, 16), side(true, 16)), (side(true, 4), side(false, 4))] {
            let problem = product(Input::F32, [Some(1000), Some(200)], [a, b], Stored::F32, 4);
            check(sm, simt::VARIANTS.iter().map(|v| simt::emit(&problem, v, sm).unwrap()).collect());
        }
    }
}

#[test]
fn splits_are_added() {
    for sm in Sm::ALL {
        let problem = product(Input::F16, [Some(1000), None], [side(false, 16); 2], Stored::F16, 8);
        let batched = Product { batch_dims: 2, ..problem.clone() };
        check(sm, vec![split::emit(&problem, 4, sm).unwrap(), split::emit(&batched, 2, sm).unwrap()]);
    }
}

#[test]
fn depthwise_on_every_target() {
    let window = Window { channels: 96, kernel: [3, 3], strides: [1, 1], dilations: [1, 1], groups: 1 };
    let wide = Window { kernel: [7, 7], ..window };
    for sm in Sm::ALL {
        let mut entries = Vec::new();
        let inputs = [(Input::F16, Stored::F16), (Input::Bf16, Stored::Bf16), (Input::F32, Stored::F32)];
        for (input, dtype) in inputs.into_iter().filter(|(input, _)| input.least_sm() <= sm.number()) {
            // All variants on the first and on the main target, a few elsewhere.
            let step = if matches!(sm, Sm::Sm75 | Sm::Sm90a) { 1 } else { 5 };
            for v in depthwise::VARIANTS.iter().filter(|v| v.lanes * input.bytes() <= 16).step_by(step) {
                for window in [window, wide].into_iter().take(if input == Input::F16 { 2 } else { 1 }) {
                    let finish = Finish::Store { dtype, vector: v.lanes };
                    let problem = depthwise::Depthwise { input, columns: 96, multiplier: 1, window, finish };
                    match depthwise::emit(&problem, v, sm) {
                        Ok(kernel) => entries.push(kernel.entry),
                        Err(e) => assert!(e.to_string().contains("too long"), "{e}"),
                    }
                }
            }
        }
        check_entries(sm, entries);
    }
}

#[test]
fn attention_on_every_target() {
    use kernels::attention::{Attention, Mask, plain, tensor, wide};
    let of = |input, size, mask, causal| Attention {
        input,
        batch_dims: 2,
        depth: size,
        width: size,
        chunk: 16,
        scale: 0.125,
        mask,
        causal,
        zero_empty: causal,
        finish: Finish::Store { dtype: if input == Input::F32 { Stored::F32 } else { Stored::F16 }, vector: 4 },
    };
    for sm in Sm::ALL {
        let all = |problem: &Attention| -> Vec<TileKernel> {
            let of = |v| match problem.input {
                Input::F32 => plain::emit(problem, v, sm),
                _ if v.wide => wide::emit(problem, v, sm),
                _ => tensor::emit(problem, v, sm),
            };
            let variants = match (problem.input, sm) {
                (Input::F32, _) => plain::VARIANTS.to_vec(),
                (_, Sm::Sm90a) => [tensor::VARIANTS, wide::VARIANTS].concat(),
                _ => tensor::VARIANTS.to_vec(),
            };
            let known = |v| match of(v) {
                Ok(kernel) => Some(kernel),
                Err(KernelError::Variant { what: "staged registers" | "registers", .. }) => None,
                Err(e) => panic!("{e}"),
            };
            variants.iter().filter_map(known).collect()
        };
        check(sm, all(&of(Input::F32, 64, Some(Mask::F32), false)));
        check(sm, all(&of(Input::F32, 128, None, true)));
        if sm.number() >= 80 {
            check(sm, all(&of(Input::F16, 64, Some(Mask::F32), false)));
            check(sm, all(&of(Input::Bf16, 128, Some(Mask::Bool { fill: f32::NEG_INFINITY }), true)));
        }
    }
}

/// An LSTM's step over the loads of its gates.
fn lstm(input: Input, hidden: u32) -> kernels::recurrent::Recurrent {
    use graph::expr::{BinOp, Expr, Exprs, Leaves, UnOp};
    use kernels::recurrent::Leaf;
    let dtypes = [graph::dtype::DType::F32; 3];
    let (mut exprs, mut leaves) = (Exprs::default(), Vec::new());
    let mut add = |expr| exprs.add(expr, Leaves { operands: &dtypes, accs: &[] }).unwrap();
    let (row, unit) = (add(Expr::Index(0)), add(Expr::Index(1)));
    let mut load = |add: &mut dyn FnMut(Expr) -> graph::expr::ExprId, operand, gate: u32, leaf| {
        let start = add(Expr::Const(graph::scalar::Scalar::i64(i64::from(gate * hidden))));
        let at = add(Expr::Binary(BinOp::Add, unit, start));
        let id = add(Expr::Load { operand, index: vec![row, at], or: None });
        leaves.push((id, leaf));
        id
    };
    let mut gates = Vec::new();
    for gate in 0..4 {
        let (x, h) = (load(&mut add, 0, gate, Leaf::Input(gate)), load(&mut add, 1, gate, Leaf::Product(gate)));
        let sum = add(Expr::Binary(BinOp::Add, x, h));
        gates.push(add(Expr::Unary(if gate == 3 { UnOp::Tanh } else { UnOp::Sigmoid }, sum)));
    }
    let before = load(&mut add, 2, 0, Leaf::Before);
    let (kept, new) =
        (add(Expr::Binary(BinOp::Mul, gates[2], before)), add(Expr::Binary(BinOp::Mul, gates[0], gates[3])));
    let cell = add(Expr::Binary(BinOp::Add, kept, new));
    let bounded = add(Expr::Unary(UnOp::Tanh, cell));
    let state = add(Expr::Binary(BinOp::Mul, gates[1], bounded));
    let outs = vec![state, cell];
    kernels::recurrent::Recurrent {
        input,
        hidden,
        gates: 4,
        cell: true,
        extra: false,
        lengths: true,
        exprs,
        outs,
        leaves,
    }
}

#[test]
fn recurrent_layers_on_every_target() {
    use kernels::recurrent::{check as runs, emit, variants};
    for sm in Sm::ALL {
        for (input, hidden) in [(Input::F32, 128), (Input::F16, 256)] {
            let problem = lstm(input, hidden);
            let fitting = variants().into_iter().filter(|v| runs(&problem, v, sm).is_ok());
            check_entries(sm, fitting.map(|v| ptx::legalize(emit(&problem, &v, sm).unwrap().entry, sm)).collect());
        }
    }
}
