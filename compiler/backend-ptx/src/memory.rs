//! Elements in memory: loads and stores of one element or of a run, of every dtype, global or shared.
//!
//! A run is moved in accesses of up to 16 bytes. Elements below 8 bits lie packed in global memory, low bits first; a single
//! one is stored by two atomics on the word around it, so that neighbours may be stored by others at the same time.

use graph::dtype::DType;
use ptx::{Address, Atomic, Form, LoadCache, Op, Order, Space, Type, Vector};
use ptx_expr::{BitOp, Int, IntOp, Value, Width, memory, within};

use crate::error::PtxError;
use crate::index::Ix;
use crate::writer::{V, Writer};

/// Where elements lie.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    pub space: Space,
    /// Address of element 0: 64 bits for global memory, 32 for shared.
    pub base: V,
    pub dtype: DType,
    /// Elements below 8 bits take a byte each.
    pub unpacked: bool,
    /// Nothing writes there while the kernel runs.
    pub constant: bool,
    /// Values to be stored are rounded as by a cast that saturates.
    pub saturate: bool,
}

impl Region {
    /// Bits from one element to the next.
    fn pitch(&self) -> u32 {
        if self.unpacked { self.dtype.bits().max(8) } else { self.dtype.bits() }
    }
}

/// Bytes of an element where each has bytes of its own.
pub fn unpacked_bytes(dtype: DType) -> u32 {
    dtype.bits().div_ceil(8).max(1)
}

impl Writer {
    /// The address of the byte that element `at` begins in.
    fn byte_address(&mut self, region: &Region, ix: Ix, at: V) -> V {
        let pitch = region.pitch();
        let (at, pitch) = if pitch < 8 {
            let shift = self.m.u32((8 / pitch).trailing_zeros());
            (self.m.int2(IntOp::Shr, ix.int(), at, shift), 8)
        } else {
            (at, pitch)
        };
        let bytes = i64::from(pitch / 8);
        match region.space {
            Space::Shared => {
                let at = if ix == Ix::Wide { self.low(at) } else { at };
                let bytes = self.m.u32(bytes as u32);
                self.ix_mad(Ix::Narrow, at, bytes, region.base)
            }
            _ => self.global_address(region.base, ix, at, bytes),
        }
    }

    /// `base + at * bytes`.
    pub fn global_address(&mut self, base: V, ix: Ix, at: V, bytes: i64) -> V {
        match (ix, self.m.known(at)) {
            (_, Some(0)) => base,
            (Ix::Wide, _) | (Ix::Narrow, Some(_)) => {
                let at = self.ix_to64(ix, at);
                let bytes = self.m.i64(bytes);
                self.ix_mad(Ix::Wide, at, bytes, base)
            }
            (Ix::Narrow, None) => {
                let (at, base) = (self.reg(at, Type::U32), self.reg(base, Type::U64));
                let sum = self.b().mad_wide(Type::U32, at, bytes as u32, base);
                self.value_of(sum)
            }
        }
    }

    /// Bits from memory, zero-extended to 32 or 64, where `guard` holds; zeros where not.
    fn load_bits(&mut self, region: &Region, bits: u32, address: V, guard: Option<V>) -> V {
        let ty = match bits {
            64 => Type::B64,
            32 => Type::B32,
            16 => Type::U16,
            _ => Type::U8,
        };
        let address = self.address(address);
        let Some(guard) = guard else {
            let value = if region.constant && region.space == Space::Global {
                let cache = self.read_cache();
                self.b().ld_cached(cache, ptx::Fetch::Default, ty, Vector::One, address)
            } else {
                vec![self.b().ld(region.space, ty, address)]
            };
            return match value.first() {
                Some(reg) => self.value_of(*reg),
                None => self.m.u32(0),
            };
        };
        let start = if bits == 64 { self.m.u64(0) } else { self.m.u32(0) };
        let var = self.var(if bits == 64 { Width::B64 } else { Width::B32 }, start);
        let (pred, dst) = (self.pred(guard), self.reg(var, ty));
        let form = Form::new(Op::Ld, (region.space, Vector::One, ty));
        self.b().guarded(pred, |b| b.emit(form, [dst.into(), ptx::Operand::Address(address)]));
        var
    }

