//! Writes the launches of operators that no kernel family takes, as they are planned for static sizes, to be timed by
//! `bandwidth.py` on a machine that has a GPU and no Rust:
//!
//! ```text
//! cargo run --example bandwidth -- FOLDER     ─►  FOLDER/jobs.json, FOLDER/*.ptx
//! python bandwidth.py FOLDER                  ─►  a line a job: microseconds, GB/s, ratio to a device copy of the same bytes
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use backend_ptx::launch::Arg;
use graph::builder::Builder;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::UnOp;
use graph::graph::{Model, ValueId};
use graph::node::{Combiner, ScatterMode};
use graph::region::norm::Norm;
use graph::region::softmax::Softmax;
use graph::scalar::Scalar;
use graph::ty::Type;
use nest::abstraction::Constants;
use plan::plan::{Action, BufferId, Code, Launch, Place, Plan};
use ptx::Sm;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What a job builds: its inputs are made here, its outputs are yielded.
type Build<'a> = &'a dyn Fn(&mut Builder, DType) -> Outcome<Vec<ValueId>>;

struct Job<'a> {
    name: String,
    /// The function of the reference in `bandwidth.py`.
    reference: &'a str,
    dtypes: &'a [DType],
    build: Build<'a>,
}

fn tensor(b: &mut Builder, name: &str, dtype: DType, shape: &[i64]) -> ValueId {
    b.input(name, Type::tensor(dtype, shape.iter().copied().map(Dim::constant).collect::<Vec<_>>()))
}

const FLOATS: &[DType] = &[DType::F32, DType::F16];
const HALF: &[DType] = &[DType::F16];
const SINGLE: &[DType] = &[DType::F32];

fn job<'a>(name: &str, reference: &'a str, dtypes: &'a [DType], build: Build<'a>) -> Job<'a> {
    Job { name: name.to_string(), reference, dtypes, build }
}

/// Sizes per dtype so that a tensor has 256 MB.
fn wide(dtype: DType) -> i64 {
    32 / i64::from(dtype.bits())
}

