//! make.conf and its kin: no text is too odd, and expanding with other values never fails.
#![no_main]

use std::collections::HashMap;
use std::path::Path;

use ebd::config::shell_vars::{Dialect, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Not the dialect with `source`, which reads whatever file the text names.
    for dialect in [Dialect::PROFILE, Dialect::ENV_D] {
        let mut known = HashMap::from([("HOME".to_owned(), "/root".to_owned())]);
        let mut found = Vec::new();
        if parse(
            Path::new("make.conf"),
            text,
            dialect,
            &mut known,
            &mut found,
        )
        .is_ok()
        {
            let mut other = HashMap::new();
            for assignment in &found {
                assert!(!assignment.name.is_empty());
                let _ = assignment.expand(&mut other);
            }
        }
    }
});
