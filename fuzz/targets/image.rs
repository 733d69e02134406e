//! Any bytes as a picture file: an error, or a picture within the limits that survives being written as PNG.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maquette_core::Image;
use maquette_core::io::{decode_picture, decode_plane, encode_png};

fuzz_target!(|bytes: &[u8]| {
    let plane = decode_plane(bytes);
    let Ok(picture) = decode_picture(bytes) else { return };
    assert!(plane.is_ok_and(|plane| plane.is_finite()));
    assert!(picture.width().max(picture.height()) <= Image::MAX_SIDE);
    if picture.pixels().len() < 1 << 16 {
        let png = encode_png(&picture).expect("a picture can be written");
        assert_eq!(decode_picture(&png).expect("what was written can be read"), picture);
    }
});
