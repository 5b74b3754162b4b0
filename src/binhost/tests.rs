//! Hosts, good and bad, on this machine.

mod downloads;
mod indexes;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Host;
use super::bring::{Accept, Desk, Wanted, bring, folder};
use super::choice::Unfit;
use super::index::{Freshness, HostError, HostIndex, load};
use super::instances::{Instance, Instances};
use crate::binpkg::audit::Audit;
use crate::binpkg::build::{PackageOptions, write_package};
use crate::binpkg::index::{Entry, FileFacts, HeaderSettings, Index};
use crate::binpkg::pkgdir::{Format, Pkgdir, PkgdirOptions};
use crate::binpkg::signature::Policy;
use crate::binpkg::xpak::Metadata;
use crate::config::BinaryRepository;
use crate::fetch::FetchOptions;
use crate::fetch::tests::world::{Reply, Server};
use crate::pms::cpv::Cpv;
use crate::util::causes::causes;

/// Options that wait for nothing.
fn options(distdir: PathBuf) -> FetchOptions {
    FetchOptions {
        connect_timeout: Duration::from_millis(1500),
        stall_timeout: Duration::from_millis(1500),
        attempts: 1,
        backoff: Duration::from_millis(1),
        resume_min_size: 0,
        ..FetchOptions::new(distdir)
    }
}

fn host(address: &str, distdir: &Path) -> Host {
    Host::new(
        BinaryRepository::at(address),
        options(distdir.to_owned()),
        Policy::Ignore,
    )
}

fn pkgdir(path: &Path) -> Pkgdir {
    Pkgdir::open(path, PkgdirOptions::default()).unwrap()
}

fn desk(pkgdir: &Pkgdir) -> Desk {
    let audit = Audit {
        policy: Policy::Ignore,
        verifier: None,
    };
    Desk {
        pkgdir: pkgdir.clone(),
        header: HeaderSettings::default(),
        own: audit.clone(),
        hosts: vec![audit],
    }
}

/// Puts a small package into a PKGDIR.
fn put(pkgdir: &Pkgdir, cpv: &str, built: u64, format: Format) -> Entry {
    put_with(pkgdir, cpv, built, format, &[])
}

/// The same with more metadata.
fn put_with(
    pkgdir: &Pkgdir,
    cpv: &str,
    built: u64,
    format: Format,
    more: &[(&str, &str)],
) -> Entry {
    let image = tempfile::tempdir().unwrap();
    fs::write(image.path().join("file"), built.to_string()).unwrap();
    let cpv = Cpv::parse(cpv).unwrap();
    let metadata: BTreeMap<String, Vec<u8>> = [
        ("CATEGORY", cpv.category()),
        ("PF", cpv.pf()),
        ("SLOT", "0"),
        ("EAPI", "8"),
        ("IUSE", "x"),
        ("USE", "x"),
        ("BUILD_TIME", &built.to_string()),
    ]
    .into_iter()
    .chain(more.iter().copied())
    .map(|(key, value)| (key.to_owned(), format!("{value}\n").into_bytes()))
    .collect();
    let place = pkgdir.reserve(&cpv, format).unwrap();
    let package = write_package(image.path(), metadata, place, &PackageOptions::default()).unwrap();
    let facts = FileFacts::try_from(package.file.written()).unwrap();
    let header = HeaderSettings::default();
    let published = pkgdir.publish(package.file, &cpv, &package.metadata, &header);
    published.unwrap();
    Entry::from_metadata(&cpv, &package.metadata, &facts).unwrap()
}

/// All files below a folder with their contents.
fn everything(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| (entry.path().to_owned(), fs::read(entry.path()).unwrap()))
        .collect()
}
