//! Dependencies, LICENSE and RESTRICT: what is printed is read as the same, conditionals resolved or not.
#![no_main]

use std::fmt::Debug;

use ebd::pms::dependency::{DepSpec, DependencyError, Element};
use ebd::pms::eapi::Eapi;
use ebd_fuzz::eapi_and_text;
use libfuzzer_sys::fuzz_target;

fn hold<T: Element + PartialEq + Debug>(
    text: &str,
    eapi: Eapi,
    parse: fn(&str, Eapi) -> Result<DepSpec<T>, DependencyError>,
) {
    let Ok(spec) = parse(text, eapi) else {
        return;
    };
    let printed = spec.to_string();
    assert_eq!(parse(&printed, eapi).expect("what it printed"), spec);
    let _ = (spec.leaves().count(), spec.conditional_flags().count());
    let evaluated = spec.evaluate(|flag| flag.len() % 2 == 0);
    assert_eq!(evaluated.conditional_flags().count(), 0);
    let _ = evaluated.to_string();
}

fuzz_target!(|data: &[u8]| {
    let Some((eapi, text)) = eapi_and_text(data) else {
        return;
    };
    hold(text, eapi, DepSpec::parse_dependencies);
    hold(text, eapi, DepSpec::parse_recorded_dependencies);
    hold(text, eapi, DepSpec::parse_license);
    hold(text, eapi, DepSpec::parse_restrict);
    if let Ok(spec) = DepSpec::parse_dependencies(text, eapi) {
        let _ = spec.slot_operators_in_any_of();
    }
});
