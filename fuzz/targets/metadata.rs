//! Entries of a metadata cache: what is printed is read as the same.
#![no_main]

use ebd::metadata::Entry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Entry::parse_checks(text);
    let Ok(entry) = Entry::parse(text) else {
        return;
    };
    let printed = entry.to_md5_dict();
    let again = Entry::parse(&printed).expect("what it printed");
    assert_eq!(again.to_md5_dict(), printed);
    if let Ok(eclasses) = entry.eclasses() {
        let mut changed = entry.clone();
        let owned: Vec<_> = eclasses
            .iter()
            .map(|(name, md5)| ((*name).to_owned(), (*md5).to_owned()))
            .collect();
        changed.set_eclasses(&owned);
        assert!(changed.eclasses().is_ok());
    }
});
