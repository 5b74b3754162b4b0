//! The reader of xpak files: of any bytes, and of a right end with any segment behind an archive with right checksums.
#![no_main]

use ebd::binpkg::package::Package;
use ebd::binpkg::xpak::{XpakFile, read_segment, write_segment};
use ebd_fuzz::{Place, mend_headers, split};
use libfuzzer_sys::fuzz_target;

fn read(place: &Place, content: &[u8]) {
    let path = place.put("foo-1-1.xpak", content);
    let Ok(mut file) = XpakFile::open(&path) else {
        return;
    };
    if let Ok(metadata) = file.metadata() {
        for name in metadata.keys() {
            assert!(!name.is_empty() && !name.contains('/') && name != "." && name != "..");
        }
        let written = write_segment(&metadata).expect("what was read");
        assert_eq!(read_segment(&written).expect("what was written"), metadata);
    }
    if let Ok(image) = file.image() {
        place.unpack(image, b".");
    }
    if let Ok(mut package) = Package::open(&path) {
        let _ = package.metadata();
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((manner, data)) = data.split_first() else {
        return;
    };
    let place = Place::new();
    if manner % 2 == 0 {
        read(&place, data);
        return;
    }
    let Some((segment, image)) = split(data) else {
        return;
    };
    let mut content = image.to_vec();
    mend_headers(&mut content);
    content.extend_from_slice(b"XPAKPACK");
    content.extend_from_slice(segment);
    content.extend_from_slice(b"XPAKSTOP");
    content.extend_from_slice(&(segment.len() as u32 + 16).to_be_bytes());
    content.extend_from_slice(b"STOP");
    read(&place, &content);
});
