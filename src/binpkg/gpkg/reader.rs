//! Reading a package: nothing of it is given before the Manifest says that it is what was packed.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

use super::container::{Members, Place};
use super::{GpkgError, Manifest};
use crate::binpkg::compression::{Algorithm, decompress};
use crate::binpkg::tar_reader::{Kind, TarReader};
use crate::binpkg::xpak::Metadata;

/// The largest Manifest or signature, in bytes.
const LARGEST_TEXT: u64 = 1 << 20;
/// The largest metadata, packed or unpacked, in bytes. Real ones have some kilobytes, seldom megabytes.
const LARGEST_METADATA: u64 = 256 << 20;
/// The most files of metadata.
const MOST_FILES: usize = 10_000;

/// A part of a package that has a signature of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The files of build-info.
    Metadata,
    /// What is installed.
    Image,
}

/// A package file in the gpkg format, opened, with members and Manifest that belong together.
///
/// What the signatures of a signed package are worth is not looked at here, see [`crate::binpkg::signature`].
#[derive(Debug)]
pub struct GpkgFile {
    file: File,
    path: PathBuf,
    members: Members,
    manifest: Manifest,
    manifest_text: Vec<u8>,
}

impl GpkgFile {
    /// Opens the package at `path`, finds its members and reads its Manifest. Checksums are not made yet.
    ///
    /// # Errors
    /// The file cannot be read, has other members than a package has, or the Manifest tells of other members or sizes.
    pub fn open(path: &Path) -> Result<Self, GpkgError> {
        let file = File::open(path)?;
        let members = Members::find(&file)?;
        let manifest_text = read_small(&file, &members.manifest, "the Manifest", LARGEST_TEXT)?;
        let manifest = Manifest::parse(&manifest_text)?;
        for place in members.before_manifest() {
            let record = manifest.get(&place.name).ok_or(GpkgError::Member {
                name: place.name.clone(),
                what: "is not in the Manifest",
            })?;
            if record.size != place.size {
                return Err(GpkgError::Size {
                    name: place.name.clone(),
                    found: place.size,
                    expected: record.size,
                });
            }
        }
        if let Some(record) = manifest.records.iter().find(|record| {
            members
                .before_manifest()
                .all(|place| place.name != record.name)
        }) {
            return Err(GpkgError::Member {
                name: record.name.clone(),
                what: "is in the Manifest, but not in the package",
            });
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            members,
            manifest,
            manifest_text,
        })
    }

    /// The path the file was opened under.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that the members are in: `PF`, or `PF-BUILD_ID`.
    pub fn folder(&self) -> &str {
        &self.members.folder
    }

    /// The Manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The Manifest as it stands in the package, with its signature.
    pub fn manifest_text(&self) -> &[u8] {
        &self.manifest_text
    }

    /// How the image is compressed.
    pub fn image_algorithm(&self) -> Algorithm {
        self.members.image_algorithm
    }

    /// Whether anything in the package is signed.
    pub fn is_signed(&self) -> bool {
        self.manifest.signed
            || self.members.metadata_signature.is_some()
            || self.members.image_signature.is_some()
    }

    /// The detached signature of a part, if it has one.
    ///
    /// # Errors
    /// It cannot be read, or is not what the Manifest tells of.
    pub fn signature(&self, part: Part) -> Result<Option<Vec<u8>>, GpkgError> {
        let place = match part {
            Part::Metadata => &self.members.metadata_signature,
            Part::Image => &self.members.image_signature,
        };
        let Some(place) = place else {
            return Ok(None);
        };
        self.verify_place(place)?;
        read_small(&self.file, place, "a signature", LARGEST_TEXT).map(Some)
    }

    /// A part as it is packed, compressed, of which nothing was verified.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn packed(&self, part: Part) -> Result<Take<&File>, GpkgError> {
        self.content(match part {
            Part::Metadata => &self.members.metadata,
            Part::Image => &self.members.image,
        })
    }

    /// Holds every member against its checksums in the Manifest.
    ///
    /// # Errors
    /// The first member that differs.
    pub fn verify(&self) -> Result<(), GpkgError> {
        self.members
            .before_manifest()
            .try_for_each(|place| self.verify_place(place))
    }

    /// Reads all metadata, after its checksums.
    ///
    /// # Errors
    /// The metadata is damaged, or is not in the form that Portage writes: regular files below `metadata`.
    pub fn metadata(&self) -> Result<Metadata, GpkgError> {
        self.verify_place(&self.members.version)?;
        let place = &self.members.metadata;
        let packed = read_small(&self.file, place, "the metadata", LARGEST_METADATA)?;
        let record = self
            .manifest
            .get(&place.name)
            .ok_or(GpkgError::Missing("Manifest"))?;
        let mut digest = record.digest();
        digest.update(&packed);
        record.check(&digest.finish())?;
        check_compression(place, self.members.metadata_algorithm, &packed)?;
        let plain = decompress(&packed[..]).map_err(|source| GpkgError::Compression {
            name: place.name.clone(),
            source: Some(source),
        })?;
        read_metadata(plain.take(LARGEST_METADATA + 1))
    }

    /// The image, still packed, after all checksums.
    ///
    /// # Errors
    /// The package is damaged.
    pub fn image(&self) -> Result<Take<&File>, GpkgError> {
        self.verify()?;
        let place = &self.members.image;
        let mut head = Vec::new();
        self.content(place)?.take(512).read_to_end(&mut head)?;
        check_compression(place, self.members.image_algorithm, &head)?;
        self.content(place)
    }

    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    pub(super) fn content(&self, place: &Place) -> Result<Take<&File>, GpkgError> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(place.start))?;
        Ok(file.take(place.size))
    }

    fn verify_place(&self, place: &Place) -> Result<(), GpkgError> {
        let record = self
            .manifest
            .get(&place.name)
            .ok_or(GpkgError::Missing("Manifest"))?;
        let mut digest = record.digest();
        digest.update_reader(self.content(place)?)?;
        record.check(&digest.finish())
    }
}

