//! What a family emits: an entry, what its parameters carry, and how many CTAs it takes.

use graph::dim::Dim;
use ptx::{Builder, Entry, ParamRole, Reg, Sm, Type};

use crate::val::Val;

/// A tensor of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tensor {
    Read(u32),
    Write(u32),
}

/// What a parameter carries. Sizes and strides are in elements.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// 8 bytes: the first element; of what an epilogue reads and writes, element 0 of its buffer.
    Pointer(Tensor),
    /// 8 bytes: scratch of [`TileKernel::workspace`] bytes.
    Workspace,
    /// 8 bytes: distance of neighbours along a batch dim.
    BatchStride(Tensor, u32),
    /// 8 bytes: distance of neighbours along the dim of a matrix that is not contiguous, below 2^32.
    Lead(Tensor),
    /// 4 bytes: rows of the result, where they are no code.
    Rows,
    /// 4 bytes: columns of the result, where they are no code.
    Columns,
    /// 4 bytes: terms of a sum, where they are no code.
    Depth,
    /// 4 bytes: extent of a batch dim other than the first.
    BatchExtent(u32),
    /// 8 bytes, multiplier and shift: the same.
    BatchDivisor(u32),
    /// 4 bytes: extent of the data of a convolution along a spatial dim.
    Extent(u32),
    /// 4 bytes: pixels of an image of the result.
    Pixels,
    /// 8 bytes, multiplier and shift: the same.
    PixelsDivisor,
    /// 4 bytes: width of the result of a convolution.
    ResultWidth,
    /// 8 bytes, multiplier and shift: the same.
    ResultWidthDivisor,
    /// 4 bytes: height of the result of a convolution.
    ResultHeight,
    /// 4 bytes: tiles of CTAs along a spatial dim of the result.
    Tiles(u32),
    /// 8 bytes, multiplier and shift: the same.
    TilesDivisor(u32),
    /// 4 bytes: padding before the data along a spatial dim.
    Pad(u32),
    /// 4 bytes: keys before the first query of an attention.
    Past,
    /// 4 bytes: number of rows that are reduced or normalised one by one.
    RowCount,
    /// 8 bytes: a size over the parameters of the epilogue.
    Size(Dim),
    /// 8 bytes, multiplier and shift: the same.
    SizeDivisor(Dim),
}

impl Role {
    pub const fn bytes(&self) -> u32 {
        match self {
            Role::Pointer(_)
            | Role::Workspace
            | Role::BatchStride(..)
            | Role::Lead(_)
            | Role::BatchDivisor(_)
            | Role::PixelsDivisor
            | Role::Size(_)
            | Role::SizeDivisor(_)
            | Role::TilesDivisor(_)
            | Role::ResultWidthDivisor => 8,
            Role::Rows
            | Role::Columns
            | Role::Depth
            | Role::BatchExtent(_)
            | Role::Extent(_)
            | Role::Pixels
            | Role::ResultWidth
            | Role::ResultHeight
            | Role::Tiles(_)
            | Role::Pad(_)
            | Role::Past
            | Role::RowCount => 4,
        }
    }
}

/// How CTAs cover a result of `rows` by `columns`, times a batch.
///
/// ```text
/// x = column tiles * group, y = row tiles / group, z = batch * splits      group = 2, order of CTAs:   0 2 4
///                                                                                                      1 3 5
/// ```
///
/// Neighbours in time share operands in the L2 cache; a CTA whose row tile does not exist ends at once, as do all of its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub tile_rows: u32,
    pub tile_columns: u32,
    pub group: u32,
    pub splits: u32,
    /// CTAs along z that are a cluster; 1 for none.
    pub cluster: u32,
}

impl Grid {
    /// The launch's extents; none where the result is empty.
    pub fn extents(&self, rows: u64, columns: u64, batch: u64) -> [u64; 3] {
        let (down, across) = (rows.div_ceil(self.tile_rows.into()), columns.div_ceil(self.tile_columns.into()));
        [across * u64::from(self.group), down.div_ceil(self.group.into()), batch * u64::from(self.splits)]
    }
}

/// A kernel of a family.
#[derive(Clone, Debug, PartialEq)]
pub struct TileKernel {
    pub entry: Entry,
    /// Of the entry's parameters, in order.
    pub roles: Vec<Role>,
    pub threads: u32,
    /// Bytes of shared memory, given at launch.
    pub shared: u32,
    pub grid: Grid,
}

