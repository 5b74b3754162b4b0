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