fn jobs(visit: &mut dyn FnMut(&Job<'_>) -> Outcome<()>) -> Outcome<()> {
    visit(&job("bias_relu", "bias_relu", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[320 * wide(d), 64, 56, 56]);
        let bias = tensor(b, "bias", d, &[64, 1, 1]);
        let zero = move |p: &mut graph::builder::Point<'_>| p.zero(d);
        Ok(vec![b.map(&[x, bias], |p, v| {
            let (sum, zero) = (p.add(v[0], v[1]), zero(p));
            p.max(sum, zero)
        })?])
    }))?;
    visit(&job("gelu", "gelu", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[8192 * wide(d), 8192]);
        Ok(vec![b.map(&[x], |p, v| {
            let wide = DType::F32;
            let (half, root, one) =
                (p.number(wide, 0.5), p.number(wide, std::f64::consts::FRAC_1_SQRT_2), p.number(wide, 1.0));
            let x = if d == wide { v[0] } else { p.cast(v[0], wide) };
            let scaled = p.mul(x, root);
            let erf = p.unary(UnOp::Erf, scaled);
            let sum = p.add(erf, one);
            let product = p.mul(x, sum);
            let value = p.mul(product, half);
            if d == wide { value } else { p.cast(value, d) }
        })?])
    }))?;
    visit(&job("add", "add", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[4096 * wide(d), 8192]);
        let y = tensor(b, "y", d, &[4096 * wide(d), 8192]);
        Ok(vec![b.map(&[x, y], |p, v| p.add(v[0], v[1]))?])
    }))?;
    visit(&job("cast_f16", "cast_f16", SINGLE, &|b, d| {
        let x = tensor(b, "x", d, &[8192, 8192]);
        Ok(vec![b.cast(x, DType::F16)?])
    }))?;
    for (rows, columns) in [(4096, 4096), (16384, 4096), (64, 1 << 20), (65536, 1024), (1 << 20, 64)] {
        visit(&job(&format!("sum_{rows}x{columns}"), "row_sum", FLOATS, &move |b, d| {
            let x = tensor(b, "x", d, &[rows * wide(d), columns]);
            Ok(vec![b.reduce(x, &[1], false, Combiner::Sum)?])
        }))?;
    }
    visit(&job("max_16384x4096", "row_max", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[16384 * wide(d), 4096]);
        Ok(vec![b.reduce(x, &[1], false, Combiner::Max)?])
    }))?;
    visit(&job("argmax_16384x4096", "row_argmax", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[16384 * wide(d), 4096]);
        Ok(vec![b.reduce(x, &[1], false, Combiner::ArgMax { last: false })?])
    }))?;
    visit(&job("column_sum_16384x4096", "column_sum", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[16384 * wide(d), 4096]);
        Ok(vec![b.reduce(x, &[0], false, Combiner::Sum)?])
    }))?;
    visit(&job("pool_sum_2048x7x7", "pool_sum", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[640 * wide(d), 2048, 7, 7]);
        Ok(vec![b.reduce(x, &[2, 3], true, Combiner::Sum)?])
    }))?;
    visit(&job("pool_mean_7x7x2048", "pool_nhwc", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[640 * wide(d), 7, 7, 2048]);
        Ok(vec![b.reduce(x, &[1, 2], true, Combiner::Sum)?])
    }))?;
    visit(&job("max_pool_nhwc", "max_pool_nhwc", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[80 * wide(d), 112, 112, 64]);
        Ok(vec![max_pool(b, x, d)?])
    }))?;
    for columns in [128, 1024, 4096, 30000] {
        visit(&job(&format!("softmax_{columns}"), "softmax", FLOATS, &move |b, d| {
            let x = tensor(b, "x", d, &[(1 << 26) / columns * wide(d), columns]);
            Ok(vec![b.softmax(Softmax { axis: 1, log: false }, x)?])
        }))?;
    }
    for columns in [768, 1024, 4096] {
        visit(&job(&format!("layer_norm_{columns}"), "layer_norm", FLOATS, &move |b, d| {
            let x = tensor(b, "x", d, &[(1 << 26) / columns * wide(d), columns]);
            let scale = tensor(b, "scale", d, &[columns]);
            let bias = tensor(b, "bias", d, &[columns]);
            let norm = Norm { axes: vec![1], center: true, eps: Scalar::f32(1e-5), stats: DType::F32 };
            let normed = b.norm(&norm, x)?;
            Ok(vec![b.map(&[normed.value, scale, bias], |p, v| {
                let scaled = p.mul(v[0], v[1]);
                p.add(scaled, v[2])
            })?])
        }))?;
    }
    visit(&job("transpose_64x512x3136", "transpose_12", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[40 * wide(d), 512, 3136]);
        Ok(vec![b.transpose(x, &[0, 2, 1])?])
    }))?;
    visit(&job("transpose_8192x8192", "transpose_01", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[8192 * wide(d), 8192]);
        Ok(vec![b.transpose(x, &[1, 0])?])
    }))?;
    visit(&job("nhwc_to_nchw_56x56x64", "to_nchw", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[320 * wide(d), 56, 56, 64]);
        Ok(vec![b.transpose(x, &[0, 3, 1, 2])?])
    }))?;
    visit(&job("nchw_to_nhwc_64x56x56", "to_nhwc", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[320 * wide(d), 64, 56, 56]);
        Ok(vec![b.transpose(x, &[0, 2, 3, 1])?])
    }))?;
    visit(&job("nchw_to_nhwc_bias_256x7x7", "to_nhwc_bias", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[5120 * wide(d), 256, 7, 7]);
        let bias = tensor(b, "bias", d, &[256]);
        let moved = b.transpose(x, &[0, 2, 3, 1])?;
        Ok(vec![b.map(&[moved, bias], |p, v| p.add(v[0], v[1]))?])
    }))?;
    visit(&job("heads_0213", "heads", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[680 * wide(d), 128, 12, 64]);
        Ok(vec![b.transpose(x, &[0, 2, 1, 3])?])
    }))?;
    visit(&job("gather_30522x768", "gather", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[30522, 768]);
        let ids = tensor(b, "ids", DType::I64, &[81920 * wide(d)]);
        Ok(vec![b.gather(x, ids, 0)?])
    }))?;
    visit(&job("concat_4", "concat_1", FLOATS, &|b, d| {
        let parts: Vec<ValueId> = [64, 128, 64, 256]
            .iter()
            .enumerate()
            .map(|(k, c)| tensor(b, &format!("x{k}"), d, &[40 * wide(d), *c, 56, 56]))
            .collect();
        Ok(vec![b.concat(&parts, 1)?])
    }))?;
    visit(&job("concat_last", "concat_1", FLOATS, &|b, d| {
        let parts: Vec<ValueId> = [64, 96, 96]
            .iter()
            .enumerate()
            .map(|(k, c)| tensor(b, &format!("x{k}"), d, &[262_144 * wide(d), *c]))
            .collect();
        Ok(vec![b.concat(&parts, 1)?])
    }))?;
    visit(&job("sort_1m", "sort", SINGLE, &|b, d| {
        let x = tensor(b, "x", d, &[1 << 20]);
        Ok(b.sort(&[x], 0, false, None)?)
    }))?;
    visit(&job("top100_of_1m", "top", SINGLE, &|b, d| {
        let x = tensor(b, "x", d, &[1 << 20]);
        Ok(b.sort(&[x], 0, true, Some(Dim::constant(100)))?)
    }))?;
    visit(&job("top5_of_64x1000", "top", FLOATS, &|b, d| {
        let x = tensor(b, "x", d, &[64, 1000]);
        Ok(b.sort(&[x], 1, true, Some(Dim::constant(5)))?)
    }))?;
    visit(&job("compact_16m", "compact", SINGLE, &|b, _| {
        let mask = tensor(b, "mask", DType::Bool, &[1 << 24]);
        let (positions, count) = b.compact(mask, Dim::constant(1 << 24))?;
        Ok(vec![positions, count])
    }))?;
    visit(&job("prefix_1m", "prefix", SINGLE, &|b, d| {
        let x = tensor(b, "x", d, &[1 << 20]);
        Ok(vec![b.prefix(x, 0, Combiner::Sum, false, false)?])
    }))?;
    visit(&job("scatter_add_rows", "scatter_add", FLOATS, &|b, d| {
        let base = tensor(b, "base", d, &[30522, 768]);
        let ids = tensor(b, "ids", DType::I64, &[16384]);
        let updates = tensor(b, "updates", d, &[16384, 768]);
        let domain = [16384, 768].map(Dim::constant).to_vec();
        Ok(vec![b.scatter(&[base, ids, updates], domain, ScatterMode::Combine(Combiner::Sum), |p| {
            let (row, column) = (p.index(0), p.index(1));
            let target = p.load(1, &[row]);
            (vec![target, column], p.load(2, &[row, column]))
        })?])
    }))?;
    visit(&job("channel_shuffle", "shuffle", HALF, &|b, d| {
        let x = tensor(b, "x", d, &[640, 2, 32, 56, 56]);
        Ok(vec![b.transpose(x, &[0, 2, 1, 3, 4])?])
    }))
}

