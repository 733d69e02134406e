//! Any bytes as a recipe: an answer, and the answer's own answer is itself.
#![no_main]

use std::ffi::CString;

use libfuzzer_sys::fuzz_target;
use maquette::exports::maq_recipe_resolve;

fn resolve(recipe: &CString) -> Option<CString> {
    let mut text = vec![0u8; 1 << 16];
    // SAFETY: a NUL-terminated string and a buffer of the size given.
    let needed = unsafe { maq_recipe_resolve(recipe.as_ptr(), text.as_mut_ptr().cast(), text.len()) };
    assert!(needed <= text.len());
    text.truncate(needed.checked_sub(1)?);
    Some(CString::new(text).expect("a text ends at its first NUL"))
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(recipe) = CString::new(bytes) else { return };
    if let Some(whole) = resolve(&recipe) {
        assert_eq!(resolve(&whole).as_ref(), Some(&whole));
    }
});