    /// One element in working form.
    pub fn load(&mut self, region: &Region, ix: Ix, at: V, guard: Option<V>) -> Result<V, PtxError> {
        let address = self.byte_address(region, ix, at);
        let pitch = region.pitch();
        let raw = self.load_bits(region, pitch.max(8), address, guard);
        let raw = if pitch < 8 { self.pick_packed(ix, at, pitch, raw) } else { raw };
        self.from_bits(region.dtype, raw)
    }

    /// The bits of packed element `at` out of its byte.
    fn pick_packed(&mut self, ix: Ix, at: V, bits: u32, byte: V) -> V {
        let at = if ix == Ix::Wide { self.low(at) } else { at };
        let mask = self.m.u32(8 / bits - 1);
        let within = self.m.and(Width::B32, at, mask);
        let scale = self.m.u32(bits.trailing_zeros());
        let shift = self.m.int2(IntOp::Shl, Int::U32, within, scale);
        let down = self.m.int2(IntOp::Shr, Int::U32, byte, shift);
        let mask = self.m.u32((1 << bits) - 1);
        self.m.and(Width::B32, down, mask)
    }

    /// `count` elements that follow each other, aligned to the accesses that move them.
    pub fn load_run(
        &mut self,
        region: &Region,
        ix: Ix,
        at: V,
        count: u32,
        guard: Option<V>,
    ) -> Result<Vec<V>, PtxError> {
        if count == 1 {
            return Ok(vec![self.load(region, ix, at, guard)?]);
        }
        let address = self.byte_address(region, ix, at);
        let pitch = region.pitch();
        let words = self.load_words(region, address, pitch * count, guard);
        if pitch == 16 {
            let mut out = Vec::with_capacity(count as usize);
            for word in words {
                out.extend(self.halves(region.dtype, word)?);
            }
            return Ok(out);
        }
        let mut out = Vec::with_capacity(count as usize);
        for k in 0..count {
            let raw = if pitch == 64 {
                words.get(k as usize).copied()
            } else {
                let bit = k * pitch;
                words.get((bit / 32) as usize).copied().map(|word| self.pick(word, bit % 32, pitch))
            };
            let raw = raw.ok_or(PtxError::Malformed("a run longer than its words"))?;
            out.push(self.from_bits(region.dtype, raw)?);
        }
        Ok(out)
    }

    /// The two elements of a word; what they are of is known to [`Writer::pair`].
    fn halves(&mut self, dtype: DType, word: V) -> Result<[V; 2], PtxError> {
        let out = if dtype == DType::F16 {
            let word = self.reg(word, Type::B32);
            let halves = self.b().values(Form::new(Op::Unpack16, ()), [word.into()]);
            let [low, high] = halves.as_slice() else { return Err(PtxError::Malformed("a word without halves")) };
            [*low, *high].map(|half| Value::Reg(self.b().cvt(Type::F32, Type::F16, half)))
        } else if dtype == DType::BF16 {
            let (shift, mask) = (self.m.u32(16), self.m.u32(0xFFFF_0000));
            [self.m.int2(IntOp::Shl, Int::U32, word, shift), self.m.and(Width::B32, word, mask)]
        } else {
            let (low, high) = (self.pick(word, 0, 16), self.pick(word, 16, 16));
            [self.from_bits(dtype, low)?, self.from_bits(dtype, high)?]
        };
        for (value, high) in out.into_iter().zip([false, true]) {
            self.halves.insert(value, (dtype, word, high));
        }
        Ok(out)
    }

    /// Two elements of 16 bits as a word: the one that both came from, if they did.
    fn pair(&mut self, region: &Region, low: V, high: V) -> Result<V, PtxError> {
        let dtype = region.dtype;
        let (first, second) = (self.halves.get(&low).copied(), self.halves.get(&high).copied());
        if let (Some((from, a, upper_a)), Some((also, b, upper_b))) = (first, second)
            && from == dtype
            && also == dtype
        {
            if a == b && !upper_a && upper_b {
                return Ok(a);
            }
            // Bytes of `a` are 0 to 3, those of `b` 4 to 7.
            let bytes = if upper_a { 0x32 } else { 0x10 } | if upper_b { 0x7600 } else { 0x5400 };
            let (a, b) = (self.reg(a, Type::B32), self.reg(b, Type::B32));
            let word = self.b().value(Form::new(Op::Prmt, ()), [a.into(), b.into(), ptx::Operand::Imm(bytes)]);
            return Ok(self.value_of(word));
        }
        if let Some(word) = memory::narrow_pair(&mut self.m.machine(), dtype, region.saturate, &[low, high]) {
            return Ok(word);
        }
        let (low, high) = (self.stored_bits(region, low)?, self.stored_bits(region, high)?);
        let (low, high) = (self.reg(low, Type::B32), self.reg(high, Type::B32));
        let word = self.b().value(Form::new(Op::Prmt, ()), [low.into(), high.into(), ptx::Operand::Imm(0x5410)]);
        Ok(self.value_of(word))
    }

