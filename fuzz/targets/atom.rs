//! Atoms of ebuilds, of built packages and of configurations: what is printed is read as the same.
#![no_main]

use ebd::pms::atom::Atom;
use ebd_fuzz::eapi_and_text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((eapi, text)) = eapi_and_text(data) else {
        return;
    };
    if let Ok(atom) = Atom::parse(text, eapi) {
        assert_eq!(
            Atom::parse(&atom.to_string(), eapi).expect("what it printed"),
            atom
        );
        let evaluated = atom.evaluate_use(|flag| flag.len() % 2 == 0);
        assert!(!evaluated.has_conditional_use());
        Atom::parse(&evaluated.to_string(), eapi).expect("what it printed, evaluated");
        let _ = (
            atom.without_blocker(),
            atom.without_use(),
            atom.record_slot("0", "1"),
        );
    }
    if let Ok(atom) = Atom::parse_recorded(text, eapi) {
        assert_eq!(
            Atom::parse_recorded(&atom.to_string(), eapi).expect("what it printed"),
            atom
        );
    }
    if let Ok(atom) = Atom::parse_config(text) {
        assert_eq!(
            Atom::parse_config(&atom.to_string()).expect("what it printed"),
            atom
        );
    }
});
