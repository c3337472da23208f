//! Every family and variant goes through the verifier of `ptx` and, where it is at hand, through `ptxas`, for every target: no
//! errors, no spills. `ptxas` comes from the variable `PTXAS` or from the path; without it the tests say so and pass.

use std::path::PathBuf;
use std::process::Command;

use kernels::finish::{Finish, Stored};
use kernels::fragment::Input;
use kernels::product::{Product, Side};
use kernels::{KernelError, TileKernel, gemm, simt, split};
use ptx::{Module, Sm};

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
    let mut module = Module::new(sm, kernels.into_iter().map(|k| k.entry).collect());
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
