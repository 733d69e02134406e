//! Every read and write through a host's pointer. Each takes the argument's name, which its errors give.
#![allow(unsafe_code, reason = "the C edge")]

use std::ffi::c_char;
use std::ptr;

use crate::abi::Mirror;
use crate::{Error, Result};

/// Largest accepted `struct_size`; what is larger was never set.
const MAX_STRUCT_SIZE: usize = 4096;

fn check<T>(pointer: *const T, name: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(Error::argument(format!("{name} is NULL")));
    }
    if !pointer.is_aligned() {
        return Err(Error::argument(format!("{name} is not aligned to {} bytes", align_of::<T>())));
    }
    Ok(())
}

/// `struct_size` of a host's struct, checked.
///
/// # Safety
/// `pointer` is NULL or points to at least four readable bytes.
unsafe fn struct_size<T: Mirror>(pointer: *const T, name: &str) -> Result<usize> {
    check(pointer, name)?;
    // SAFETY: not NULL, aligned; every mirror starts with its u32 size.
    let size = unsafe { pointer.cast::<u32>().read() } as usize;
    let smallest = T::FIELDS[1].offset + T::FIELDS[1].size;
    if !(smallest..=MAX_STRUCT_SIZE).contains(&size) {
        return Err(Error::argument(format!(
            "{name}.struct_size is {size}; set it to sizeof({}), which is {} here",
            T::NAME,
            size_of::<T>()
        )));
    }
    Ok(size)
}

/// Bytes of the fields that lie wholly inside of the first `size` bytes.
fn known_bytes<T: Mirror>(size: usize) -> usize {
    T::FIELDS.iter().map(|field| field.offset + field.size).filter(|end| *end <= size).max().unwrap_or(0)
}

/// Copy of a host's struct: fields beyond its size are zero; a longer one must be zero beyond what is known here.
///
/// # Safety
/// `pointer` is NULL or points to as many readable bytes as its `struct_size` says.
pub(crate) unsafe fn read_struct<T: Mirror>(pointer: *const T, name: &str) -> Result<T> {
    // SAFETY: the caller's promise.
    let size = unsafe { struct_size(pointer, name)? };
    let mut value = T::zeroed();
    // SAFETY: at most `size` bytes are readable and at most size_of::<T>() writable; fields end inside of both.
    unsafe {
        ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut value).cast::<u8>(), known_bytes::<T>(size));
    }
    for offset in size_of::<T>()..size {
        // SAFETY: inside of the `size` readable bytes.
        if unsafe { pointer.cast::<u8>().add(offset).read() } != 0 {
            return Err(Error::argument(format!(
                "{name} sets a field at byte {offset} that this library does not know; update the library, or leave the \
                 field zero"
            )));
        }
    }
    Ok(value)
}

/// Fills a host's struct as far as its size goes; its `struct_size` stays, what is unknown here becomes zero.
///
/// # Safety
/// `pointer` is NULL or points to as many writable bytes as its `struct_size` says.
pub(crate) unsafe fn write_struct<T: Mirror>(pointer: *mut T, value: &T, name: &str) -> Result<()> {
    // SAFETY: the caller's promise.
    let size = unsafe { struct_size(pointer, name)? };
    let (start, known) = (size_of::<u32>(), known_bytes::<T>(size));
    // SAFETY: both ranges lie inside of the `size` writable bytes, the source inside of `value`.
    unsafe {
        let (from, to) = (ptr::from_ref(value).cast::<u8>(), pointer.cast::<u8>());
        ptr::copy_nonoverlapping(from.add(start), to.add(start), known - start);
        ptr::write_bytes(to.add(known), 0, size - known);
    }
    Ok(())
}

/// Sets a struct of `size` bytes to all defaults.
///
/// # Safety
/// `pointer` is NULL or points to `size` writable bytes.
pub(crate) unsafe fn init_struct<T: Mirror>(pointer: *mut T, size: u32, name: &str) -> Result<()> {
    check(pointer, name)?;
    if !(T::FIELDS[1].offset + T::FIELDS[1].size..=MAX_STRUCT_SIZE).contains(&(size as usize)) {
        return Err(Error::argument(format!(
            "struct_size is {size}; give sizeof({}), which is {} here",
            T::NAME,
            size_of::<T>()
        )));
    }
    // SAFETY: `size` writable bytes, four of them at least and aligned.
    unsafe {
        ptr::write_bytes(pointer.cast::<u8>(), 0, size as usize);
        pointer.cast::<u32>().write(size);
    }
    Ok(())
}