/// Windows of 3 by 3 with stride 2 and padding 1.
fn max_pool(b: &mut Builder, x: ValueId, dtype: DType) -> Outcome<ValueId> {
    let shape = b.shape(x)?;
    let half = |d: usize| shape.get(d).and_then(Dim::as_const).map(|e| Dim::constant(e / 2)).unwrap_or_default();
    let to = vec![shape[0].clone(), half(1), half(2), shape[3].clone()];
    Ok(b.compute(&[x], to, |p| {
        let (two, one) = (p.int(2), p.int(1));
        let mut index = p.indices();
        for d in [1, 2] {
            let step = p.reduce(&Dim::constant(3));
            let start = p.mul(index[d], two);
            let at = p.add(start, step);
            index[d] = p.sub(at, one);
        }
        let least = p.number(dtype, f64::NEG_INFINITY);
        let value = p.load_or(0, &index, least);
        let best = p.acc(Combiner::Max, value);
        p.out(best);
    })?)
}

fn constant(dim: &Dim) -> Outcome<i64> {
    dim.as_const().ok_or_else(|| format!("{dim:?} is not known").into())
}

/// Modules by text, so that equal ones are one file.
#[derive(Default)]
struct Files(BTreeMap<String, String>);

fn write_job(out: &mut String, folder: &Path, files: &mut Files, job: &Job<'_>, dtype: DType) -> Outcome<()> {
    let mut b = Builder::new("job");
    let outputs = (job.build)(&mut b, dtype)?;
    outputs.iter().for_each(|o| b.output(*o));
    let model: Model = b.finish();
    let workspace = |kernel: &nest::kernel::Kernel| backend_ptx::workspace(kernel);
    let target = plan::Target { claimants: &[], workspace: &workspace, constants: Constants::Code, tuning: None };
    let plan: Plan<()> = plan::plan_model(&model, &target)?;
    let mut buffers = Vec::new();
    for buffer in &plan.buffers {
        let place = match buffer.place {
            Place::Input(k) => format!("input {k}"),
            Place::Output(k) => format!("output {k}"),
            _ => "arena".to_string(),
        };
        let bytes = (constant(&buffer.elements)? * i64::from(buffer.dtype.bits())).div_euclid(8).max(16);
        buffers.push(format!("{{\"place\":\"{place}\",\"bytes\":{bytes}}}"));
    }
    let mut launches = Vec::new();
    for step in &plan.body.steps {
        let Action::Launch(launch) = &step.action else { return Err("a step that is no launch".into()) };
        write_launches(&mut launches, folder, files, &plan, launch, &format!("{}_{dtype}", job.name))?;
    }
    let border = |borders: &[plan::plan::Border]| {
        let texts = borders.iter().map(|border| {
            let tensor = border.ty.as_tensor();
            let shape: Vec<String> =
                tensor.iter().flat_map(|t| &t.shape).filter_map(Dim::as_const).map(|d| d.to_string()).collect();
            let dtype = tensor.map(|t| t.dtype.to_string()).unwrap_or_default();
            format!("{{\"dtype\":\"{dtype}\",\"shape\":[{}]}}", shape.join(","))
        });
        texts.collect::<Vec<_>>().join(",")
    };
    writeln!(
        out,
        "{{\"name\":\"{}\",\"dtype\":\"{dtype}\",\"reference\":\"{}\",\"inputs\":[{}],\"outputs\":[{}],\n  \"buffers\":[{}],\n  \"launches\":[\n    {}]}},",
        job.name,
        job.reference,
        border(&plan.inputs),
        border(&plan.outputs),
        buffers.join(","),
        launches.join(",\n    ")
    )?;
    Ok(())
}