/// Why a kernel cannot be emitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    #[error("{family}: {what} needs sm_{least} or later, the target is {sm}; choose another variant")]
    Target { family: &'static str, what: &'static str, least: u32, sm: Sm },
    #[error("{family}: {what} is {found}, but {rule}; choose another variant")]
    Variant { family: &'static str, what: &'static str, found: u32, rule: &'static str },
    #[error("an epilogue has {found} {what}, expected {expected}; leave it to a kernel of its own")]
    Epilogue { what: &'static str, found: usize, expected: usize },
    #[error(transparent)]
    Expression(#[from] ptx_expr::Error),
}

/// Parameters of a kernel under construction: each is declared where it is first asked for, at the top of the body.
#[derive(Debug, Default)]
pub struct Params {
    roles: Vec<Role>,
}

impl Params {
    /// A parameter, the next in order.
    pub fn declare(&mut self, b: &mut Builder, role: Role, kind: ParamRole) -> ptx::Param {
        let bytes = role.bytes();
        self.roles.push(role);
        b.param(bytes, bytes, kind)
    }

    /// A device pointer.
    pub fn pointer(&mut self, b: &mut Builder, role: Role, kind: ParamRole) -> Reg {
        let param = self.declare(b, role, kind);
        b.ld_param(Type::U64, param)
    }

    pub fn u64(&mut self, b: &mut Builder, role: Role) -> Reg {
        let param = self.declare(b, role, ParamRole::Scalar);
        b.ld_param(Type::U64, param)
    }

    pub fn u32(&mut self, b: &mut Builder, role: Role) -> Val {
        let param = self.declare(b, role, ParamRole::Scalar);
        b.ld_param(Type::U32, param).into()
    }

    /// The distance of a matrix's rows.
    pub fn lead(&mut self, b: &mut Builder, tensor: Tensor) -> Val {
        let wide = self.u64(b, Role::Lead(tensor));
        b.cvt(Type::U32, Type::U64, wide).into()
    }

    /// Multiplier and shift of a fast division.
    pub fn divisor(&mut self, b: &mut Builder, role: Role) -> (Reg, Reg) {
        let pair = self.u64(b, role);
        match b.unpack(pair).as_slice() {
            [multiplier, shift] => (*multiplier, *shift),
            _ => (pair, pair),
        }
    }

    pub fn finish(self) -> Vec<Role> {
        self.roles
    }
}

/// Quotient of `n` by a fast divisor.
pub fn divide(b: &mut Builder, n: Val, (multiplier, shift): (Reg, Reg)) -> Val {
    let n = n.reg(b);
    let sum = b.value(ptx::Form::new(ptx::Op::MadHi, Type::U32), [n.into(), multiplier.into(), n.into()]);
    b.shr(Type::U32, sum, shift).into()
}

/// Quotient and remainder by an extent that is a parameter.
pub fn divide_rem(b: &mut Builder, n: Val, extent: Val, divisor: (Reg, Reg)) -> (Val, Val) {
    let quotient = divide(b, n, divisor);
    let whole = quotient.mul(b, extent);
    (quotient, n.sub(b, whole))
}

/// Coordinates of a batch index along each batch dim, the first dim outermost.
pub fn batch_coordinates(b: &mut Builder, params: &mut Params, dims: u32, index: Val) -> Vec<Val> {
    let mut rest = index;
    let mut out = Vec::new();
    for d in (1..dims).rev() {
        let (extent, divisor) = (params.u32(b, Role::BatchExtent(d)), params.divisor(b, Role::BatchDivisor(d)));
        let (quotient, remainder) = divide_rem(b, rest, extent, divisor);
        out.push(remainder);
        rest = quotient;
    }
    if dims > 0 {
        out.push(rest);
    }
    out.reverse();
    out
}

/// Address of a tensor's first element for one batch index.
pub fn tensor_base(
    b: &mut Builder,
    params: &mut Params,
    tensor: Tensor,
    kind: ParamRole,
    coordinates: &[Val],
    bytes: u32,
) -> Reg {
    let pointer = params.pointer(b, Role::Pointer(tensor), kind);
    let mut address = pointer;
    for (d, at) in (0..).zip(coordinates) {
        let stride = params.u64(b, Role::BatchStride(tensor, d));
        let at = at.reg(b);
        let at = b.cvt(Type::U64, Type::U32, at);
        let elements = b.mul(Type::U64, at, stride);
        address = b.mad(Type::U64, elements, u64::from(bytes), address);
    }
    address
}
