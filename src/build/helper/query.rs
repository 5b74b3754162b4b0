//! `has_version` and `best_version` (PMS 11.3.3.4).

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use super::env::HelperEnv;
use super::error::HelperError;
use super::message::{self, Level};
use crate::pms::atom::Atom;
use crate::pms::cpv::Cpv;
use crate::pms::eapi::Eapi;
use crate::repo::installed::{Installed, InstalledPackage};

/// Gives 0 if a package the atom matches is installed, else 1.
pub(super) fn has_version(
    env: &HelperEnv,
    helper: &str,
    args: &[OsString],
) -> Result<u8, HelperError> {
    Ok(u8::from(best(env, helper, args)?.is_none()))
}

/// Prints the highest installed version the atom matches, or an empty line.
pub(super) fn best_version(
    env: &HelperEnv,
    helper: &str,
    args: &[OsString],
) -> Result<u8, HelperError> {
    let line = match best(env, helper, args)? {
        Some(package) => format!("{}\n", cpv(&package)),
        None => "\n".to_owned(),
    };
    env.print(line.as_bytes())
        .map_err(|source| HelperError::Io {
            helper: helper.to_owned(),
            what: "cannot write to standard output".to_owned(),
            source,
        })?;
    Ok(0)
}

fn cpv(package: &InstalledPackage) -> &Cpv {
    use crate::pms::atom::PackageFacts;
    package.cpv()
}

fn best(
    env: &HelperEnv,
    helper: &str,
    args: &[OsString],
) -> Result<Option<Arc<InstalledPackage>>, HelperError> {
    let (place, args) = Place::of(env, helper, args)?;
    let [text] = args else {
        return Err(HelperError::Query {
            helper: helper.to_owned(),
            message: format!("exactly one atom needed, got {} arguments", args.len()),
        });
    };
    let atom = parse(env, helper, text)?;
    let root = place.root(env);
    let failed = |source| HelperError::Installed {
        helper: helper.to_owned(),
        root: root.clone(),
        source: Box::new(source),
    };
    match Installed::open(&root).map_err(failed)? {
        Some(installed) => installed.best(&atom).map_err(failed),
        None => Ok(None),
    }
}

/// What a query asks about, by the dependencies it would satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `-r`, and queries without an option: run time dependencies.
    Root,
    /// `-d`: build dependencies of the target's architecture.
    Sysroot,
    /// `-b` and `--host-root`: programs that run during the build.
    Host,
}

impl Place {
    /// Takes the option off the arguments. A second one is no atom, and fails as such.
    fn of<'a>(
        env: &HelperEnv,
        helper: &str,
        args: &'a [OsString],
    ) -> Result<(Self, &'a [OsString]), HelperError> {
        let Some((first, rest)) = args.split_first() else {
            return Ok((Self::Root, args));
        };
        let (place, supported) = match first.to_str() {
            Some("--host-root") => (Self::Host, env.eapi().query_host_root()),
            Some("-r") => (Self::Root, env.eapi().query_root_options()),
            Some("-d") => (Self::Sysroot, env.eapi().query_root_options()),
            Some("-b") => (Self::Host, env.eapi().query_root_options()),
            _ => return Ok((Self::Root, args)),
        };
        if !supported {
            return Err(HelperError::UnsupportedOption {
                helper: helper.to_owned(),
                option: first.to_string_lossy().into_owned(),
                eapi: env.eapi().name().to_owned(),
            });
        }
        Ok((place, rest))
    }

    fn root(self, env: &HelperEnv) -> PathBuf {
        let get = |name: &str| env.get(name).unwrap_or_default();
        let root = match self {
            // ROOT and not EROOT: an ebuild may set it for a single query.
            Self::Root => {
                let mut root = get("ROOT");
                if env.eapi().prefix() {
                    root.push(get("EPREFIX"));
                }
                root
            }
            Self::Sysroot => get("ESYSROOT"),
            Self::Host => get("BROOT"),
        };
        if root.is_empty() {
            PathBuf::from("/")
        } else {
            PathBuf::from(root)
        }
    }
}

