//! Versions: printed as they were read, and in one order.
#![no_main]

use std::cmp::Ordering;
use std::str::FromStr;

use ebd::pms::cpv::Cpv;
use ebd::pms::version::Version;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let versions: Vec<Version> = text
        .split('\n')
        .take(3)
        .filter_map(|line| {
            let version = Version::from_str(line).ok()?;
            assert_eq!(version.to_string(), line);
            let _ = (
                version.letter(),
                version.numbers().count(),
                version.suffixes().count(),
            );
            assert!(Version::from_str(version.without_revision().as_str()).is_ok());
            Some(version)
        })
        .collect();
    for one in &versions {
        assert_eq!(one.cmp(one), Ordering::Equal);
        for other in &versions {
            assert_eq!(one.cmp(other), other.cmp(one).reverse());
            for third in &versions {
                if one <= other && other <= third {
                    assert!(one <= third, "{one} {other} {third}");
                }
            }
        }
    }
    if let Ok(cpv) = Cpv::parse(text) {
        assert_eq!(cpv.to_string(), text);
        let again = Cpv::from_parts(cpv.category(), cpv.pf()).expect("its parts");
        assert_eq!(again.to_string(), text);
        assert_eq!(format!("{}-{}", cpv.pn(), cpv.pvr()), cpv.pf());
    }
});
