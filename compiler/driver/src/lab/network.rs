//! The network of a case: built with the graph builder, so that planning and lowering are those of any model.

use bytes::Bytes;
use graph::builder::{BuildError, Builder};
use graph::datum::Datum;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::{Model, ValueId};
use graph::node::Combiner;
use graph::region::attention::{Attention, KIND as ATTENTION};
use graph::region::contract::{Contract, KIND as CONTRACT, Maths, accumulator};
use graph::region::conv::Conv;
use graph::region::norm::Norm;
use graph::region::softmax::Softmax;
use graph::region::window::Window;
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use graph::ty::Type;

use crate::error::Error;
use crate::lab::jobs::{Case, Op};
use crate::samples::{fill, fill_wide};

/// A network with inputs, and the least work that it is.
#[derive(Clone, Debug)]
pub struct Network {
    pub model: Model,
    pub inputs: Vec<Datum>,
    /// Inputs, constants and outputs, each once; 0 for models.
    pub bytes: f64,
    /// Of products: two a multiply-add.
    pub flops: f64,
}

/// Builds the network of a case that is no model.
pub fn build(case: &Case) -> Result<Network, Error> {
    build_in(case, false)
}

/// The same network on the same values, but everything in f64.
pub fn build_wide(case: &Case) -> Result<Network, Error> {
    build_in(case, true)
}

fn build_in(case: &Case, wide: bool) -> Result<Network, Error> {
    let dtype = if case.dtype == "tf32" { Some(DType::F32) } else { DType::from_name(&case.dtype) };
    let Some(dtype) = dtype.filter(|d| d.is_float()) else {
        return Err(wrong(case, "dtypes", "a float dtype, or tf32", &case.dtype));
    };
    let maths = if case.dtype == "tf32" && !wide { Maths::Tf32 } else { Maths::Exact };
    let (data, dtype) = (dtype, if wide { DType::F64 } else { dtype });
    let mut net = Net { b: Builder::new("lab"), data, dtype, maths, inputs: Vec::new(), bytes: 0, flops: 0.0 };
    let out = net.op(case).map_err(|failure| match failure {
        Failure::Size(expected) => wrong(case, "sizes", expected, &format!("{:?}", case.size)),
        Failure::Build(error) => wrong(case, "job", "a network that can be built", &error.to_string()),
    })?;
    let (shape, of) = (net.shape(out), net.b.dtype(out).unwrap_or(dtype));
    net.bytes += Tensor::bytes_of(of, &shape).unwrap_or(0);
    net.b.output(out);
    let bytes = net.bytes as f64;
    Ok(Network { model: net.b.finish(), inputs: net.inputs, bytes, flops: net.flops })
}

fn wrong(case: &Case, what: &str, expected: &str, found: &str) -> Error {
    let (expected, found) = (expected.to_string(), found.to_string());
    Error::Option { what: format!("{}: {what}", case.name), expected, found }
}

