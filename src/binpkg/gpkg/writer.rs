//! Writing a package as Portage does.

use std::io::{self, BufWriter, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::container::{self, LARGE_IMAGE};
use super::manifest::{Manifest, Record, WRITTEN};
use super::{MANIFEST, VERSION_FILE, archive_name};
use crate::binpkg::build::BuildError;
use crate::binpkg::compression::Compression;
use crate::binpkg::image_tar::header::HeaderFormat;
use crate::binpkg::image_tar::{self, Contents, Layout, Packed};
use crate::binpkg::pkgdir::Reservation;
use crate::binpkg::signature::Signer;
use crate::binpkg::tar_reader::BLOCK;
use crate::binpkg::xpak::Metadata;
use crate::util::digest::MultiDigest;

/// How many bytes are written and hashed at a time: enough for hash functions to have threads.
const PIECE: usize = 1 << 20;

/// The unit in which archives end, in bytes.
const RECORD: u64 = 20 * BLOCK;

/// Packs `image` and `metadata` into the place that is reserved; `folder` is what the members are in.
///
/// # Errors
/// The image cannot be read or has what no gpkg can have, or the package cannot be written or signed.
pub fn write_gpkg(
    image: Contents<'_>,
    metadata: &Metadata,
    folder: &str,
    reservation: &mut Reservation,
    compression: &Compression,
    options: image_tar::Options,
    signer: Option<&Signer>,
) -> Result<Packed, BuildError> {
    let options = image_tar::Options {
        layout: Layout::Gpkg,
        ..options
    };
    let size = image_tar::total_size(image)?;
    let format = container::format(folder, size.min(LARGE_IMAGE));
    let mut container = Container::new(reservation, folder, format);
    container.small(VERSION_FILE, b"")?;

    container.metadata(metadata, compression, signer)?;

    let name = archive_name("image", compression.algorithm());
    let path = container.output.path().to_owned();
    let (start, packed) = container.streamed(&name, |output| {
        let mut compressor = compression.compress(output)?;
        let packed = image_tar::write_image(image, options, &mut compressor)
            .map_err(|error| BuildError::of_image(&path, error))?;
        let output = compressor
            .finish()
            .map_err(|source| BuildError::Write { path, source })?;
        Ok((packed, output))
    })?;
    container.sign(&name, start, signer)?;
    container.finish(signer)?;
    Ok(packed)
}

/// The archive with the metadata, uncompressed.
fn metadata_archive(metadata: &Metadata, seconds: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in metadata {
        let name = format!("metadata/{name}");
        // A name beyond what the format has is split at its slash, or is GNU's.
        let format = match name.len() {
            0..=100 => HeaderFormat::Ustar,
            _ => HeaderFormat::GnuBare,
        };
        let size = content.len() as u64;
        bytes.extend(container::header(&name, size, seconds, format));
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK as usize, 0);
    bytes.resize(bytes.len().next_multiple_of(RECORD as usize), 0);
    bytes
}

/// A container that is being written.
pub(super) struct Container<'a> {
    output: &'a mut Reservation,
    folder: &'a str,
    format: HeaderFormat,
    seconds: i64,
    manifest: Manifest,
}