/// A member that is small enough to be read into memory.
fn read_small(
    mut file: &File,
    place: &Place,
    what: &'static str,
    limit: u64,
) -> Result<Vec<u8>, GpkgError> {
    if place.size > limit {
        return Err(GpkgError::TooLarge { what, limit });
    }
    file.seek(SeekFrom::Start(place.start))?;
    let mut bytes = Vec::new();
    file.take(place.size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The name says how a member is compressed; what begins otherwise would be another thing to Portage.
fn check_compression(place: &Place, named: Algorithm, head: &[u8]) -> Result<(), GpkgError> {
    match Algorithm::probe(head) {
        Some(found) if found == named => Ok(()),
        _ => Err(GpkgError::Compression {
            name: place.name.clone(),
            source: None,
        }),
    }
}

fn read_metadata(input: impl Read) -> Result<Metadata, GpkgError> {
    let mut metadata = Metadata::new();
    let mut total = 0_u64;
    let mut reader = TarReader::new(BufReader::new(input));
    while let Some(member) = reader.next_member().map_err(GpkgError::Metadata)? {
        let wrong = || GpkgError::MetadataName {
            name: member.shown(),
        };
        let name = std::str::from_utf8(&member.name)
            .ok()
            .and_then(|name| name.strip_prefix("metadata/"))
            .filter(|name| !matches!(*name, "" | "." | "..") && !name.contains('/'))
            .filter(|_| member.kind == Kind::File)
            .ok_or_else(wrong)?;
        total = total.saturating_add(member.size);
        if total > LARGEST_METADATA || metadata.len() >= MOST_FILES {
            return Err(GpkgError::TooLarge {
                what: "the metadata",
                limit: LARGEST_METADATA,
            });
        }
        let mut content = Vec::new();
        reader
            .read_to_end(&mut content)
            .map_err(|error| GpkgError::Metadata(error.into()))?;
        if metadata.insert(name.to_owned(), content).is_some() {
            return Err(wrong());
        }
    }
    Ok(metadata)
}
