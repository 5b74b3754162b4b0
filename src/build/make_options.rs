//! What MAKEOPTS asks for, and what holds where nobody has set it.

use std::collections::BTreeMap;

/// As many processes as can run at once here.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The configuration of a package with what Portage tells `make` where nobody has: MAKEOPTS has as many jobs as there are
/// processors, and GNUMAKEFLAGS keeps them from overloading the machine and from mixing up their lines. Whoever sets
/// MAKEFLAGS has said how many jobs there are.
#[must_use]
pub fn with_defaults(configured: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = configured.clone();
    if ["MAKEOPTS", "MAKEFLAGS"]
        .iter()
        .any(|name| all.contains_key(*name))
    {
        return all;
    }
    let count = processors();
    all.insert("MAKEOPTS".to_owned(), format!("-j{count}"));
    all.entry("GNUMAKEFLAGS".to_owned())
        .or_insert_with(|| format!("--load-average {count} --output-sync=line"));
    all
}

/// The number of jobs that MAKEOPTS asks for, at least 1; where it asks for none, as many as there are processors.
#[must_use]
pub fn jobs(options: &str) -> u32 {
    let mut words = options.split_whitespace();
    let mut jobs = None;
    while let Some(word) = words.next() {
        let number = match word {
            "-j" | "--jobs" => words.next().unwrap_or_default(),
            word => word
                .strip_prefix("--jobs=")
                .or_else(|| word.strip_prefix("-j"))
                .unwrap_or_default(),
        };
        jobs = number.parse().ok().or(jobs);
    }
    jobs.or_else(|| u32::try_from(processors()).ok())
        .unwrap_or(1)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults(configured: &[(&str, &str)]) -> Vec<(String, String)> {
        let configured = configured
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        with_defaults(&configured.collect()).into_iter().collect()
    }

    #[test]
    fn what_is_not_set_is_as_many_jobs_as_there_are_processors() {
        let count = processors();
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let load = format!("--load-average {count} --output-sync=line");
        assert_eq!(
            defaults(&[]),
            [
                pair("GNUMAKEFLAGS", load),
                pair("MAKEOPTS", format!("-j{count}"))
            ]
        );
        assert_eq!(
            defaults(&[("GNUMAKEFLAGS", "-k")]),
            [
                pair("GNUMAKEFLAGS", "-k".into()),
                pair("MAKEOPTS", format!("-j{count}"))
            ]
        );
        for set in [("MAKEOPTS", "-j3"), ("MAKEOPTS", ""), ("MAKEFLAGS", "-k")] {
            assert_eq!(defaults(&[set]), [pair(set.0, set.1.into())]);
        }
    }

    #[test]
    fn jobs_are_those_that_are_asked_for() {
        let count = u32::try_from(processors()).unwrap();
        for (options, wanted) in [
            ("-j8", 8),
            ("--jobs=4 -s", 4),
            ("-j 3 -l2", 3),
            ("-j2 --jobs 7", 7),
            ("-j0", 1),
            ("", count),
            ("-l4", count),
            ("-j", count),
        ] {
            assert_eq!(jobs(options), wanted, "{options}");
        }
    }
}
