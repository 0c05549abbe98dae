//! The kernel of Quatrefoil, additive encryption and proofs about it: `docs/additive-encryption.md` and `docs/proofs.md`
//! define every byte it makes.
//!
//! `python` is the door to Python, and so are the files of that name in the folders.

mod aligned;
#[cfg(test)]
mod allocations;
#[cfg(target_arch = "x86_64")]
mod avx;
mod buffer;
mod decryption;
mod encryption;
mod field;
mod field_hash;
mod key;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod lanes;
mod layout;
mod masks;
mod message;
#[cfg(target_arch = "aarch64")]
mod neon;
mod ntt;
mod parallel;
mod probes;
mod processor;
mod proof;
mod python;
mod ring;
mod rounding;
mod sampling;
mod shared;
mod sharing;
mod steps;
mod stream;
mod sum;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod taint;
mod timing;
#[cfg(target_arch = "x86_64")]
mod vaes;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod wide;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("lengths are counted in 64 bits: build for a 64-bit target");

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    python::add_to(module)?;
    field_hash::python::add_to(module)?;
    sharing::python::add_to(module)?;
    proof::python::add_to(module)?;
    proof::inference::python::add_to(module)
}
