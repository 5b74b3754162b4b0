//! The compressions of binary packages: written as Portage's commands do, read by their magic bytes.

use std::fmt;
use std::io::{self, BufReader, Read, Write};

use liblzma::stream::{Check, MtStreamBuilder};
use zstd::stream::raw::CParameter;

/// As many bytes as it takes to recognise a plain tar archive, the longest of all probes.
const PROBE_LENGTH: usize = 263;
/// Where a tar archive says `ustar`.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;
/// What `xz` is allowed to take of the machine's memory to decompress, in bytes.
const XZ_MEMORY: u64 = 2 << 30;

/// What is wrong with a compression.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    /// `BINPKG_COMPRESS` names no compression that Portage knows.
    #[error("BINPKG_COMPRESS: {0:?} is no compression (zstd, xz, bzip2, gzip, lz4 or none)")]
    Unknown(String),
    /// A compression that Portage knows and this program does not.
    #[error("{0} is not supported yet; use zstd, xz, bzip2, gzip, lz4 or none")]
    Unsupported(Algorithm),
    /// A flag in `BINPKG_COMPRESS_FLAGS` that cannot be translated.
    #[error("BINPKG_COMPRESS_FLAGS: the {algorithm} flag {flag:?} is not supported")]
    Flag {
        /// The compression the flags are for.
        algorithm: Algorithm,
        /// The flag.
        flag: String,
    },
    /// The bytes begin like none of the known compressions, nor like a tar archive.
    #[error("the compression of the image is not recognised")]
    Unrecognised,
    /// Reading, writing or (de)compressing failed.
    #[error("the image cannot be compressed or decompressed")]
    Io(#[from] io::Error),
}

/// A compression that Portage knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Not compressed.
    None,
    /// `zstd`, the default.
    Zstd,
    /// `xz`.
    Xz,
    /// `bzip2`.
    Bzip2,
    /// `gzip`.
    Gzip,
    /// `lz4`.
    Lz4,
    /// `lzip`: recognised only.
    Lzip,
    /// `lzop`: recognised only.
    Lzop,
}