    /// The bits that a value is stored as.
    fn stored_bits(&mut self, region: &Region, value: V) -> Result<V, PtxError> {
        let value = if region.saturate { within(&mut self.m.machine(), region.dtype, value) } else { value };
        self.to_bits(region.dtype, value)
    }

    /// Bits of a word from a known place on.
    fn pick(&mut self, word: V, from: u32, bits: u32) -> V {
        if bits == 32 {
            return word;
        }
        let shift = self.m.u32(from);
        let down = if from == 0 { word } else { self.m.int2(IntOp::Shr, Int::U32, word, shift) };
        if from + bits == 32 {
            return down;
        }
        let mask = self.m.u32((1 << bits) - 1);
        self.m.and(Width::B32, down, mask)
    }

    /// Memory of so many bits: words of 64 bits if the elements have these, else of 32 (the last may be shorter).
    fn load_words(&mut self, region: &Region, address: V, bits: u32, guard: Option<V>) -> Vec<V> {
        let (unit, ty) = if region.pitch() == 64 { (64, Type::B64) } else { (32, Type::B32) };
        if bits < 32 {
            return vec![self.load_bits(region, bits, address, guard)];
        }
        let start = self.address(address);
        let (mut done, mut out) = (0, Vec::new());
        let cache =
            if region.constant && region.space == Space::Global { self.read_cache() } else { LoadCache::Default };
        while done < bits / unit {
            let left = bits / unit - done;
            let vector = match (left, unit) {
                (4.., 32) => Vector::V4,
                (2.., _) => Vector::V2,
                _ => Vector::One,
            };
            let at = start.plus(i64::from(done * unit / 8));
            let regs = if let Some(guard) = guard {
                self.load_guarded(region, ty, vector, at, guard)
            } else if region.space == Space::Global && cache != LoadCache::Default {
                self.b().ld_cached(cache, ptx::Fetch::Default, ty, vector, at)
            } else {
                self.b().ld_vector(region.space, ty, vector, at)
            };
            done += regs.len().max(1) as u32;
            out.extend(regs.into_iter().map(|r| self.value_of(r)));
        }
        out
    }

    /// Registers of a load where a predicate holds, zeros where not.
    fn load_guarded(&mut self, region: &Region, ty: Type, vector: Vector, at: Address, guard: V) -> Vec<ptx::Reg> {
        let count = match vector {
            Vector::One => 1,
            Vector::V2 => 2,
            Vector::V4 => 4,
        };
        let regs: Vec<ptx::Reg> = (0..count).map(|_| self.b().mov(ty, ptx::Operand::Imm(0))).collect();
        regs.iter().for_each(|r| self.m.changes(*r));
        let op = if vector == Vector::V4 { Op::LdV4 } else { Op::Ld };
        let form = Form::new(op, (region.space, vector, ty));
        let list = if count == 1 { regs.first().map(|r| ptx::Operand::Reg(*r)) } else { Some(regs.as_slice().into()) };
        let pred = self.pred(guard);
        if let Some(list) = list {
            self.b().guarded(pred, |b| b.emit(form, [list, ptx::Operand::Address(at)]));
        }
        regs
    }

    /// Stores one element in working form, where `guard` holds.
    pub fn store(&mut self, region: &Region, ix: Ix, at: V, value: V, guard: Option<V>) -> Result<(), PtxError> {
        let raw = self.stored_bits(region, value)?;
        if region.pitch() < 8 {
            return self.when_some(guard, |w| {
                w.store_packed(region, ix, at, raw);
                Ok(())
            });
        }
        let address = self.byte_address(region, ix, at);
        self.store_words(region, address, &[raw], region.pitch(), guard);
        Ok(())
    }

