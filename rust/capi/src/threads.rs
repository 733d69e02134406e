//! Threads of the library: named, quiet on panics, with the floating-point state that results are defined for.
#![allow(unsafe_code, reason = "the floating-point control register has no safe access")]

use crate::Error;
use crate::abi::MAQ_ERROR_OUT_OF_MEMORY;
use crate::guard::{PanicNote, THREAD_NAME, adopt_thread};

/// A pool for one worker; its threads end when it is dropped.
pub(crate) fn pool(threads: usize, note: &PanicNote) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    let note = PanicNote::clone(note);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("{THREAD_NAME}-{index}"))
        .start_handler(move |_| {
            adopt_thread(&note);
            reset_floating_point();
        })
        // Without a handler a panic in a spawned task would end the process; the hook has noted it.
        .panic_handler(|_| ())
        .build()
}

/// The error of a thread that the system does not give.
pub(crate) fn not_started(reason: &dyn std::fmt::Display) -> Error {
    Error::new(
        MAQ_ERROR_OUT_OF_MEMORY,
        format!("a worker thread could not be started: {reason}; free memory, or give fewer threads"),
    )
}

/// Sets rounding and denormals of this thread as Rust assumes them.
///
/// A new thread inherits them from the one that starts it, and hosts flush denormals to zero on theirs: results would
/// differ from those of the command line.
pub(crate) fn reset_floating_point() {
    #[cfg(target_arch = "x86_64")]
    {
        let default_mxcsr: u32 = 0x1f80;
        // SAFETY: loads the register from a constant; the value is the one compiled code assumes.
        unsafe {
            std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const default_mxcsr, options(nostack, readonly, preserves_flags));
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: zero is the value compiled code assumes.
        unsafe { std::arch::asm!("msr fpcr, xzr", options(nomem, nostack, preserves_flags)) };
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    /// Flushes denormal results and operands of this thread to zero, as hosts do.
    fn flush_denormals() {
        let flushing: u32 = 0x1f80 | 1 << 15 | 1 << 6;
        // SAFETY: undone below before any float but the test's is computed.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const flushing, options(nostack, readonly)) };
    }

    #[test]
    fn a_host_that_flushes_denormals_does_not_change_results() {
        let half = || std::hint::black_box(f32::MIN_POSITIVE) / std::hint::black_box(2.0);
        flush_denormals();
        let on_host = half();
        let pool = pool(1, &PanicNote::default()).unwrap();
        reset_floating_point();
        assert_eq!((on_host, half() > 0.0, pool.install(half) > 0.0), (0.0, true, true));
    }
}