/// Element `index` of an array whose elements are `stride` bytes apart.
///
/// # Safety
/// The array has more than `index` elements.
pub(crate) unsafe fn element<T: Mirror>(array: *const T, index: usize, stride: usize) -> *const T {
    // SAFETY: inside of the array by the caller's promise.
    unsafe { array.byte_add(index * stride) }
}

/// Writes one value.
///
/// # Safety
/// `pointer` is NULL or points to a writable `T`.
pub(crate) unsafe fn write<T: Copy>(pointer: *mut T, value: T, name: &str) -> Result<()> {
    check(pointer, name)?;
    // SAFETY: not NULL, aligned, writable by the caller's promise.
    unsafe { pointer.write(value) };
    Ok(())
}

/// A string of at most `limit` bytes; `None` for NULL.
///
/// # Safety
/// `pointer` is NULL or points to bytes that are readable up to and including the first NUL, or up to `limit`.
pub(crate) unsafe fn read_str<'a>(pointer: *const c_char, limit: usize, name: &str) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    let bytes = pointer.cast::<u8>();
    // SAFETY: the scan stops at the NUL or the limit, up to where the bytes are readable.
    let length = (0..=limit).find(|&offset| unsafe { bytes.add(offset).read() } == 0);
    let Some(length) = length else {
        return Err(Error::argument(format!("{name} is longer than {limit} bytes")));
    };
    // SAFETY: `length` bytes before the NUL were just read.
    let text = std::str::from_utf8(unsafe { std::slice::from_raw_parts(bytes, length) });
    text.map(Some).map_err(|error| Error::argument(format!("{name} is not UTF-8 (byte {})", error.valid_up_to())))
}

/// Copy of an array of `count` elements.
///
/// # Safety
/// `pointer` is NULL or points to `count` readable elements, any bytes of which are a valid `T`.
pub(crate) unsafe fn read_array<T: Copy>(pointer: *const T, count: usize, name: &str) -> Result<Vec<T>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    check(pointer, name)?;
    let mut copy = Vec::new();
    copy.try_reserve_exact(count)
        .map_err(|_| Error::out_of_memory(count.saturating_mul(size_of::<T>())).within(name))?;
    // SAFETY: not NULL, aligned, `count` readable elements; their size in bytes was just allocated, so it fits isize.
    copy.extend_from_slice(unsafe { std::slice::from_raw_parts(pointer, count) });
    Ok(copy)
}

/// Writes an array.
///
/// # Safety
/// `pointer` is NULL or points to as many writable elements as `values` has.
pub(crate) unsafe fn write_array<T: Copy>(pointer: *mut T, values: &[T], name: &str) -> Result<()> {
    check(pointer, name)?;
    // SAFETY: not NULL, aligned, writable by the caller's promise; the host's array is not ours.
    unsafe { ptr::copy_nonoverlapping(values.as_ptr(), pointer, values.len()) };
    Ok(())
}

/// Gives `text` as the two-call protocol does: returns the bytes it needs with its NUL, writes what fits.
///
/// # Safety
/// `buffer` is NULL or points to `capacity` writable bytes.
pub(crate) unsafe fn write_text(buffer: *mut c_char, capacity: usize, text: &str) -> Result<usize> {
    if buffer.is_null() && capacity > 0 {
        return Err(Error::argument(format!(
            "text is NULL, but capacity is {capacity}; give NULL, 0 to ask for the size"
        )));
    }
    // A NUL inside would end the text for the host.
    let text = text.split('\0').next().unwrap_or_default();
    if capacity > 0 {
        let length = text.floor_char_boundary(capacity - 1);
        // SAFETY: `length` < `capacity` bytes and the NUL after them are writable; the host's buffer is not our text.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast::<u8>(), length);
            buffer.add(length).write(0);
        }
    }
    Ok(text.len() + 1)
}
