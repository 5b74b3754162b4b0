//! Packages that are not as they should be: each is one clear error.

use std::io::Read;
use std::path::PathBuf;

use proptest::prelude::*;
use tar::EntryType;

use super::manifest::{Record, WRITTEN};
use super::{GpkgError, GpkgFile, Manifest};
use crate::util::digest::MultiDigest;

/// A package to be spoilt: its members, and what the Manifest says, which is made when it is written.
struct Spoilt {
    members: Vec<(String, EntryType, Vec<u8>)>,
    manifest: Manifest,
}

fn tar_of(files: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in files {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

const FILE: EntryType = EntryType::Regular;

fn metadata() -> Vec<u8> {
    let files: [(&str, EntryType, &[u8]); 2] = [
        ("metadata/SLOT", FILE, b"0\n"),
        ("metadata/EAPI", FILE, b"8\n"),
    ];
    zstd::encode_all(&tar_of(&files)[..], 3).unwrap()
}

impl Spoilt {
    fn new() -> Self {
        let image = tar_of(&[("image/", EntryType::Directory, b"")]);
        Self::of(&[
            ("gpkg-1", b""),
            ("metadata.tar.zst", &metadata()),
            ("image.tar.zst", &zstd::encode_all(&image[..], 3).unwrap()),
        ])
    }

    fn of(members: &[(&str, &[u8])]) -> Self {
        let mut spoilt = Self {
            members: Vec::new(),
            manifest: Manifest::default(),
        };
        for (name, content) in members {
            let name = format!("foo-1-1/{name}");
            spoilt.members.push((name, FILE, content.to_vec()));
        }
        spoilt.record();
        spoilt
    }

    /// Makes the Manifest true.
    fn record(&mut self) {
        self.manifest.records.clear();
        for (name, _, content) in &self.members {
            let mut digest = MultiDigest::new(&WRITTEN);
            digest.update(content);
            let name = name.rsplit('/').next().unwrap();
            self.manifest
                .records
                .push(Record::of(name, &digest.finish()));
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut members = self.members.clone();
        let manifest = self.manifest.text().into_bytes();
        if !members.iter().any(|(name, ..)| name.ends_with("Manifest")) {
            members.push(("foo-1-1/Manifest".to_owned(), FILE, manifest));
        }
        let files: Vec<_> = members
            .iter()
            .map(|(name, kind, content)| (name.as_str(), *kind, content.as_slice()))
            .collect();
        tar_of(&files)
    }

    /// What reading everything of it gives.
    fn read(&self) -> Result<usize, GpkgError> {
        read(&self.bytes())
    }

    fn error(&self) -> String {
        crate::util::causes::causes(&self.read().unwrap_err()).join(": ")
    }
}

fn read(bytes: &[u8]) -> Result<usize, GpkgError> {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("foo-1-1.gpkg.tar");
    std::fs::write(&path, bytes).unwrap();
    let file = GpkgFile::open(&path)?;
    let metadata = file.metadata()?;
    let mut image = Vec::new();
    file.image()?.read_to_end(&mut image)?;
    Ok(metadata.len())
}

#[test]
fn the_unspoilt_package_is_read() {
    assert_eq!(Spoilt::new().read().unwrap(), 2);
}

#[test]
fn a_package_cut_off_anywhere_is_refused() {
    let bytes = Spoilt::new().bytes();
    for length in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        assert!(read(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_bit_that_flipped_in_any_content_is_found() {
    let good = Spoilt::new().bytes();
    let ends = good.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..=ends).step_by(31) {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        if let Ok(count) = read(&bytes) {
            // The filling between members is not covered, nor the name of one checksum of two.
            let covered = good[at] != 0 && !good[at].is_ascii_uppercase();
            assert!(!covered && count == 2, "byte {at}");
        }
    }
}

#[test]
fn refuses_other_members_than_a_package_has() {
    let good = Spoilt::new();
    let spoil = |change: &dyn Fn(&mut Spoilt), part: &str| {
        let mut spoilt = Spoilt {
            members: good.members.clone(),
            manifest: good.manifest.clone(),
        };
        change(&mut spoilt);
        let error = spoilt.error();
        assert!(error.contains(part), "{part:?}: {error}");
    };
    let extra = |name: &str| ("foo-1-1/".to_owned() + name, FILE, b"x".to_vec());
    spoil(
        &|package| package.members.push(extra("post-install.sh")),
        "there is no Manifest behind the image",
    );
    spoil(
        &|package| package.members.insert(0, extra("README")),
        "there is no gpkg-1 at the beginning",
    );
    spoil(
        &|package| {
            let twice = package.members[2].clone();
            package.members.push(twice);
            package.record();
        },
        "there is no Manifest behind the image",
    );
    spoil(
        &|package| {
            for at in 0..5 {
                package.members.push(extra(&format!("f{at}")));
            }
        },
        "is one too many",
    );
    spoil(
        &|package| package.members.swap(1, 2),
        "there is no metadata.tar behind gpkg-1",
    );
    spoil(
        &|package| package.members.truncate(2),
        "there is no image.tar",
    );
    spoil(
        &|package| package.members[0].2 = b"2".to_vec(),
        "\"gpkg-1\" is not empty",
    );
    spoil(
        &|package| package.members[1].0 = "bar-1-1/metadata.tar.zst".into(),
        "is in another folder",
    );
    spoil(
        &|package| package.members[1].0 = "metadata.tar.zst".into(),
        "is in no folder",
    );
    for name in [
        "../metadata.tar.zst",
        "/metadata.tar.zst",
        "a/b/metadata.tar.zst",
        "a/../x",
    ] {
        spoil(
            &|package| package.members[1].0 = name.into(),
            "is not in one folder with the others",
        );
    }
    spoil(
        &|package| {
            package.members[1].1 = EntryType::Symlink;
            package.members[1].2.clear();
        },
        "is no regular file",
    );
    spoil(
        &|package| {
            let end = package.members.len();
            package.members.insert(
                end,
                (
                    "foo-1-1/Manifest".into(),
                    FILE,
                    package.manifest.text().into(),
                ),
            );
            package.members.push(extra("late"));
        },
        "does not belong into a package",
    );
    let mut behind = good.bytes();
    behind.extend(good.bytes());
    let error = crate::util::causes::causes(&read(&behind).unwrap_err()).join(": ");
    assert!(error.contains("something behind the end"), "{error}");
}

#[test]
fn refuses_a_manifest_that_does_not_fit() {
    let error = |change: &dyn Fn(&mut Manifest)| {
        let mut spoilt = Spoilt::new();
        change(&mut spoilt.manifest);
        spoilt.error()
    };
    let text = error(&|manifest| manifest.records.truncate(2));
    assert!(
        text.contains("\"image.tar.zst\" is not in the Manifest"),
        "{text}"
    );
    let text = error(&|manifest| {
        let mut record = manifest.records[0].clone();
        record.name = "gone".into();
        manifest.records.push(record);
    });
    assert!(
        text.contains("\"gone\" is in the Manifest, but not in the package"),
        "{text}"
    );
    let text = error(&|manifest| manifest.records[1].size += 1);
    assert!(
        text.contains("metadata.tar.zst has") && text.contains("in the Manifest"),
        "{text}"
    );
    for member in [1, 2] {
        for hash in [0, 1] {
            let text = error(&|manifest| {
                let value = &mut manifest.records[member].hashes[hash].1;
                let first = if value.starts_with('0') { "1" } else { "0" };
                value.replace_range(0..1, first);
            });
            let name = WRITTEN[hash].name();
            assert!(
                text.contains(&format!("its {name} is not that of the Manifest")),
                "{text}"
            );
        }
    }
}

#[test]
fn refuses_metadata_that_portage_would_not_write() {
    let error = |files: &[(&str, EntryType, &[u8])]| {
        let mut spoilt = Spoilt::new();
        spoilt.members[1].2 = zstd::encode_all(&tar_of(files)[..], 3).unwrap();
        spoilt.record();
        spoilt.error()
    };
    for (name, kind) in [
        ("metadata/../SLOT", FILE),
        ("../SLOT", FILE),
        ("/etc/passwd", FILE),
        ("SLOT", FILE),
        ("metadata/a/b", FILE),
        ("metadata", EntryType::Directory),
        ("metadata/SLOT", EntryType::Symlink),
        ("metadata/SLOT", EntryType::Link),
        ("metadata/SLOT", EntryType::Char),
    ] {
        let text = error(&[(name, kind, b"")]);
        assert!(
            text.contains("is not the name of a metadata file"),
            "{name}: {text}"
        );
    }
    let text = error(&[("metadata/SLOT", FILE, b"0"), ("metadata/SLOT", FILE, b"1")]);
    assert!(text.contains("or is there twice"), "{text}");

    let mut spoilt = Spoilt::new();
    spoilt.members[1].2 = tar_of(&[("metadata/SLOT", FILE, b"0")]);
    spoilt.record();
    assert!(
        spoilt
            .error()
            .contains("is not compressed as its name says")
    );
    spoilt.members[1].2 = b"neither".to_vec();
    spoilt.record();
    assert!(
        spoilt
            .error()
            .contains("is not compressed as its name says")
    );
    spoilt.members[1].2 = metadata()[..40].to_vec();
    spoilt.record();
    let text = spoilt.error();
    assert!(text.contains("the metadata cannot be read"), "{text}");
}

#[test]
fn a_bomb_in_the_metadata_is_not_unpacked() {
    let mut spoilt = Spoilt::new();
    // Claims more than is read, and has it.
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..13].copy_from_slice(b"metadata/BOMB");
    header.set_size(300 << 20);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_cksum();
    let plain = header.as_bytes().chain(std::io::repeat(0).take(300 << 20));
    spoilt.members[1].2 = zstd::encode_all(plain, 1).unwrap();
    spoilt.record();
    let text = spoilt.error();
    assert!(text.contains("the metadata is larger than"), "{text}");
}

#[test]
fn a_file_that_claims_more_than_it_has_is_refused() {
    let mut bytes = Spoilt::new().bytes();
    // The size of the second member, at 124 of its header.
    let at = 512 + 124;
    bytes[at..at + 12].copy_from_slice(b"77777777777\0");
    let sum: u32 = (0..512)
        .map(|index| match index {
            148..156 => u32::from(b' '),
            _ => u32::from(bytes[512 + index]),
        })
        .sum();
    bytes[512 + 148..512 + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let error = crate::util::causes::causes(&read(&bytes).unwrap_err()).join(": ");
    assert!(error.contains("the archive is cut off"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_damage_panics(at in 0_usize..4608, value: u8) {
        let mut bytes = Spoilt::new().bytes();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        let _ = read(&bytes);
    }
}
