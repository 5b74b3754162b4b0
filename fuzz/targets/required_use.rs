//! REQUIRED_USE: what is printed is read as the same, and holds for the same flags.
#![no_main]

use ebd::pms::dependency::DepSpec;
use ebd::pms::required_use::check;
use ebd_fuzz::eapi_and_text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((eapi, text)) = eapi_and_text(data) else {
        return;
    };
    let Ok(spec) = DepSpec::parse_required_use(text, eapi) else {
        return;
    };
    let again = DepSpec::parse_required_use(&spec.to_string(), eapi).expect("what it printed");
    assert_eq!(again, spec);
    for set in 0..4_usize {
        let enabled = |flag: &str| (flag.len() + usize::from(flag.as_bytes()[0])) & set == 0;
        let one = check(&spec, enabled, eapi);
        assert_eq!(one, check(&again, enabled, eapi));
    }
});
