//! What the texts of the tests may name: a host operator, a region kind and a blob made for them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use graph::datum::Datum;
use graph::expr::BinOp;
use graph::host::{HostError, HostOp};
use graph::region::RegionKind;
use graph::tensor::{Hash, Tensor};
use graph::text::Registry;

/// Strings in upper case.
static UPPER: HostOp = HostOp {
    name: "test_upper",
    infer: |_, types, _| match types {
        [ty] => Ok((vec![ty.clone()], Vec::new())),
        _ => Err(HostError::Attr { name: "operands", expected: "one" }),
    },
    eval: |_, values| values.iter().map(upper).collect(),
    runtime: "",
};

/// An operand added to itself.
static TWICE: RegionKind = RegionKind {
    name: "test_twice",
    body: |b, _, operands| operands.iter().map(|v| b.binary(BinOp::Add, *v, *v)).collect(),
};

/// The product of two operands of one shape.
static SCALE: RegionKind = RegionKind {
    name: "test_scale",
    body: |b, _, operands| match operands {
        [x, w] => Ok(vec![b.binary(BinOp::Mul, *x, *w)?]),
        _ => Ok(Vec::new()),
    },
};

static HOST_OPS: &[&HostOp] = &[&UPPER];
static REGION_KINDS: &[&RegionKind] = &[&TWICE, &SCALE];

/// `f32[20]` of 0, 0.5, 1 …
static BLOBS: LazyLock<BTreeMap<Hash, Tensor>> = LazyLock::new(|| {
    let halves: Vec<f32> = (0..20u8).map(|v| f32::from(v) / 2.0).collect();
    let tensor = Tensor::from_f32s(&halves);
    BTreeMap::from([(tensor.hash(), tensor)])
});

/// The registry of all tests.
pub fn registry() -> Registry<'static> {
    Registry { host_ops: HOST_OPS, region_kinds: REGION_KINDS, blobs: &BLOBS, placeholders: false }
}

fn upper(value: &Datum) -> Result<Datum, HostError> {
    let failed = |what: String| HostError::Value { what };
    let tensor = value.as_tensor().ok_or_else(|| failed(value.describe()))?;
    let strings = tensor.strings().iter().map(|s| s.to_uppercase()).collect();
    let upper = Tensor::from_strings(tensor.shape().to_vec(), strings).map_err(|error| failed(error.to_string()))?;
    Ok(Datum::Tensor(upper))
}
