//! The outer archive: headers that are written, and members that are found.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};

use tar::EntryType;

use super::{GpkgError, MANIFEST, VERSION_FILE};
use crate::binpkg::compression::Algorithm;
use crate::binpkg::image_tar::header::{Fields, HeaderFormat};
use crate::binpkg::tar_reader::{Kind, Member, TarReader};

/// From this length of the folder's name on Portage takes GNU's format.
const LONG_FOLDER: usize = 154;
/// From this size of an image on too, in bytes.
pub(super) const LARGE_IMAGE: u64 = 8_000_000_000;

/// The format of the container for a folder of this name and an image of this size.
pub(super) fn format(folder: &str, image_size: u64) -> HeaderFormat {
    if folder.len() >= LONG_FOLDER || image_size >= LARGE_IMAGE {
        HeaderFormat::GnuBare
    } else {
        HeaderFormat::Ustar
    }
}

/// The header of a member; also that of a file in the archive with the metadata.
pub(super) fn header(name: &str, size: u64, seconds: i64, format: HeaderFormat) -> Vec<u8> {
    Fields {
        name: name.as_bytes().to_vec(),
        link_name: Vec::new(),
        kind: EntryType::Regular,
        mode: 0o644,
        uid: 0,
        gid: 0,
        user: Vec::new(),
        group: Vec::new(),
        size,
        seconds,
        nanoseconds: 0,
        device: None,
        xattrs: Vec::new(),
    }
    .encode(format)
}

/// Where the content of a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The name, without the folder.
    pub(super) name: String,
    /// The first byte.
    pub(super) start: u64,
    /// How many there are.
    pub(super) size: u64,
}

/// The members of a container that is known to have just those that a package has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Members {
    /// The folder that all are in.
    pub(super) folder: String,
    /// Whether the headers are in GNU's format.
    pub(super) gnu: bool,
    pub(super) version: Place,
    pub(super) metadata: Place,
    pub(super) metadata_algorithm: Algorithm,
    pub(super) metadata_signature: Option<Place>,
    pub(super) image: Place,
    pub(super) image_algorithm: Algorithm,
    pub(super) image_signature: Option<Place>,
    pub(super) manifest: Place,
}

impl Members {
    /// Finds the members of the package in `file`, without looking at their contents.
    pub(super) fn find(file: &File) -> Result<Self, GpkgError> {
        let mut folder: Option<String> = None;
        let mut places = Vec::new();
        let mut reader = TarReader::new(file);
        let mut input = file;
        input.seek(SeekFrom::Start(0))?;
        while let Some(member) = reader.next_with(seek_over).map_err(GpkgError::Container)? {
            let wrong = |what| GpkgError::Member {
                name: member.shown(),
                what,
            };
            let (above, place) = split(&member).map_err(wrong)?;
            match &folder {
                Some(folder) if *folder != above => {
                    return Err(wrong("is in another folder than those before it"));
                }
                Some(_) => {}
                None => folder = Some(above),
            }
            places.push(place);
            if places.len() > 6 {
                return Err(wrong("is one too many"));
            }
        }
        let mut magic = [0; 8];
        std::os::unix::fs::FileExt::read_exact_at(file, &mut magic, 257)?;
        let folder = folder.ok_or(GpkgError::Missing(VERSION_FILE))?;
        Self::arrange(folder, magic == *b"ustar  \0", places)
    }

    /// Holds the members against the one order that they have in a package.
    fn arrange(folder: String, gnu: bool, places: Vec<Place>) -> Result<Self, GpkgError> {
        let mut places = places.into_iter().peekable();
        let version = places
            .next_if(|place| place.name == VERSION_FILE)
            .ok_or(GpkgError::Missing("gpkg-1 at the beginning"))?;
        if version.size != 0 {
            return Err(GpkgError::Member {
                name: version.name,
                what: "is not empty",
            });
        }
        let mut archive = |stem: &str| {
            let algorithm = places.peek().and_then(|place| {
                let suffix = place.name.strip_prefix(stem)?.strip_prefix(".tar")?;
                Algorithm::from_suffix(suffix)
            })?;
            let archive = places.next()?;
            let signature = format!("{}.sig", archive.name);
            Some((
                archive,
                algorithm,
                places.next_if(|place| place.name == signature),
            ))
        };
        let (metadata, metadata_algorithm, metadata_signature) =
            archive("metadata").ok_or(GpkgError::Missing("metadata.tar behind gpkg-1"))?;
        let (image, image_algorithm, image_signature) =
            archive("image").ok_or(GpkgError::Missing("image.tar behind the metadata"))?;
        let manifest = places
            .next_if(|place| place.name == MANIFEST)
            .ok_or(GpkgError::Missing("Manifest behind the image"))?;
        if let Some(further) = places.next() {
            return Err(GpkgError::Member {
                name: further.name,
                what: "does not belong into a package",
            });
        }
        Ok(Self {
            folder,
            gnu,
            version,
            metadata,
            metadata_algorithm,
            metadata_signature,
            image,
            image_algorithm,
            image_signature,
            manifest,
        })
    }

    /// All members but the Manifest, in their order.
    pub(super) fn before_manifest(&self) -> impl Iterator<Item = &Place> {
        [&self.version, &self.metadata]
            .into_iter()
            .chain(&self.metadata_signature)
            .chain([&self.image])
            .chain(&self.image_signature)
    }
}

/// Passes over a member's content. A lie about its length is found out at the next header, which is not there.
fn seek_over(input: &mut &File, count: u64) -> io::Result<()> {
    let count = i64::try_from(count).map_err(|_| io::ErrorKind::UnexpectedEof)?;
    input.seek(SeekFrom::Current(count)).map(|_| ())
}

/// The folder of a member, and its place.
fn split(member: &Member) -> Result<(String, Place), &'static str> {
    if member.kind != Kind::File {
        return Err("is no regular file");
    }
    if !member.xattrs.is_empty() {
        return Err("has extended attributes");
    }
    let name = std::str::from_utf8(&member.name).map_err(|_| "has a name that is not UTF-8")?;
    let Some((folder, name)) = name.split_once('/') else {
        return Err("is in no folder");
    };
    if matches!(folder, "" | "." | "..") || matches!(name, "" | "." | "..") || name.contains('/') {
        return Err("is not in one folder with the others");
    }
    Ok((
        folder.to_owned(),
        Place {
            name: name.to_owned(),
            start: member.position,
            size: member.size,
        },
    ))
}
