//! Loads, stores, atomics, asynchronous copies, addresses.

use super::{Builder, list};
use crate::form::{Form, Many};
use crate::inst::{Address, Operand, Param, Reg};
use crate::table::Op;
use crate::token::{Atomic, Fetch, LoadCache, Order, Space, StoreCache, Type, Vector};

impl Builder {
    /// A number among the parameters. Bytes, and integers of 16 bits, come extended to 32.
    pub fn ld_param(&mut self, ty: Type, param: Param) -> Reg {
        self.ld(Space::Param, ty, param)
    }

    pub fn ld(&mut self, space: Space, ty: Type, address: impl Into<Address>) -> Reg {
        self.value(load_form(space, ty, Vector::One), [Operand::Address(address.into())])
    }

    /// Two or four values at once, at an address divisible by their size.
    pub fn ld_vector(&mut self, space: Space, ty: Type, vector: Vector, address: impl Into<Address>) -> Vec<Reg> {
        self.values(load_form(space, ty, vector), [Operand::Address(address.into())])
    }

    /// A load from global memory with a say on caches. `Nc` only where nothing writes during the kernel.
    pub fn ld_cached(
        &mut self,
        cache: LoadCache,
        fetch: Fetch,
        ty: Type,
        vector: Vector,
        address: impl Into<Address>,
    ) -> Vec<Reg> {
        let op = if vector == Vector::V4 { Op::LdCachedV4 } else { Op::LdCached };
        let form = match cache {
            LoadCache::Default => load_form(Space::Global, ty, vector),
            _ => Form::new(op, (cache, fetch, vector, ty)),
        };
        self.values(form, [Operand::Address(address.into())])
    }

    /// A load that other threads' stores are ordered with.
    pub fn ld_ordered(&mut self, order: Order, space: Space, ty: Type, address: impl Into<Address>) -> Reg {
        self.value(Form::new(Op::LdOrdered, (order, space, Vector::One, ty)), [Operand::Address(address.into())])
    }

    pub fn st(&mut self, space: Space, ty: Type, address: impl Into<Address>, value: impl Into<Operand>) {
        self.emit(store_form(space, ty, Vector::One), [Operand::Address(address.into()), value.into()]);
    }

    pub fn st_vector(&mut self, space: Space, ty: Type, address: impl Into<Address>, values: &[Reg]) {
        let form = store_form(space, ty, Vector::of(values.len()).unwrap_or(Vector::V4));
        let values = list(form, Many::Slot(1), values);
        self.emit(form, [Operand::Address(address.into()), values]);
    }

    /// A store to global memory with a say on caches.
    pub fn st_cached(&mut self, cache: StoreCache, ty: Type, address: impl Into<Address>, values: &[Reg]) {
        let vector = Vector::of(values.len()).unwrap_or(Vector::V4);
        if cache == StoreCache::Default {
            return self.st_vector(Space::Global, ty, address, values);
        }
        let op = if vector == Vector::V4 { Op::StCachedV4 } else { Op::StCached };
        let form = Form::new(op, (cache, vector, ty));
        let values = list(form, Many::Slot(1), values);
        self.emit(form, [Operand::Address(address.into()), values]);
    }

    /// A store that other threads' loads are ordered with.
    pub fn st_ordered(
        &mut self,
        order: Order,
        space: Space,
        ty: Type,
        address: impl Into<Address>,
        value: impl Into<Operand>,
    ) {
        let form = Form::new(Op::StOrdered, (order, space, Vector::One, ty));
        self.emit(form, [Operand::Address(address.into()), value.into()]);
    }

    /// An atomic that yields the value before.
    pub fn atom(
        &mut self,
        order: Order,
        space: Space,
        op: Atomic,
        ty: Type,
        address: impl Into<Address>,
        value: impl Into<Operand>,
    ) -> Reg {
        let form = match (op, ty) {
            (Atomic::Add, Type::F16 | Type::F16x2) => Form::new(Op::AtomAddHalf, (order, space, ty)),
            (Atomic::Add, Type::Bf16 | Type::Bf16x2) => Form::new(Op::AtomAddBhalf, (order, space, ty)),
            (Atomic::Add, _) => Form::new(Op::Atom, (order, space, op, unsigned_64(ty))),
            (Atomic::Min | Atomic::Max, _) => Form::new(Op::AtomMinMax, (order, space, op, ty)),
            (Atomic::Inc | Atomic::Dec, _) => Form::new(Op::AtomCount, (order, space, op)),
            (Atomic::And | Atomic::Or | Atomic::Xor, _) => Form::new(Op::AtomLogic, (order, space, op, ty.untyped())),
        };
        self.value(form, [Operand::Address(address.into()), value.into()])
    }

