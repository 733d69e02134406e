//! What jobs can run on. Usable before any context exists.

use std::sync::OnceLock;

use crate::abi::{self, MAQ_DEVICE_CPU, MAQ_ERROR_NO_DEVICE, Mirror as _};
use crate::{Error, Result};

/// Number of devices.
pub(crate) fn count() -> u32 {
    1
}

/// Device `index`; 0 is the CPU.
pub(crate) fn get(index: u32) -> Result<abi::DeviceInfo> {
    static CPU: OnceLock<abi::DeviceInfo> = OnceLock::new();
    check(index)?;
    Ok(*CPU.get_or_init(cpu))
}

/// Refuses an index that no device has.
pub(crate) fn check(index: u32) -> Result<()> {
    if index < count() {
        return Ok(());
    }
    Err(Error::new(
        MAQ_ERROR_NO_DEVICE,
        format!("there is no device {index}; there are {} (0 is the CPU), see maq_device_get", count()),
    ))
}

fn cpu() -> abi::DeviceInfo {
    use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};
    let wanted =
        RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()).with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(wanted).ok();
    let brand = system.as_ref().and_then(|system| system.cpus().first()).map_or("", |cpu| cpu.brand().trim());
    // 0: unknown.
    let memory_bytes = system.as_ref().map_or(0, System::total_memory);
    let mut info = abi::DeviceInfo { kind: MAQ_DEVICE_CPU, memory_bytes, ..abi::DeviceInfo::zeroed() };
    fill(&mut info.name, if brand.is_empty() { "CPU" } else { brand });
    info
}

/// Writes `text` as a NUL-terminated string, cut between characters where it is too long.
fn fill<const N: usize>(field: &mut [u8; N], text: &str) {
    let length = text.floor_char_boundary(N - 1);
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
    field[length..].fill(0);
}