impl Algorithm {
    /// The name that `BINPKG_COMPRESS` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Lzip => "lzip",
            Self::Lzop => "lzop",
        }
    }

    /// What follows `.tar` in the names of members of a gpkg.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Zstd => ".zst",
            Self::Xz => ".xz",
            Self::Bzip2 => ".bz2",
            Self::Gzip => ".gz",
            Self::Lz4 => ".lz4",
            Self::Lzip => ".lz",
            Self::Lzop => ".lzo",
        }
    }

    /// The compression with this suffix.
    pub fn from_suffix(suffix: &str) -> Option<Self> {
        [
            Self::None,
            Self::Zstd,
            Self::Xz,
            Self::Bzip2,
            Self::Gzip,
            Self::Lz4,
            Self::Lzip,
            Self::Lzop,
        ]
        .into_iter()
        .find(|algorithm| algorithm.suffix() == suffix)
    }

    /// Recognises a compression by the first bytes of a file; 263 bytes are always enough.
    ///
    /// [`Algorithm::None`] is given for what begins like a tar archive, and nothing for what is neither.
    pub fn probe(head: &[u8]) -> Option<Self> {
        match head {
            [0x22..=0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x04, 0x22, 0x4d, 0x18, ..] | [0x02, 0x21, 0x4c, 0x18, ..] => Some(Self::Lz4),
            [b'L', b'Z', b'I', b'P', ..] => Some(Self::Lzip),
            [0x89, b'L', b'Z', b'O', 0, 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some(Self::Lzop),
            _ if head.get(TAR_MAGIC) == Some(b"ustar") => Some(Self::None),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How an image is compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    algorithm: Algorithm,
    level: i32,
    /// `zstd --long`: the logarithm of the window's size.
    window_log: Option<u32>,
    threads: u32,
}

impl Compression {
    /// What the settings of make.conf(5) ask for.
    ///
    /// `name` is `BINPKG_COMPRESS` (unset means `zstd` to the caller, empty means none), `flags` the value of
    /// `BINPKG_COMPRESS_FLAGS_<NAME>` or else `BINPKG_COMPRESS_FLAGS`, `jobs` the number of jobs in `MAKEOPTS`.
    ///
    /// # Errors
    /// A compression or a flag that is not known.
    pub fn from_settings(name: &str, flags: &str, jobs: u32) -> Result<Self, CompressionError> {
        let algorithm = match name {
            "" | "none" => Algorithm::None,
            "zstd" => Algorithm::Zstd,
            "xz" => Algorithm::Xz,
            "bzip2" => Algorithm::Bzip2,
            "gzip" => Algorithm::Gzip,
            "lz4" => Algorithm::Lz4,
            "lzip" => return Err(CompressionError::Unsupported(Algorithm::Lzip)),
            "lzop" => return Err(CompressionError::Unsupported(Algorithm::Lzop)),
            other => return Err(CompressionError::Unknown(other.to_owned())),
        };
        let mut compression = Self::with_default_level(algorithm, jobs);
        if algorithm != Algorithm::None {
            for flag in flags.split_whitespace() {
                compression.apply(flag)?;
            }
        }
        Ok(compression)
    }

    /// `algorithm` at the level its command has when no flag says otherwise, with so many threads where it knows any.
    pub fn with_default_level(algorithm: Algorithm, threads: u32) -> Self {
        let level = match algorithm {
            Algorithm::Zstd => 3,
            Algorithm::Bzip2 => 9,
            Algorithm::Lz4 => 1,
            _ => 6,
        };
        Self {
            algorithm,
            level,
            window_log: None,
            threads: threads.max(1),
        }
    }

    /// The compression's name and magic.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Wraps `output` so that what is written is compressed. Call [`Compressor::finish`] at the end.
    ///
    /// # Errors
    /// The library refuses the settings, or the algorithm can only be recognised.
    pub fn compress<W: Write>(&self, output: W) -> Result<Compressor<W>, CompressionError> {
        let encoder = match self.algorithm {
            Algorithm::None => Encoder::None(output),
            Algorithm::Zstd => {
                let mut encoder = zstd::Encoder::new(output, self.level)?;
                encoder.include_checksum(true)?;
                // Never 0: the result is then the same for every number of threads.
                encoder.multithread(self.threads)?;
                if let Some(window_log) = self.window_log {
                    encoder.set_parameter(CParameter::EnableLongDistanceMatching(true))?;
                    encoder.window_log(window_log)?;
                }
                Encoder::Zstd(encoder)
            }
            Algorithm::Xz => {
                let stream = MtStreamBuilder::new()
                    .threads(self.threads)
                    .preset(self.level as u32)
                    .check(Check::Crc64)
                    .encoder()
                    .map_err(io::Error::from)?;
                Encoder::Xz(liblzma::write::XzEncoder::new_stream(output, stream))
            }
            Algorithm::Bzip2 => Encoder::Bzip2(bzip2::write::BzEncoder::new(
                output,
                bzip2::Compression::new(self.level as u32),
            )),
            Algorithm::Gzip => Encoder::Gzip(flate2::write::GzEncoder::new(
                output,
                flate2::Compression::new(self.level as u32),
            )),
            Algorithm::Lz4 => {
                // As the command does: blocks of 4 MB, each on its own, with a checksum of the whole.
                let frame = lz4_flex::frame::FrameInfo::new()
                    .block_size(lz4_flex::frame::BlockSize::Max4MB)
                    .content_checksum(true);
                Encoder::Lz4(Box::new(lz4_flex::frame::FrameEncoder::with_frame_info(
                    frame, output,
                )))
            }
            algorithm @ (Algorithm::Lzip | Algorithm::Lzop) => {
                return Err(CompressionError::Unsupported(algorithm));
            }
        };
        Ok(Compressor { encoder })
    }

    fn apply(&mut self, flag: &str) -> Result<(), CompressionError> {
        let unsupported = || CompressionError::Flag {
            algorithm: self.algorithm,
            flag: flag.to_owned(),
        };
        let number = |text: &str| text.parse::<u32>().map_err(|_| unsupported());
        match (self.algorithm, flag) {
            (_, "-q" | "--quiet")
            | (Algorithm::Zstd, "--ultra" | "--check" | "-c" | "--no-progress") => {}
            (Algorithm::Gzip, "-n" | "--no-name") => {}
            (Algorithm::Zstd, "--fast") => self.level = -1,
            (Algorithm::Zstd, "--max") => (self.level, self.window_log) = (22, Some(27)),
            (Algorithm::Zstd, "--long") => self.window_log = Some(27),
            (Algorithm::Xz | Algorithm::Gzip, "--fast") => self.level = 1,
            (Algorithm::Xz | Algorithm::Gzip | Algorithm::Bzip2, "--best") => self.level = 9,
            (Algorithm::Zstd, _) if flag.starts_with("--fast=") => {
                let level = number(flag.trim_start_matches("--fast="))?;
                self.level = i32::try_from(level)
                    .map(|level| -level)
                    .map_err(|_| unsupported())?;
            }
            (Algorithm::Zstd, _) if flag.starts_with("--long=") => {
                self.window_log = match number(flag.trim_start_matches("--long="))? {
                    log @ 10..=31 => Some(log),
                    _ => return Err(unsupported()),
                };
            }
            (Algorithm::Zstd | Algorithm::Xz, _)
                if flag.starts_with("-T") || flag.starts_with("--threads=") =>
            {
                let count = flag
                    .trim_start_matches("-T")
                    .trim_start_matches("--threads=");
                self.threads = match number(count)? {
                    0 => std::thread::available_parallelism().map_or(1, |count| count.get() as u32),
                    count => count,
                };
            }
            _ => {
                let level = number(flag.strip_prefix('-').ok_or_else(unsupported)?)?;
                let levels = match self.algorithm {
                    Algorithm::Zstd => 1..=22,
                    Algorithm::Xz => 0..=9,
                    // Portage recognises bzip2 by `BZh9` and reads no other level.
                    Algorithm::Bzip2 => 9..=9,
                    // The library compresses fast only.
                    Algorithm::Lz4 => 1..=1,
                    _ => 1..=9,
                };
                if !levels.contains(&level) {
                    return Err(unsupported());
                }
                self.level = level as i32;
            }
        }
        Ok(())
    }
}

impl Default for Compression {
    /// `BINPKG_COMPRESS="zstd"`, one thread.
    fn default() -> Self {
        Self::with_default_level(Algorithm::Zstd, 1)
    }
}

/// A writer that compresses.
pub struct Compressor<W: Write> {
    encoder: Encoder<W>,
}

enum Encoder<W: Write> {
    None(W),
    Zstd(zstd::Encoder<'static, W>),
    Xz(liblzma::write::XzEncoder<W>),
    Bzip2(bzip2::write::BzEncoder<W>),
    Gzip(flate2::write::GzEncoder<W>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<W>>),
}

impl<W: Write> Compressor<W> {
    /// Writes what is still held back and gives the output back.
    ///
    /// # Errors
    /// Writing fails.
    pub fn finish(self) -> io::Result<W> {
        match self.encoder {
            Encoder::None(output) => Ok(output),
            Encoder::Zstd(encoder) => encoder.finish(),
            Encoder::Xz(encoder) => encoder.finish(),
            Encoder::Bzip2(encoder) => encoder.finish(),
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Lz4(encoder) => encoder.finish().map_err(io::Error::from),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.encoder {
            Encoder::None(output) => output,
            Encoder::Zstd(encoder) => encoder,
            Encoder::Xz(encoder) => encoder,
            Encoder::Bzip2(encoder) => encoder,
            Encoder::Gzip(encoder) => encoder,
            Encoder::Lz4(encoder) => encoder,
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.writer().write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }
}

/// How many bytes are read at a time.
const PIECE: usize = 128 << 10;

/// Decompresses `input`, whatever its first bytes say it is.
///
/// # Errors
/// The compression is not recognised or not supported, or the input cannot be read. Damage further on is an error of
/// the reader that is given.
pub fn decompress<'a, R: Read + 'a>(mut input: R) -> Result<Box<dyn Read + 'a>, CompressionError> {
    let mut head = Vec::new();
    (&mut input)
        .take(PROBE_LENGTH as u64)
        .read_to_end(&mut head)?;
    let algorithm = Algorithm::probe(&head).ok_or(CompressionError::Unrecognised)?;
    let whole = BufReader::with_capacity(PIECE, io::Cursor::new(head).chain(input));
    Ok(match algorithm {
        Algorithm::None => Box::new(whole),
        Algorithm::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(whole)?;
            // Portage decompresses with --long=31.
            decoder.window_log_max(31)?;
            buffered(decoder)
        }
        Algorithm::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(
                XZ_MEMORY,
                liblzma::stream::CONCATENATED,
            )
            .map_err(io::Error::from)?;
            buffered(liblzma::bufread::XzDecoder::new_stream(whole, stream))
        }
        Algorithm::Bzip2 => buffered(bzip2::bufread::MultiBzDecoder::new(whole)),
        Algorithm::Gzip => buffered(flate2::bufread::MultiGzDecoder::new(whole)),
        Algorithm::Lz4 => buffered(lz4_flex::frame::FrameDecoder::new(whole)),
        Algorithm::Lzip | Algorithm::Lzop => {
            return Err(CompressionError::Unsupported(algorithm));
        }
    })
}

/// Archives are read in small pieces, which decoders are slow to give.
fn buffered<'a>(decoder: impl Read + 'a) -> Box<dyn Read + 'a> {
    Box::new(BufReader::with_capacity(PIECE, decoder))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const NAMES: [&str; 6] = ["none", "zstd", "xz", "bzip2", "gzip", "lz4"];

    fn archive() -> Vec<u8> {
        let mut bytes = vec![b'x'; 300_000];
        for (position, byte) in bytes.iter_mut().enumerate() {
            *byte = ((position * position) >> 7) as u8;
        }
        bytes[TAR_MAGIC].copy_from_slice(b"ustar");
        bytes
    }

    fn compressed(name: &str, flags: &str, jobs: u32) -> Vec<u8> {
        let compression = Compression::from_settings(name, flags, jobs).unwrap();
        let mut writer = compression.compress(Vec::new()).unwrap();
        writer.write_all(&archive()).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn everything_written_is_read_by_its_magic() {
        for name in NAMES {
            let bytes = compressed(name, "", 2);
            assert_eq!(Algorithm::probe(&bytes).unwrap().name(), name);
            let mut back = Vec::new();
            decompress(&bytes[..])
                .unwrap()
                .read_to_end(&mut back)
                .unwrap();
            assert!(back == archive(), "{name}");
        }
    }

    #[test]
    fn the_usual_commands_read_what_is_written() {
        for name in &NAMES[1..] {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("image");
            std::fs::write(&file, compressed(name, "", 1)).unwrap();
            let output = Command::new(name)
                .arg("-dc")
                .stdin(std::fs::File::open(&file).unwrap())
                .stderr(Stdio::null())
                .output();
            // Not every machine has every command.
            if let Ok(output) = output {
                assert!(output.stdout == archive(), "{name}");
            }
        }
    }

    #[test]
    fn zstd_gives_the_same_bytes_for_any_number_of_threads() {
        assert_eq!(compressed("zstd", "", 1), compressed("zstd", "", 4));
        assert_eq!(compressed("zstd", "-T0", 1), compressed("zstd", "", 1));
        assert_ne!(compressed("zstd", "-19", 1), compressed("zstd", "", 1));
    }

    #[test]
    fn flags_are_understood_or_refused() {
        let level = |name, flags| Compression::from_settings(name, flags, 1).unwrap().level;
        assert_eq!(level("zstd", ""), 3);
        assert_eq!(level("zstd", "-19 --long"), 19);
        assert_eq!(level("zstd", "--ultra -22 -q"), 22);
        assert_eq!(level("zstd", "--fast=4"), -4);
        assert_eq!(level("bzip2", ""), 9);
        assert_eq!(level("xz", "-0"), 0);
        assert_eq!(level("gzip", "--best"), 9);
        for (name, flags) in [
            ("zstd", "-23"),
            ("zstd", "--long=99"),
            ("zstd", "--rsyncable"),
            ("gzip", "-0"),
            ("xz", "-e"),
            ("bzip2", "-5"),
            ("lz4", "-9"),
        ] {
            let error = Compression::from_settings(name, flags, 1).unwrap_err();
            assert!(error.to_string().contains(flags), "{error}");
        }
    }

    #[test]
    fn names_what_it_cannot_do() {
        let error = Compression::from_settings("lzip", "", 1).unwrap_err();
        assert!(
            error.to_string().starts_with("lzip is not supported yet"),
            "{error}"
        );
        assert!(
            matches!(Compression::from_settings("rar", "", 1), Err(CompressionError::Unknown(name)) if name == "rar")
        );
        for (magic, name) in [
            (&b"LZIP\x01"[..], "lzip"),
            (b"\x89LZO\0\r\n\x1a\nrest", "lzop"),
        ] {
            let error = decompress(magic).err().unwrap();
            assert!(error.to_string().starts_with(name), "{error}");
        }
        assert!(matches!(
            decompress(&b"neither"[..]),
            Err(CompressionError::Unrecognised)
        ));
        assert!(matches!(
            decompress(&b""[..]),
            Err(CompressionError::Unrecognised)
        ));
    }
}
