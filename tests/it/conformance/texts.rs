//! The texts of the cases, as `tests/conformance/README.md` tells of them.

use std::fs;
use std::path::Path;

/// The section, the name and the text of each case: a line `==== NAME ====` begins one.
pub(crate) fn texts(folder: &Path) -> Vec<(String, String, Vec<u8>)> {
    let mut found: Vec<(String, String, Vec<u8>)> = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.extension().unwrap(), "cases", "{}", path.display());
        let section = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut begun = false;
        for line in fs::read(&path)
            .unwrap()
            .split_inclusive(|byte| *byte == b'\n')
        {
            let name = line
                .strip_prefix(b"==== ")
                .and_then(|rest| rest.strip_suffix(b" ====\n"));
            if let Some(name) = name {
                begun = true;
                let name = String::from_utf8(name.to_vec()).unwrap();
                found.push((section.clone(), name, Vec::new()));
                continue;
            }
            assert!(begun, "{}: text before the first case", path.display());
            found.last_mut().unwrap().2.extend_from_slice(line);
        }
    }
    found
}
