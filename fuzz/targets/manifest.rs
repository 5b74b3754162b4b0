//! Manifests of repositories and of packages: what is printed is read as the same.
#![no_main]

use std::path::Path;

use ebd::binpkg::gpkg;
use ebd::repo::manifest::Manifest;
use ebd::repo::manifest_text::manifest_text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(manifest) = Manifest::parse(data, Path::new("Manifest")) {
        let printed = manifest_text(manifest.entries());
        let again =
            Manifest::parse(printed.as_bytes(), Path::new("Manifest")).expect("what it printed");
        assert_eq!(manifest_text(again.entries()), printed);
        assert_eq!(again.entries().len(), manifest.entries().len());
    }
    if let Ok(manifest) = gpkg::Manifest::parse(data) {
        let again = gpkg::Manifest::parse(manifest.text().as_bytes()).expect("what it printed");
        assert_eq!(again.records, manifest.records);
    }
});
