//! The GPU runtime over a driver that stands in for the real one: whole programs, and failures at every call.

mod allocations;
mod arguments;
mod faults;
mod integrated;
mod kernels;
mod loops;
mod programs;
mod refusals;
mod rules;
mod runs;
mod timing;
