//! What it costs to read all dependency strings of repositories.
//!
//! The entries of the metadata caches of the given repositories are read into memory; then all values of their DEPEND and
//! its kin, SRC_URI, LICENSE, RESTRICT, PROPERTIES and REQUIRED_USE are parsed, on one core, several times. The median and
//! the least are printed. Values that are no such expression are counted; they fail nothing here.
//!
//!     cargo bench --bench dependencies -- REPOSITORY …

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use ebd::metadata::Entry;
use ebd::pms::dependency::DepSpec;
use ebd::pms::eapi::Eapi;

const TURNS: usize = 9;

/// The keys whose values are dependencies.
const DEPENDENCIES: [&str; 5] = ["DEPEND", "BDEPEND", "RDEPEND", "PDEPEND", "IDEPEND"];

type Failure = Box<dyn std::error::Error>;

/// Parses a value; tells whether it was one.
fn parse(key: &str, text: &str, eapi: Eapi) -> bool {
    match key {
        "SRC_URI" => black_box(DepSpec::parse_src_uri(text, eapi)).is_ok(),
        "LICENSE" => black_box(DepSpec::parse_license(text, eapi)).is_ok(),
        "RESTRICT" => black_box(DepSpec::parse_restrict(text, eapi)).is_ok(),
        "PROPERTIES" => black_box(DepSpec::parse_properties(text, eapi)).is_ok(),
        "REQUIRED_USE" => black_box(DepSpec::parse_required_use(text, eapi)).is_ok(),
        _ => black_box(DepSpec::parse_dependencies(text, eapi)).is_ok(),
    }
}

fn main() -> Result<(), Failure> {
    let others = [
        "SRC_URI",
        "LICENSE",
        "RESTRICT",
        "PROPERTIES",
        "REQUIRED_USE",
    ];
    let mut values: Vec<(&str, String, Eapi)> = Vec::new();
    let mut entries = 0;
    for repository in std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
    {
        let cache = Path::new(&repository).join("metadata/md5-cache");
        for file in walkdir::WalkDir::new(cache)
            .into_iter()
            .flatten()
            .filter(|it| it.file_type().is_file())
        {
            let entry = Entry::parse(&String::from_utf8_lossy(&fs::read(file.path())?))?;
            let Ok(eapi) = Eapi::parse(entry.get("EAPI").unwrap_or("0")) else {
                continue;
            };
            entries += 1;
            for key in DEPENDENCIES.into_iter().chain(others) {
                values.extend(entry.get(key).map(|text| (key, text.to_owned(), eapi)));
            }
        }
    }
    let bytes: usize = values.iter().map(|(_, text, _)| text.len()).sum();
    let mut times: Vec<Duration> = Vec::new();
    let mut bad = 0;
    for _ in 0..TURNS {
        let begin = Instant::now();
        bad = values
            .iter()
            .filter(|(key, text, eapi)| !parse(key, text, *eapi))
            .count();
        times.push(begin.elapsed());
    }
    times.sort();
    let median = times.get(TURNS / 2).copied().unwrap_or_default();
    println!(
        "{entries} entries, {} values, {} KiB, {bad} of them no expressions: median {median:.1?}, least {:.1?}",
        values.len(),
        bytes / 1024,
        times.first().copied().unwrap_or_default()
    );
    Ok(())
}