    /// Puts the bits of a packed element in their place: those there are cleared, then the new ones set.
    fn store_packed(&mut self, region: &Region, ix: Ix, at: V, raw: V) {
        let bits = region.pitch();
        let (per_word, scale) = (32 / bits, bits.trailing_zeros());
        let shift = self.m.u32(per_word.trailing_zeros());
        let word = self.m.int2(IntOp::Shr, ix.int(), at, shift);
        let address = match region.space {
            Space::Shared => {
                let word = if ix == Ix::Wide { self.low(word) } else { word };
                let four = self.m.u32(4);
                self.ix_mad(Ix::Narrow, word, four, region.base)
            }
            _ => self.global_address(region.base, ix, word, 4),
        };
        let low = if ix == Ix::Wide { self.low(at) } else { at };
        let mask = self.m.u32(per_word - 1);
        let within = self.m.and(Width::B32, low, mask);
        let scale = self.m.u32(scale);
        let place = self.m.int2(IntOp::Shl, Int::U32, within, scale);
        let ones = self.m.u32((1 << bits) - 1);
        let field = self.m.int2(IntOp::Shl, Int::U32, ones, place);
        let keep = self.m.not(Width::B32, field);
        let set = self.m.int2(IntOp::Shl, Int::U32, raw, place);
        let set = self.m.apply(ptx_expr::Op::Bits(BitOp::And, Width::B32), &[set, field]);
        let (address, keep, set) = (self.address(address), self.reg(keep, Type::U32), self.reg(set, Type::U32));
        let order = Order::Default;
        self.b().red(order, region.space, Atomic::And, Type::B32, address, keep);
        self.b().red(order, region.space, Atomic::Or, Type::B32, address, set);
    }

    /// Stores elements that follow each other, aligned to the accesses that move them.
    pub fn store_run(
        &mut self,
        region: &Region,
        ix: Ix,
        at: V,
        values: &[V],
        guard: Option<V>,
    ) -> Result<(), PtxError> {
        if let [value] = values {
            return self.store(region, ix, at, *value, guard);
        }
        let pitch = region.pitch();
        if pitch == 16 && values.len().is_multiple_of(2) {
            let mut words = Vec::with_capacity(values.len() / 2);
            for pair in values.chunks_exact(2) {
                let [low, high] = pair else { continue };
                words.push(self.pair(region, *low, *high)?);
            }
            let address = self.byte_address(region, ix, at);
            self.store_words(region, address, &words, pitch * values.len() as u32, guard);
            return Ok(());
        }
        let raws = values.iter().map(|v| self.stored_bits(region, *v)).collect::<Result<Vec<_>, _>>()?;
        let address = self.byte_address(region, ix, at);
        let words = if pitch >= 32 { raws } else { self.pack(&raws, pitch) };
        self.store_words(region, address, &words, pitch * values.len() as u32, guard);
        Ok(())
    }

    /// Elements of fewer than 32 bits in words of 32.
    fn pack(&mut self, raws: &[V], pitch: u32) -> Vec<V> {
        let mut words: Vec<V> = Vec::new();
        for (k, raw) in raws.iter().enumerate() {
            let bit = k as u32 * pitch % 32;
            let mask = self.m.u32((1u32 << pitch) - 1);
            let clean = self.m.and(Width::B32, *raw, mask);
            match words.last_mut() {
                Some(word) if bit > 0 => {
                    let shift = self.m.u32(bit);
                    let up = self.m.int2(IntOp::Shl, Int::U32, clean, shift);
                    *word = self.m.or(Width::B32, *word, up);
                }
                _ => words.push(clean),
            }
        }
        words
    }

    fn store_words(&mut self, region: &Region, address: V, words: &[V], bits: u32, guard: Option<V>) {
        let unit = match bits {
            8 => Type::U8,
            16 => Type::U16,
            _ if region.pitch() == 64 => Type::B64,
            _ => Type::B32,
        };
        let most = if unit == Type::B64 { 2 } else { 4 };
        let address = self.address(address);
        let guard = guard.map(|g| self.pred(g));
        let mut offset = 0;
        let mut rest = words;
        while !rest.is_empty() {
            let take = if rest.len() >= most {
                most
            } else if rest.len() >= 2 {
                2
            } else {
                1
            };
            let (now, later) = rest.split_at(take);
            let regs: Vec<ptx::Reg> = now.iter().map(|v| self.reg(*v, unit)).collect();
            let at: Address = address.plus(offset);
            let space = region.space;
            let b = self.b();
            match guard {
                Some(pred) => b.guarded(pred, |b| b.st_vector(space, unit, at, &regs)),
                None => b.st_vector(space, unit, at, &regs),
            }
            offset += (take * unit.bits() as usize / 8) as i64;
            rest = later;
        }
    }
}