impl<'a> Container<'a> {
    pub(super) fn new(output: &'a mut Reservation, folder: &'a str, format: HeaderFormat) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            output,
            folder,
            format,
            seconds: now.map_or(0, |now| now.as_secs() as i64),
            manifest: Manifest::default(),
        }
    }

    fn fail(&self, source: io::Error) -> BuildError {
        BuildError::Write {
            path: self.output.path().to_owned(),
            source,
        }
    }

    fn header(&self, name: &str, size: u64) -> Vec<u8> {
        let name = format!("{}/{name}", self.folder);
        container::header(&name, size, self.seconds, self.format)
    }

    /// Writes a member that is in memory, and gives where its content begins.
    pub(super) fn small(&mut self, name: &str, content: &[u8]) -> Result<u64, BuildError> {
        let mut digest = MultiDigest::new(&WRITTEN);
        digest.update(content);
        let start = self.unrecorded(name, content)?;
        self.manifest
            .records
            .push(Record::of(name, &digest.finish()));
        Ok(start)
    }

    fn unrecorded(&mut self, name: &str, content: &[u8]) -> Result<u64, BuildError> {
        let header = self.header(name, content.len() as u64);
        self.put(&header)?;
        let start = self.output.size();
        self.put(content)?;
        self.pad(BLOCK)?;
        Ok(start)
    }

    /// Writes a member whose size is known when it is written only, and gives where its content begins.
    pub(super) fn streamed<T>(
        &mut self,
        name: &str,
        write: impl FnOnce(BufWriter<Hashing<'_>>) -> Result<(T, BufWriter<Hashing<'_>>), BuildError>,
    ) -> Result<(u64, T), BuildError> {
        self.output.hash_at_end();
        let at = self.output.size();
        let header = self.header(name, 0);
        self.put(&header)?;
        let start = self.output.size();
        let path = self.output.path().to_owned();
        let fail = |source| BuildError::Write {
            path: path.clone(),
            source,
        };
        let hashing = Hashing {
            output: self.output,
            digest: MultiDigest::new(&WRITTEN),
        };
        let (given, output) = write(BufWriter::with_capacity(PIECE, hashing))?;
        let hashing = output
            .into_inner()
            .map_err(|error| fail(error.into_error()))?;
        let digests = hashing.digest.finish();
        self.pad(BLOCK)?;
        let header = self.header(name, digests.size());
        self.output.rewrite(at, &header).map_err(fail)?;
        self.manifest.records.push(Record::of(name, &digests));
        Ok((start, given))
    }

    /// Writes the member with the metadata, and its signature.
    pub(super) fn metadata(
        &mut self,
        metadata: &Metadata,
        compression: &Compression,
        signer: Option<&Signer>,
    ) -> Result<(), BuildError> {
        let name = archive_name("metadata", compression.algorithm());
        let mut archive = compression.compress(Vec::new())?;
        archive
            .write_all(&metadata_archive(metadata, self.seconds))
            .map_err(|source| self.fail(source))?;
        let packed = archive.finish().map_err(|source| self.fail(source))?;
        let start = self.small(&name, &packed)?;
        self.sign(&name, start, signer)
    }

    /// Signs the member that was written last, whose content begins at `start`.
    pub(super) fn sign(
        &mut self,
        name: &str,
        start: u64,
        signer: Option<&Signer>,
    ) -> Result<(), BuildError> {
        let Some(signer) = signer else {
            return Ok(());
        };
        let size = self.manifest.records.last().map_or(0, |record| record.size);
        let signature = signer.detached(&mut self.output.read_back(start, size))?;
        self.small(&format!("{name}.sig"), &signature)?;
        Ok(())
    }

    pub(super) fn finish(mut self, signer: Option<&Signer>) -> Result<(), BuildError> {
        let text = self.manifest.text().into_bytes();
        let text = match signer {
            Some(signer) => signer.clear(&text)?,
            None => text,
        };
        self.unrecorded(MANIFEST, &text)?;
        self.put(&[0; 2 * BLOCK as usize])?;
        self.pad(RECORD)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        self.output
            .write_all(bytes)
            .map_err(|source| self.fail(source))
    }

    fn pad(&mut self, unit: u64) -> Result<(), BuildError> {
        let size = self.output.size();
        self.put(&vec![0; (size.next_multiple_of(unit) - size) as usize])
    }
}

/// Makes the checksums of a member while it is written.
pub(super) struct Hashing<'a> {
    output: &'a mut Reservation,
    digest: MultiDigest,
}

impl Write for Hashing<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.output.write(buffer)?;
        self.digest.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
