//! The reader of gpkg files: of any bytes, of archives with right checksums, and of right containers with any archives.
#![no_main]

use std::io::Read;

use ebd::binpkg::gpkg::{GpkgFile, Manifest, Part};
use ebd::binpkg::package::Package;
use ebd::util::digest::HashName;
use ebd_fuzz::{Place, mend_headers, split};
use libfuzzer_sys::fuzz_target;

fn read(place: &Place, content: &[u8]) {
    let path = place.put("foo-1-1.gpkg.tar", content);
    let Ok(file) = GpkgFile::open(&path) else {
        return;
    };
    let text = file.manifest().text();
    let again = Manifest::parse(text.as_bytes()).expect("what it printed");
    assert_eq!(again.records, file.manifest().records);
    for part in [Part::Metadata, Part::Image] {
        let _ = file.signature(part);
        if let Ok(mut packed) = file.packed(part) {
            let _ = packed.read_to_end(&mut Vec::new());
        }
    }
    let good = file.verify().is_ok();
    if let Ok(metadata) = file.metadata() {
        for name in metadata.keys() {
            assert!(!name.is_empty() && !name.contains('/') && name != "." && name != "..");
        }
    }
    if let Ok(image) = file.image() {
        assert!(good, "an image whose checksums are wrong was given");
        place.unpack(image, b"image");
    }
    if let Ok(mut package) = Package::open(&path) {
        let _ = package.metadata();
    }
}

/// A container that is right, with these archives in it.
fn container(metadata: &[u8], image: &[u8]) -> Vec<u8> {
    let mut manifest = String::new();
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, format!("foo-1-1/{name}"), content)
            .expect("a member");
    };
    for (name, content) in [
        ("gpkg-1", &b""[..]),
        ("metadata.tar", metadata),
        ("image.tar", image),
    ] {
        add(name, content);
        let (one, other) = (
            HashName::Blake2b.hex(content),
            HashName::Sha512.hex(content),
        );
        manifest += &format!(
            "DATA {name} {} BLAKE2B {one} SHA512 {other}\n",
            content.len()
        );
    }
    add("Manifest", manifest.as_bytes());
    builder.into_inner().expect("an archive")
}

fuzz_target!(|data: &[u8]| {
    let Some((manner, data)) = data.split_first() else {
        return;
    };
    let place = Place::new();
    match manner % 3 {
        0 => read(&place, data),
        1 => {
            let mut content = data.to_vec();
            mend_headers(&mut content);
            read(&place, &content);
        }
        _ => {
            let Some((metadata, image)) = split(data) else {
                return;
            };
            let (mut metadata, mut image) = (metadata.to_vec(), image.to_vec());
            mend_headers(&mut metadata);
            mend_headers(&mut image);
            read(&place, &container(&metadata, &image));
        }
    }
});
