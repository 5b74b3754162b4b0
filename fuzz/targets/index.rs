//! `Packages`, plain and compressed: any bytes are read, and what is written is read as the same.
#![no_main]

use ebd::binhost::index::decode;
use ebd::binpkg::index::Index;
use ebd::binpkg::selection::{Selection, flags};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok((text, index)) = decode(data.to_vec()) {
        assert_eq!(Index::parse(&text), index);
    }
    let index = Index::parse(data);
    for entry in index.entries() {
        assert!(!entry.cpv().is_empty());
        assert!(!entry.path().is_empty());
        let _ = (
            entry.build_id(),
            entry.build_time(),
            entry.size(),
            entry.mtime(),
            flags(entry),
        );
    }
    let _ = Selection::default().of(&index);
    let once = index.write(1);
    let again = Index::parse(&once);
    assert_eq!(again.entries().len(), index.entries().len());
    assert_eq!(again.write(1), once);
    if let Some(entry) = index.entries().last() {
        let mut changed = again.clone();
        changed.insert(entry.clone());
        let written = changed.write(1);
        assert_eq!(Index::parse(&written).write(1), written);
    }
});
