//! The steps of the kernel one by one, on memory that stays near, for whoever measures what bounds them.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::aligned::Aligned;
use crate::key;
use crate::layout::{BLOCK_BYTES, Layout};
use crate::message::Messages;
use crate::ntt;
use crate::python::checks::PyLayout;
use crate::ring::Polynomial;
use crate::rounding::Rounding;
use crate::sampling;
use crate::shared::Shared;
use crate::stream::{Purpose, Stream};

/// Do one step of the work on a block this many times: "keystream" (as many bytes as a block has), "mask", "message"
/// (noise and rounded values), "transform" (a product of polynomials) or "key" (the secret of one silo).
#[pyfunction]
pub fn run_step(py: Python<'_>, layout: &PyLayout, step: &str, times: u64) -> PyResult<()> {
    let (seed, parameters) = ([7; 32], &layout.digest);
    let stream = |purpose| Stream::new(&seed, purpose, &[parameters]);
    match step {
        "keystream" => {
            let mut reader = stream(Purpose::Mask).reader();
            let mut bytes = Aligned::<u8, BLOCK_BYTES>::zero();
            repeat(py, times, |block| {
                reader.seek(block, 0);
                reader.fill(&mut *bytes);
            });
        }
        "mask" => {
            let (mut reader, mut out) = (stream(Purpose::Mask).reader(), Polynomial::zero());
            repeat(py, times, |block| sampling::uniform(&mut reader, block, &mut out));
        }
        "message" => {
            let layout = layout.layout;
            let values = vec![0.1_f32; layout.block_values()];
            let mut messages = messages(layout, stream(Purpose::Noise), stream(Purpose::Rounding));
            repeat(py, times, |block| {
                // SAFETY: the vector lives longer, and nobody else writes to it.
                let values = unsafe { Shared::new(values.as_ptr(), values.len()) };
                messages.block(block, values).expect("every value is within the clip bound");
            });
        }
        "transform" => {
            let (x, factor) = (key::secret(&[1; 32], parameters), key::secret(&[2; 32], parameters));
            let mut out = Polynomial::zero();
            repeat(py, times, |_| ntt::multiply_and_invert(&x, &factor, &mut out));
        }
        "key" => repeat(py, times, |_| drop(key::secret(&seed, parameters))),
        _ => return Err(PyValueError::new_err(format!("no step {step:?}"))),
    }
    Ok(())
}

fn messages(layout: Layout, noise: Stream, coins: Stream) -> Messages<f32> {
    let largest = layout.largest() as f64;
    Messages::new(layout, Rounding { clip: 1.0, factor: largest, largest }, noise.reader(), coins.reader())
}

fn repeat(py: Python<'_>, times: u64, mut work: impl FnMut(u64) + Send) {
    py.detach(|| (0..times).for_each(&mut work));
}