    /// An atomic whose value before nobody needs.
    pub fn red(
        &mut self,
        order: Order,
        space: Space,
        op: Atomic,
        ty: Type,
        address: impl Into<Address>,
        value: impl Into<Operand>,
    ) {
        let form = match (op, ty) {
            (Atomic::Add, Type::F16 | Type::F16x2) => Form::new(Op::RedAddHalf, (order, space, ty)),
            (Atomic::Add, Type::Bf16 | Type::Bf16x2) => Form::new(Op::RedAddBhalf, (order, space, ty)),
            (Atomic::Add, _) => Form::new(Op::Red, (order, space, op, unsigned_64(ty))),
            (Atomic::And | Atomic::Or | Atomic::Xor, _) => Form::new(Op::RedLogic, (order, space, op, ty.untyped())),
            (Atomic::Min | Atomic::Max | Atomic::Inc | Atomic::Dec, _) => {
                Form::new(Op::RedMinMax, (order, space, op, ty))
            }
        };
        self.emit(form, [Operand::Address(address.into()), value.into()]);
    }

    pub fn atom_exch(
        &mut self,
        order: Order,
        space: Space,
        ty: Type,
        address: impl Into<Address>,
        value: impl Into<Operand>,
    ) -> Reg {
        let form = Form::new(Op::AtomExch, (order, space, ty.untyped()));
        self.value(form, [Operand::Address(address.into()), value.into()])
    }

    /// Stores `new` if what is there is `old`; yields what was there.
    pub fn atom_cas(
        &mut self,
        order: Order,
        space: Space,
        ty: Type,
        address: impl Into<Address>,
        old: impl Into<Operand>,
        new: impl Into<Operand>,
    ) -> Reg {
        let form = match ty.bits() {
            16 => Form::new(Op::AtomCas16, (order, space)),
            _ => Form::new(Op::AtomCas, (order, space, ty.untyped())),
        };
        self.value(form, [Operand::Address(address.into()), old.into(), new.into()])
    }

    /// Begins a copy of 4, 8 or 16 bytes from global to shared memory.
    pub fn cp_async(&mut self, fetch: Fetch, dst: impl Into<Address>, src: impl Into<Address>, bytes: u32) {
        let op = if bytes == 16 { Op::CpAsyncCg } else { Op::CpAsyncCa };
        let ends = [Operand::Address(dst.into()), Operand::Address(src.into()), bytes.into()];
        self.emit(Form::new(op, fetch), ends);
    }

    /// As `cp_async`, but only `read` bytes are read and the others become zero.
    pub fn cp_async_zfill(
        &mut self,
        fetch: Fetch,
        dst: impl Into<Address>,
        src: impl Into<Address>,
        bytes: u32,
        read: impl Into<Operand>,
    ) {
        let op = if bytes == 16 { Op::CpAsyncCgZfill } else { Op::CpAsyncCaZfill };
        let ends = [Operand::Address(dst.into()), Operand::Address(src.into()), bytes.into(), read.into()];
        self.emit(Form::new(op, fetch), ends);
    }

    pub fn cp_async_commit(&mut self) {
        self.emit(Form::new(Op::CpAsyncCommit, ()), []);
    }

    /// Waits until at most so many groups are still under way.
    pub fn cp_async_wait(&mut self, groups: u32) {
        self.emit(Form::new(Op::CpAsyncWait, ()), [groups.into()]);
    }

    /// The address of element `index` (u32) of `bytes` each, from a 64-bit base.
    pub fn element(&mut self, base: Reg, index: impl Into<Operand>, bytes: u32) -> Reg {
        self.mad_wide(Type::U32, index, bytes, base)
    }

    /// The address of element `index` (u32) of `bytes` each, from a 32-bit base (shared memory).
    pub fn element_shared(&mut self, base: impl Into<Operand>, index: impl Into<Operand>, bytes: u32) -> Reg {
        self.mad(Type::U32, index, bytes, base)
    }
}

fn load_form(space: Space, ty: Type, vector: Vector) -> Form {
    match (space, vector) {
        (Space::Cluster, Vector::V4) => Form::new(Op::LdClusterV4, (vector, in_memory(ty))),
        (Space::Cluster, _) => Form::new(Op::LdCluster, (vector, in_memory(ty))),
        (_, Vector::V4) => Form::new(Op::LdV4, (space, vector, in_memory(ty))),
        _ => Form::new(Op::Ld, (space, vector, in_memory(ty))),
    }
}

fn store_form(space: Space, ty: Type, vector: Vector) -> Form {
    match (space, vector) {
        (Space::Cluster, Vector::V4) => Form::new(Op::StClusterV4, (vector, in_memory(ty))),
        (Space::Cluster, _) => Form::new(Op::StCluster, (vector, in_memory(ty))),
        (_, Vector::V4) => Form::new(Op::StV4, (space, vector, in_memory(ty))),
        _ => Form::new(Op::St, (space, vector, in_memory(ty))),
    }
}

/// Halves and pairs move as bits.
const fn in_memory(ty: Type) -> Type {
    match ty {
        Type::F16
        | Type::Bf16
        | Type::F16x2
        | Type::Bf16x2
        | Type::Tf32
        | Type::E4m3
        | Type::E5m2
        | Type::E4m3x2
        | Type::E5m2x2 => ty.untyped(),
        _ => ty,
    }
}

/// Sums of 64 bits have the form without a sign only.
const fn unsigned_64(ty: Type) -> Type {
    match ty {
        Type::S64 | Type::B64 => Type::U64,
        _ => ty,
    }
}
