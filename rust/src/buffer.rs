//! `bytes` objects that are filled in place: a ciphertext is written once, and neither cleared before nor copied after.

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// From this many bytes on, large pages are asked for: there is a whole one inside.
#[cfg(target_os = "linux")]
const LARGE: usize = 1 << 22;

/// A new object of this length. `fill` writes every byte of it, or fails; what is there before is whatever the memory
/// held.
pub fn filled<'py>(
    py: Python<'py>,
    length: usize,
    fill: impl FnOnce(&mut [u8]) -> PyResult<()>,
) -> PyResult<Bound<'py, PyBytes>> {
    let signed = isize::try_from(length);
    let signed = signed.map_err(|_| PyValueError::new_err(format!("{length} bytes do not fit in memory")))?;
    // SAFETY: a null pointer asks for an object with its contents left open, or for MemoryError. The memory is Python's,
    // so to this crate its bytes are unknown, not uninitialised.
    let bytes = unsafe {
        let object = Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromStringAndSize(std::ptr::null(), signed))?;
        object.cast_into_unchecked::<PyBytes>()
    };
    // SAFETY: nothing else refers to the object before it is returned.
    let contents = unsafe { contents(&bytes) };
    prefer_large_pages(contents);
    fill(contents)?;
    Ok(bytes)
}

/// Ask for large pages where the memory is fresh: a fault for every 4 KiB costs as much as the encryption of what they
/// hold. Advice only; NumPy gives the same for its arrays.
pub fn prefer_large_pages<Word>(memory: &mut [Word]) {
    #[cfg(target_os = "linux")]
    if size_of_val(memory) >= LARGE {
        const PAGE: usize = 4096;
        let start = memory.as_mut_ptr().cast::<u8>();
        let skipped = start.align_offset(PAGE);
        let inside = (size_of_val(memory) - skipped) / PAGE * PAGE;
        // SAFETY: whole pages within the memory; the advice changes none of their contents.
        unsafe { libc::madvise(start.add(skipped).cast(), inside, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}

/// The contents, for writing.
///
/// # Safety
/// Nothing else refers to the object, and nothing has taken its hash.
#[allow(clippy::mut_from_ref)]
pub unsafe fn contents<'a>(bytes: &'a Bound<'_, PyBytes>) -> &'a mut [u8] {
    let length = bytes.as_bytes().len();
    // SAFETY: Python gives the address of that many bytes, and the caller vouches that nothing else reads them.
    unsafe { std::slice::from_raw_parts_mut(ffi::PyBytes_AsString(bytes.as_ptr()).cast(), length) }
}
