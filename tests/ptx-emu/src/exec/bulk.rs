//! later
#[derive(Debug, Default)]
pub(crate) struct Group;
#[derive(Debug, Default)]
pub(crate) struct Pending;
use crate::inst::*;
use crate::machine::Machine;
use crate::warp::Warp;
impl Machine<'_> {
    pub fn complete_everything(&mut self) -> bool {
        false
    }
    pub fn leave_bulk(&mut self, _c: usize) {}
    pub fn leaving(&mut self, _w: &mut Warp, _m: u32, _l: u32) {}
    pub fn bulk(&mut self, _w: &mut Warp, _b: &Bulk, _m: u32, _l: u32) {}
    pub fn bulk_commit(&mut self, _w: &mut Warp, _m: u32) {}
    pub fn bulk_wait(&mut self, _w: &mut Warp, _k: u32, _r: bool, _m: u32) {}
    pub fn cp_async(&mut self, _w: &mut Warp, _i: &Inst, _m: u32) {}
    pub fn cp_async_commit(&mut self, _w: &mut Warp) {}
    pub fn cp_async_wait(&mut self, _w: &mut Warp, _k: Option<u32>, _m: u32) {}
    pub fn matrices(&mut self, _w: &mut Warp, _i: &Inst, _m: u32) {}
    pub fn mma(&mut self, _w: &mut Warp, _i: &Mma, _m: u32, _l: u32) {}
    pub fn mbarrier(
        &mut self,
        _w: &mut Warp,
        _f: &Mbar,
        _a: &Addr,
        _s: crate::types::Space,
        _m: u32,
        _l: u32,
    ) -> super::Flow {
        super::Flow::Next
    }
    pub fn wgmma_fence(&mut self, _w: &mut Warp, _m: u32, _l: u32) {}
    pub fn wgmma_commit(&mut self, _w: &mut Warp, _m: u32, _l: u32) {}
    pub fn wgmma_wait(&mut self, _w: &mut Warp, _k: u32, _m: u32, _l: u32) {}
    pub fn wgmma(&mut self, _w: &mut Warp, _i: &Wgmma, _m: u32, _l: u32) {}
}
