//! Settings that Portage knows and this program does not follow yet: none is passed over in silence.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::candidate::{Candidate, CandidateError};
use super::image::strip;
use crate::config::Config;
use crate::pms::atom::PackageFacts;
use crate::pms::dependency::DepSpec;

/// FEATURES without which a build is confined less, or otherwise, than the user asked for.
const CONFINEMENT: &[&str] = &["network-sandbox-proxy", "fakeroot", "suidctl", "selinux"];

/// FEATURES whose absence changes how something is done, but not what comes of it. What only installing asks for
/// (binpkg-logs, unmerge-logs, preserve-libs, …) is not among them as long as nothing is installed.
const WITHOUT_EFFECT: &[&str] = &[
    "distcc",
    "distcc-pump",
    "icecream",
    "jobserver-token",
    "cgroup",
    "split-log",
    "split-elog",
    "compress-build-logs",
];

/// FEATURES without which something else would be built than the user asked for.
const REFUSED: &[(&str, &str)] = &[
    ("packdebug", "debug information is not packed"),
    ("force-prefix", "there is no support for an offset prefix"),
];

/// Variables that are not followed, with what happens instead.
const VARIABLES: &[(&str, &str)] = &[
    ("FETCH_WRAPPER", "distfiles are fetched by ebd itself"),
    ("PORTAGE_BINPKG_TAR_OPTS", "images are packed by ebd itself"),
    ("PORTAGE_NICENESS", "builds run with the caller's priority"),
    (
        "PORTAGE_IONICE_COMMAND",
        "builds run with the caller's priority",
    ),
    (
        "PORTAGE_SCHEDULING_POLICY",
        "builds run with the caller's priority",
    ),
    (
        "PORTAGE_LOGDIR",
        "the log is temp/build.log in the build's folder",
    ),
];

/// What the configuration asks for that cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum UnsupportedError {
    /// A FEATURE that must not be ignored.
    #[error("FEATURES={feature}: is not supported yet ({instead}); remove it from FEATURES")]
    Feature {
        /// The word.
        feature: &'static str,
        /// What would happen instead.
        instead: &'static str,
    },
    /// A FEATURE of a package that must not be ignored.
    #[error(
        "{package}: FEATURES={feature}: is not supported yet; remove it from FEATURES, or say FEATURES=\"-{feature}\" for \
         the package in package.env"
    )]
    Package {
        /// The package.
        package: String,
        /// The word.
        feature: &'static str,
    },
    /// RESTRICT of a package is not valid.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
}

/// Whether what FEATURES and RESTRICT of these packages themselves ask for can be done, so that it does not fail when all
/// else is done. package.env may have set them.
///
/// # Errors
/// A package whose own FEATURES would make it another than it can be made.
pub fn check(candidates: &[Candidate]) -> Result<(), UnsupportedError> {
    for candidate in candidates {
        let restrict = candidate.evaluated("RESTRICT", DepSpec::parse_restrict)?;
        let restricted = |name: &str| restrict.leaves().any(|word| word == name);
        let feature = |name: &str| candidate.config.features.contains(name);
        let refused = REFUSED.iter().map(|(name, _)| *name);
        let found = refused
            .filter(|name| feature(name))
            .chain(strip::unsupported(feature, restricted, false))
            .next();
        if let Some(feature) = found {
            let package = candidate.cpv().to_string();
            return Err(UnsupportedError::Package { package, feature });
        }
    }
    Ok(())
}

/// What the user should know of settings that are not followed: sentences, none if all are.
///
/// # Errors
/// A setting without which the packages would be others than asked for.
pub fn notices(config: &Config) -> Result<Vec<String>, UnsupportedError> {
    let features = config.features();
    for (feature, instead) in REFUSED {
        if features.contains(*feature) {
            return Err(UnsupportedError::Feature { feature, instead });
        }
    }
    let present = |names: &[&'static str]| {
        let found: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| features.contains(*name))
            .collect();
        found.join(" ")
    };
    let mut notices = Vec::new();
    let confinement = present(CONFINEMENT);
    if !confinement.is_empty() {
        notices.push(format!(
            "builds are confined without these yet: FEATURES=\"{confinement}\""
        ));
    }
    if features.contains("ccache") {
        notices.push(
            "FEATURES=ccache is not supported yet: builds run with CCACHE_DISABLE=1, so that no compiler uses ccache"
                .to_owned(),
        );
    }
    let without = present(WITHOUT_EFFECT);
    if !without.is_empty() {
        notices.push(format!("not supported yet: FEATURES=\"{without}\""));
    }
    let hooks = config.config_root().join("etc/portage/hooks/install");
    if has_programs(&hooks) {
        notices.push(format!("{}: what is there is not run yet", hooks.display()));
    }
    // What a built-in default says is nothing that the user asked for.
    let asked = |name: &str| {
        config
            .origin(name)
            .is_some_and(|origin| origin.file.exists())
    };
    for (name, instead) in VARIABLES {
        if asked(name) {
            notices.push(format!("{name} has no effect yet: {instead}"));
        }
    }
    Ok(notices)
}

/// Whether a folder has anything that can be run.
fn has_programs(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found = entries.filter_map(|entry| std::fs::metadata(entry.path()).ok());
    found.any(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