enum Failure {
    /// What sizes were expected.
    Size(&'static str),
    Build(BuildError),
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Failure {
        Failure::Build(error)
    }
}

/// A network under construction.
struct Net {
    b: Builder,
    /// What values are rounded to, and what they are computed in.
    data: DType,
    dtype: DType,
    maths: Maths,
    inputs: Vec<Datum>,
    bytes: usize,
    flops: f64,
}

impl Net {
    fn op(&mut self, case: &Case) -> Result<ValueId, Failure> {
        let size: Vec<usize> = case.size.iter().filter_map(|s| usize::try_from(*s).ok()).collect();
        let last = size.len().saturating_sub(1);
        match (case.op, size.as_slice()) {
            (_, sizes) if sizes.len() != case.size.len() => Err(Failure::Size("numbers that are not negative")),
            (Op::Copy, [_, ..]) => Ok(self.input(&size)?),
            (Op::BiasRelu, [_, channels, ..]) => {
                let x = self.input(&size)?;
                let bias = self.constant(&[*channels])?;
                Ok(self.biased(x, bias, 1, true)?)
            }
            (Op::RowSum, [_, ..]) => {
                let x = self.input(&size)?;
                let wide = accumulator(self.dtype);
                let x = self.b.cast(x, wide)?;
                let sum = self.b.reduce(x, &[last], false, Combiner::Sum)?;
                Ok(self.b.cast(sum, self.dtype)?)
            }
            (Op::Softmax, [_, ..]) => {
                let x = self.input(&size)?;
                Ok(self.b.softmax(Softmax { axis: last, log: false }, x)?)
            }
            (Op::LayerNorm, [.., columns]) => {
                let x = self.input(&size)?;
                let (scale, shift) = (self.constant(&[*columns])?, self.constant(&[*columns])?);
                let stats = if self.dtype == DType::F64 { DType::F64 } else { DType::F32 };
                let norm = Norm { axes: vec![last], center: true, eps: Scalar::f32(1e-5), stats };
                let y = self.b.norm(&norm, x)?.value;
                Ok(self.b.map(&[y, scale, shift], |p, v| {
                    let y = p.mul(v[0], v[1]);
                    p.add(y, v[2])
                })?)
            }
            (Op::Transpose, [_, ..]) => {
                let x = self.input(&size)?;
                Ok(self.b.transpose(x, &case.job.perm)?)
            }
            (Op::Gather, [table, row, count]) => {
                let x = self.input(&[*table, *row])?;
                // Only rows that are taken are read.
                let (all, taken) = (table * row, (*table).min(*count) * row);
                self.bytes -= Tensor::bytes_of(self.dtype, &[all - taken]).unwrap_or(0);
                let indices = self.indices(*count, *table)?;
                Ok(self.b.gather(x, indices, 0)?)
            }
            (Op::Concat, [_, ..]) => {
                let count = case.job.parts.unwrap_or(2);
                let parts = (0..count).map(|_| self.input(&size)).collect::<Result<Vec<_>, _>>()?;
                Ok(self.b.concat(&parts, case.job.axis.unwrap_or(0))?)
            }
            (Op::Gemm, [m, n, k]) => self.gemm(case, &[], [*m, *n, *k]),
            (Op::Gemm, [batch, m, n, k]) => self.gemm(case, &[*batch], [*m, *n, *k]),
            (Op::Conv, [n, c, extent, filters, kernel, stride, pad, rest @ ..]) => {
                let groups = rest.first().copied().unwrap_or(1).max(1);
                self.conv(case, [*n, *c, *extent, *filters, *kernel], [*stride, *pad, groups])
            }
            (Op::Attention, [batch, heads, queries, keys, width]) => {
                let q = self.input(&[*batch, *heads, *queries, *width])?;
                let k = self.input(&[*batch, *heads, *keys, *width])?;
                let v = self.input(&[*batch, *heads, *keys, *width])?;
                self.flops = 4.0 * (batch * heads * queries * keys * width) as f64;
                self.attention(q, k, v)
            }
            (Op::Copy | Op::BiasRelu | Op::RowSum | Op::Softmax | Op::LayerNorm | Op::Transpose | Op::Concat, _) => {
                Err(Failure::Size("extents"))
            }
            (Op::Gather, _) => Err(Failure::Size("[table, row, indices]")),
            (Op::Gemm, _) => Err(Failure::Size("[m, n, k] or [batch, m, n, k]")),
            (Op::Conv, _) => Err(Failure::Size("[batch, channels, extent, filters, kernel, stride, pad] and groups")),
            (Op::Attention, _) => Err(Failure::Size("[batch, heads, queries, keys, size]")),
            (Op::Model, _) => Err(Failure::Size("none")),
        }
    }

    fn gemm(&mut self, case: &Case, batch: &[usize], [m, n, k]: [usize; 3]) -> Result<ValueId, Failure> {
        let with = |rest: [usize; 2]| [batch, &rest].concat();
        let a = self.input(&with([m, k]))?;
        let free = case.job.free_weights || !batch.is_empty();
        let b = if free { self.input(&with([k, n]))? } else { self.constant(&with([k, n]))? };
        self.flops = 2.0 * batch.iter().chain([&m, &n, &k]).map(|d| *d as f64).product::<f64>();
        let labels = if batch.is_empty() { "mk,kn->mn" } else { "bmk,bkn->bmn" };
        let contract = Contract { maths: self.maths, ..Contract::parse(labels, accumulator(self.dtype))? };
        let y = self.b.region_one(&CONTRACT, contract.to_attrs(), &[a, b])?;
        self.epilogue(case, y, batch.len() + 1)
    }

    fn conv(
        &mut self,
        case: &Case,
        [n, c, extent, filters, kernel]: [usize; 5],
        [stride, pad, groups]: [usize; 3],
    ) -> Result<ValueId, Failure> {
        // Data lie as kernels take them, channels last, so that no reformat at the border is timed.
        let x = self.input(&[n, extent, extent, c])?;
        let x = self.b.transpose(x, &[0, 3, 1, 2])?;
        let w = self.constant(&[filters, c / groups, kernel, kernel])?;
        let dims = |value: usize| vec![Dim::constant(value as i64); 2];
        let numbers = |value: usize| vec![value as i64; 2];
        let window = Window::fitting(
            &self.b.model().symbols,
            (&dims(extent), &dims(kernel)),
            (numbers(stride), numbers(1)),
            (dims(pad), dims(pad)),
        );
        let conv = Conv { window, groups: groups as i64, acc: accumulator(self.dtype), maths: self.maths };
        let y = self.b.conv(&conv, x, w)?;
        let outputs: usize = self.shape(y).iter().product();
        self.flops = 2.0 * outputs as f64 * (c / groups * kernel * kernel) as f64;
        let y = self.epilogue(case, y, 1)?;
        Ok(self.b.transpose(y, &[0, 2, 3, 1])?)
    }

    fn attention(&mut self, q: ValueId, k: ValueId, v: ValueId) -> Result<ValueId, Failure> {
        let attention = Attention { maths: self.maths, ..Attention::plain(accumulator(self.dtype)) };
        Ok(self.b.region_one(&ATTENTION, attention.to_attrs(), &[q, k, v])?)
    }

