//! SRC_URI: what is printed is read as the same, and no file name leaves its folder.
#![no_main]

use ebd::pms::dependency::DepSpec;
use ebd_fuzz::eapi_and_text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((eapi, text)) = eapi_and_text(data) else {
        return;
    };
    let Ok(spec) = DepSpec::parse_src_uri(text, eapi) else {
        return;
    };
    assert_eq!(
        DepSpec::parse_src_uri(&spec.to_string(), eapi).expect("what it printed"),
        spec
    );
    for uri in spec.leaves() {
        if uri.check_filename().is_ok() {
            assert!(!uri.filename().contains('/') && !matches!(uri.filename(), "" | "." | ".."));
        }
    }
});