fn write_launches(
    out: &mut Vec<String>,
    folder: &Path,
    files: &mut Files,
    plan: &Plan<()>,
    launch: &Launch,
    name: &str,
) -> Outcome<()> {
    let Some(Code::Kernel(kernel)) = plan.codes.get(launch.code.0 as usize) else {
        return Err("a launch of no kernel".into());
    };
    let sizes = launch.sizes.iter().map(constant).collect::<Outcome<Vec<i64>>>()?;
    let size = |dim: &Dim| dim.eval(&|id| sizes.get(id.0 as usize).copied()).ok_or("a size that is not known");
    let number = |id: Option<BufferId>| id.map(|b| b.0).ok_or("an argument without a buffer");
    for gpu in backend_ptx::compile(kernel, Sm::Sm90a)?.launches {
        let grid = gpu.grid.iter().map(size).collect::<Result<Vec<_>, _>>()?;
        if grid.contains(&0) {
            continue;
        }
        let text = ptx::print(&gpu.module);
        let next = format!("{name}_{}_{}.ptx", files.0.len(), gpu.entry);
        let file = files.0.entry(text.clone()).or_insert(next).clone();
        std::fs::write(folder.join(&file), text)?;
        let mut args = Vec::new();
        for arg in &gpu.args {
            args.push(match arg {
                Arg::Read(k) => format!("{{\"buffer\":{}}}", number(launch.reads.get(*k).map(|v| v.buffer))?),
                Arg::Write(k) => format!("{{\"buffer\":{}}}", number(launch.writes.get(*k).map(|v| v.buffer))?),
                Arg::Workspace { offset } => {
                    let buffer = number(launch.workspace.as_ref().map(|v| v.buffer))?;
                    format!("{{\"buffer\":{buffer},\"offset\":{}}}", size(offset)?)
                }
                Arg::Size64(d) => format!("{{\"value\":{},\"bytes\":8}}", size(d)?),
                Arg::Size32(d) => format!("{{\"value\":{},\"bytes\":4}}", size(d)?),
                Arg::Divisor(d) => {
                    let (multiplier, shift) = backend_ptx::launch::divisor(size(d)?).ok_or("a divisor of nothing")?;
                    format!("{{\"value\":{},\"bytes\":8}}", u64::from(multiplier) | u64::from(shift) << 32)
                }
            });
        }
        out.push(format!(
            "{{\"file\":\"{file}\",\"entry\":\"{}\",\"grid\":{grid:?},\"block\":{:?},\"shared\":{},\"args\":[{}]}}",
            gpu.entry,
            gpu.block,
            size(&gpu.dynamic_shared)?,
            args.join(",")
        ));
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("a folder to write to")?);
    let only = arguments.next().unwrap_or_default();
    std::fs::create_dir_all(&folder)?;
    let (mut out, mut files) = (String::from("[\n"), Files::default());
    jobs(&mut |job| {
        for dtype in job.dtypes.iter().filter(|_| job.name.contains(&only)) {
            write_job(&mut out, &folder, &mut files, job, *dtype).map_err(|e| format!("{} {dtype}: {e}", job.name))?;
        }
        Ok(())
    })?;
    let text = format!("{}\n]\n", out.trim_end().trim_end_matches(','));
    Ok(std::fs::write(folder.join("jobs.json"), text)?)
}
