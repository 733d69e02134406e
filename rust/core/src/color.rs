//! The sRGB transfer curve (IEC 61966-2-1).

use std::sync::LazyLock;

/// Linear light of every sRGB byte.
pub static LINEAR_FROM_SRGB8: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|byte| linear_from_srgb(byte as f32 / 255.0)));

/// Linear light in 0..1 of an sRGB value in 0..1.
pub fn linear_from_srgb(srgb: f32) -> f32 {
    if srgb <= 0.040_45 { srgb / 12.92 } else { ((srgb + 0.055) / 1.055).powf(2.4) }
}

/// sRGB value in 0..1 of linear light; input is clamped to 0..1.
pub fn srgb_from_linear(linear: f32) -> f32 {
    let linear = linear.clamp(0.0, 1.0);
    if linear <= 0.003_130_8 { linear * 12.92 } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

/// sRGB byte of linear light; input is clamped to 0..1, NaN becomes 0.
pub fn srgb8_from_linear(linear: f32) -> u8 {
    (srgb_from_linear(linear) * 255.0 + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_round_trip() {
        for byte in 0..=255u8 {
            assert_eq!(srgb8_from_linear(LINEAR_FROM_SRGB8[byte as usize]), byte);
        }
    }
}
