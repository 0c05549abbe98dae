//! Proofs of answers against what models compute one sum at a time, and whole proofs, made, verified and attacked.

mod bench;
mod claims;
mod comparing;
mod forgeries;
mod instances;
mod models;
mod places;
mod programs;
mod proving;
mod shapes;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod taint;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod taint_weights;
mod verifying;
mod wiping;