/// Reads the atom and resolves its conditional flags by those of the package being built.
///
/// Ebuilds ask with what their EAPI does not have yet; that is told to their author and answered.
fn parse(env: &HelperEnv, helper: &str, text: &OsStr) -> Result<Atom, HelperError> {
    let invalid = || HelperError::InvalidAtom {
        helper: helper.to_owned(),
        atom: text.to_string_lossy().into_owned(),
    };
    let text = text.to_str().ok_or_else(invalid)?;
    let atom = match Atom::parse(text, env.eapi()) {
        Ok(atom) => atom,
        Err(e) => {
            let atom = Atom::parse(text, Eapi::LATEST).map_err(|_| invalid())?;
            message::say(env, Level::Qa, &format!("QA Notice: {helper}: {e}"));
            atom
        }
    };
    let flags = env.text("USE");
    Ok(atom.evaluate_use(|flag| flags.split_ascii_whitespace().any(|f| f == flag)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::testing::Build;
    use super::super::{HelperError, Outcome};

    fn install(root: &Path, package: &str, slot: &str, flags: &str) {
        let directory = root.join("var/db/pkg").join(package);
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in [
            ("EAPI", "8"),
            ("SLOT", slot),
            ("USE", flags),
            ("IUSE", "on off"),
            ("repository", "gentoo"),
            ("KEYWORDS", "amd64"),
        ] {
            fs::write(directory.join(name), format!("{text}\n")).unwrap();
        }
    }

    fn build(eapi: &str) -> Build {
        let build = Build::new(eapi);
        for (variable, root) in [("ROOT", "root"), ("ESYSROOT", "sysroot"), ("BROOT", "host")] {
            build.state(variable, build.path(root).to_str().unwrap());
        }
        install(&build.path("root"), "dev-libs/a-1.0", "0/1", "on");
        install(&build.path("root"), "dev-libs/a-1.10-r2", "1/2", "");
        install(&build.path("sysroot"), "dev-libs/s-1", "0", "");
        install(&build.path("host"), "dev-libs/h-1", "0", "");
        build
    }

    fn has(build: &Build, words: &[&str]) -> bool {
        let words: Vec<&str> = ["has_version"].iter().chain(words).copied().collect();
        match build.call(&words).result {
            Ok(Outcome::Exit(status)) => status == 0,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    #[test]
    fn packages_are_found_by_atom() {
        let build = build("8");
        build.state("USE", "on").state("EBUILD_PHASE", "setup");
        for (atom, found) in [
            ("dev-libs/a", true),
            ("dev-libs/b", false),
            (">=dev-libs/a-1.10", true),
            (">dev-libs/a-1.10-r2", false),
            ("dev-libs/a:0", true),
            ("dev-libs/a:1/2", true),
            ("dev-libs/a:2", false),
            ("dev-libs/a:0[on]", true),
            ("dev-libs/a:0[off]", false),
            ("dev-libs/a:0[on=]", true),
            ("dev-libs/a:0[off?]", true),
            ("dev-libs/a:1[on=]", false),
        ] {
            assert_eq!(has(&build, &[atom]), found, "{atom}");
        }
        let best = |atom| build.call(&["best_version", atom]).ok().stdout;
        assert_eq!(best("dev-libs/a"), "dev-libs/a-1.10-r2\n");
        assert_eq!(best("<dev-libs/a-1.5"), "dev-libs/a-1.0\n");
        assert_eq!(best("dev-libs/b"), "\n");
    }

    #[test]
    fn options_choose_the_root() {
        let eight = build("8");
        for (words, found) in [
            (["-r", "dev-libs/a"], true),
            (["-d", "dev-libs/a"], false),
            (["-d", "dev-libs/s"], true),
            (["-b", "dev-libs/h"], true),
            (["-b", "dev-libs/s"], false),
        ] {
            assert_eq!(has(&eight, &words), found, "{words:?}");
        }
        let other = eight.path("host");
        eight.var("ROOT", other.to_str().unwrap());
        assert!(has(&eight, &["dev-libs/h"]));
        assert!(has(&build("6"), &["--host-root", "dev-libs/h"]));
        for (eapi, option) in [("6", "-b"), ("4", "--host-root"), ("8", "--host-root")] {
            let called = build(eapi).call(&["has_version", option, "dev-libs/a"]);
            assert!(
                matches!(called.result, Err(HelperError::UnsupportedOption { .. })),
                "{eapi}"
            );
            assert!(called.fatal);
        }
    }

    #[test]
    fn questions_that_make_no_sense_end_the_build() {
        let build = build("8");
        for words in [
            &["has_version", "dev-libs/a-1.0"][..],
            &["has_version", "dev-libs/a::gentoo"],
            &["has_version", "a"],
            &["has_version", ""],
            &["has_version", "-b", "-d"],
            &["has_version"],
            &["has_version", "-b"],
            &["best_version", "dev-libs/a", "dev-libs/b"],
        ] {
            let called = build.call(words);
            assert!(
                called.result.is_err() && called.fatal,
                "{words:?}: {called:?}"
            );
        }
        let called = build.call(&["has_version", "a b"]);
        assert_eq!(called.error(), "has_version: invalid atom `a b`");
    }

    #[test]
    fn atoms_of_later_eapis_are_remarked_and_answered() {
        let build = build("0");
        assert!(has(&build, &["dev-libs/a:1"]));
        assert!(
            build
                .call(&["has_version", "dev-libs/a:1"])
                .stderr
                .contains("QA Notice")
        );
    }

    #[test]
    fn a_root_without_packages_has_none() {
        let build = Build::new("8");
        build.state("ROOT", build.path("nothing").to_str().unwrap());
        assert!(!has(&build, &["dev-libs/a"]));
        assert_eq!(
            build.call(&["best_version", "dev-libs/a"]).ok().stdout,
            "\n"
        );
    }
}