    /// What a job asks for behind a product, then the conversion to the operands' dtype.
    fn epilogue(&mut self, case: &Case, mut y: ValueId, channel: usize) -> Result<ValueId, Failure> {
        for word in &case.job.epilogue {
            let shape = self.shape(y);
            y = match word.as_str() {
                "bias" => {
                    let bias = self.constant(&[shape.get(channel).copied().unwrap_or(1)])?;
                    self.biased(y, bias, channel, false)?
                }
                "relu" => self.b.map(&[y], |p, v| {
                    let zero = p.zero(p.dtype(v[0]));
                    p.max(v[0], zero)
                })?,
                "gelu" => self.gelu(y)?,
                "residual" => {
                    let other = match (case.op, shape.as_slice()) {
                        (Op::Conv, [n, c, h, w]) => {
                            let other = self.input(&[*n, *h, *w, *c])?;
                            self.b.transpose(other, &[0, 3, 1, 2])?
                        }
                        _ => self.input(&shape)?,
                    };
                    self.b.map(&[y, other], |p, v| {
                        let other = p.cast(v[1], p.dtype(v[0]));
                        p.add(v[0], other)
                    })?
                }
                _ => return Err(Failure::Size("an epilogue of bias, relu, gelu, residual")),
            };
        }
        Ok(self.b.cast(y, self.dtype)?)
    }

    fn gelu(&mut self, y: ValueId) -> Result<ValueId, BuildError> {
        self.b.map(&[y], |p, v| {
            let dtype = p.dtype(v[0]);
            let (half, one) = (p.number(dtype, 0.5), p.number(dtype, 1.0));
            let root = p.number(dtype, std::f64::consts::FRAC_1_SQRT_2);
            let scaled = p.mul(v[0], root);
            let erf = p.unary(graph::expr::UnOp::Erf, scaled);
            let sum = p.add(erf, one);
            let share = p.mul(sum, half);
            p.mul(v[0], share)
        })
    }

    /// Adds a vector along a dim.
    fn biased(&mut self, y: ValueId, bias: ValueId, channel: usize, relu: bool) -> Result<ValueId, BuildError> {
        let (shape, dtype) = (self.b.shape(y)?, self.b.dtype(y)?);
        self.b.compute(&[y, bias], shape, |p| {
            let index = p.indices();
            let value = p.load(0, &index);
            let bias = p.load(1, index.get(channel..=channel).unwrap_or(&[]));
            let bias = p.cast(bias, dtype);
            let mut sum = p.add(value, bias);
            if relu {
                let zero = p.zero(dtype);
                sum = p.max(sum, zero);
            }
            p.out(sum);
        })
    }

    fn input(&mut self, shape: &[usize]) -> Result<ValueId, BuildError> {
        let seed = self.inputs.len() as u64;
        let tensor = random([self.data, self.dtype], shape, seed)?;
        Ok(self.given(tensor))
    }

    fn indices(&mut self, count: usize, below: usize) -> Result<ValueId, BuildError> {
        // A step that is prime to most extents, so that neighbours are far apart.
        let values: Vec<i64> = (0..count).map(|k| (k.wrapping_mul(40_503) % below.max(1)) as i64).collect();
        Ok(self.given(Tensor::from_i64s(&values)))
    }

    fn given(&mut self, tensor: Tensor) -> ValueId {
        let name = format!("x{}", self.inputs.len());
        let dims: Vec<Dim> = tensor.shape().iter().map(|d| Dim::constant(*d as i64)).collect();
        let value = self.b.input(&name, Type::tensor(tensor.dtype(), dims));
        self.bytes += tensor.bytes().len();
        self.inputs.push(Datum::Tensor(tensor));
        value
    }

    fn constant(&mut self, shape: &[usize]) -> Result<ValueId, BuildError> {
        let tensor = random([self.data, self.dtype], shape, 99)?;
        self.bytes += tensor.bytes().len();
        self.b.constant(tensor)
    }

    fn shape(&self, value: ValueId) -> Vec<usize> {
        let dims = self.b.shape(value).unwrap_or_default();
        dims.iter().map(|d| d.as_const().and_then(|d| usize::try_from(d).ok()).unwrap_or(0)).collect()
    }
}

/// Random elements of about unit variance, rounded to the first dtype; of the second, which is the first or f64.
fn random([data, dtype]: [DType; 2], shape: &[usize], seed: u64) -> Result<Tensor, BuildError> {
    let wrong = |found: String| BuildError::Attr {
        name: "sizes".to_string(),
        expected: "a tensor that memory can hold".to_string(),
        found,
    };
    let count = shape.iter().try_fold(1usize, |product, extent| product.checked_mul(*extent));
    let count = count.ok_or_else(|| wrong(format!("{shape:?}")))?;
    let bytes: Bytes = match data == dtype {
        true => fill(data, count, seed).into(),
        false => fill_wide(data, count, seed).into(),
    };
    Tensor::from_bytes(dtype, shape.to_vec(), bytes).map_err(|e| wrong(e.to_string()))
}
