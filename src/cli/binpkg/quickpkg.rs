//! `ebd binpkg quickpkg`.

use serde_json::json;

use super::{Opened, configuration, line, tell, tell_error};
use crate::binpkg::build::PackageOptions;
use crate::binpkg::image_tar;
use crate::binpkg::pkgdir::Format;
use crate::binpkg::quickpkg::{Configuration, Manner, Protection, Quick, Source, quickpkg};
use crate::binpkg::selection::Names;
use crate::build::packaging::{package_compression, package_format, package_signer};
use crate::cli::arguments;
use crate::cli::arguments::binpkg::Quickpkg;
use crate::cli::build::Failure;
use crate::cli::exit::Exit;
use crate::config::Config;
use crate::pms::atom::PackageFacts;
use crate::repo::installed::{Installed, InstalledPackage};
use crate::util::lock::{Lock, portage_lockfile};

pub(super) fn run(arguments: &Quickpkg) -> Result<Exit, Failure> {
    let config = configuration(&arguments.store, arguments.root.as_deref(), &[])?;
    let opened = Opened::with(config, true)?;
    let config = &opened.config;
    let value = |name: &str| opened.setting(name);
    let feature = |name: &str| config.features().contains(name);
    let asked = arguments.format.map(|format| match format {
        arguments::Format::Gpkg => Format::Gpkg,
        arguments::Format::Xpak => Format::Xpak,
    });
    let format = package_format(asked, &value)?;
    let protection = Protection::new(
        config.eroot(),
        &value("CONFIG_PROTECT").unwrap_or_default(),
        &value("CONFIG_PROTECT_MASK").unwrap_or_default(),
    );
    let header = opened.header();
    let manner = Manner {
        format,
        options: PackageOptions {
            compression: package_compression(&value)?,
            image: image_tar::Options {
                xattrs: feature("xattr"),
                ..image_tar::Options::default()
            },
            signer: package_signer(format, feature("binpkg-signing"), &value)?,
            keep_build_id: true,
        },
        configuration: match (
            arguments.include_config,
            arguments.include_unmodified_config,
        ) {
            (true, _) => Configuration::Included,
            (false, true) => Configuration::Unmodified,
            (false, false) => Configuration::Excluded,
        },
        protection: &protection,
        header: &header,
    };
    let packages = wanted(arguments, config)?;
    // Nothing is installed or removed meanwhile. Whoever may not lock that may not change it either.
    let database = config.eroot().join("var/db/pkg");
    let _lock = Lock::acquire(&portage_lockfile(&database))
        .map(Lock::remove_on_release)
        .ok();
    let mut done = Exit::Done;
    for package in packages {
        warn(&package, arguments.store.json);
        let source = Source {
            cpv: package.cpv(),
            folder: package.path(),
            root: config.root(),
        };
        match quickpkg(&opened.pkgdir, source, &manner) {
            Ok(quick) => report(&package, &quick, arguments.store.json),
            Err(error) => {
                tell(&error, arguments.store.json);
                done = Exit::Failed;
            }
        }
    }
    Ok(done)
}

/// The installed packages that were named.
fn wanted(
    arguments: &Quickpkg,
    config: &Config,
) -> Result<Vec<std::sync::Arc<InstalledPackage>>, Failure> {
    let eroot = config.eroot();
    let Some(installed) = Installed::open(eroot)? else {
        let database = eroot.join("var/db/pkg");
        return Err(Failure(vec![format!(
            "{}: there is no database of installed packages",
            database.display()
        )]));
    };
    let all = installed.all()?;
    let mut wanted: Vec<std::sync::Arc<InstalledPackage>> = Vec::new();
    for text in &arguments.atoms {
        let names = Names::parse(std::slice::from_ref(text), config.repositories().names())?;
        names.check(all.iter().filter_map(|package| package.repository()))?;
        let before = wanted.len();
        for package in &all {
            if names.names(package.as_ref()) && !wanted.iter().any(|it| it.cpv() == package.cpv()) {
                wanted.push(package.clone());
            }
        }
        if wanted.len() == before && !all.iter().any(|package| names.names(package.as_ref())) {
            return Err(Failure(vec![format!(
                "{text}: no such package is installed"
            )]));
        }
    }
    Ok(wanted)
}

/// Tells what may forbid giving the package to others.
fn warn(package: &InstalledPackage, json: bool) {
    let has = |words: &str, word: &str| {
        words
            .split_whitespace()
            .any(|it| it.trim_start_matches(['+', '-']) == word)
    };
    let field = |name: &str| package.field(name).unwrap_or_default();
    let reason = if has(&field("IUSE"), "bindist") && !has(&field("USE"), "bindist") {
        "it was built with USE=-bindist"
    } else if has(&field("RESTRICT"), "bindist") {
        "it has RESTRICT=bindist"
    } else {
        return;
    };
    tell_error(
        &[format!(
            "{}: {reason}; its licence may not let you give the package to others",
            package.cpv()
        )],
        json,
    );
}

fn report(package: &InstalledPackage, quick: &Quick, json: bool) {
    let value = json!({
        "event": "packed",
        "cpv": package.cpv().to_string(),
        "path": quick.file.path,
        "size": quick.file.size,
        "excluded": quick.excluded,
        "missing": quick.missing,
        "changed": quick.changed,
    });
    if json {
        line(Some(value), "");
        return;
    }
    line(None, &quick.file.path.display().to_string());
    for (paths, what) in [
        (&quick.excluded, "left out, as it is protected"),
        (&quick.missing, "not there any more"),
        (&quick.changed, "not as it was installed"),
    ] {
        for path in paths {
            line(None, &format!("  {}: {what}", path.display()));
        }
    }
}
