//! Checksums as the Manifest names them.
//!
//! A distfile has at least two, and reading it once for each would cost more than the hashing does. Everything
//! here takes the data once and feeds all hash functions from it, each in a thread of its own when there is enough
//! of it to be worth one.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use sha2::digest::DynDigest;

use super::regular;

/// How much of a file is read and hashed at a time.
const BLOCK: usize = 1 << 20;

/// The shortest piece for which threads are started: below it, starting them costs more than they save.
const WORTH_THREADS: usize = 256 << 10;

/// How many pieces a hash function may be behind before whoever brings the data has to wait.
const PIECES_BEHIND: usize = 8;

/// A hash function by the name it has in a Manifest (GLEP 74, and the older ones that Portage still knows).
///
/// The order is that of the names, in which Portage sorts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashName {
    /// `BLAKE2B`: BLAKE2b with 512 bits.
    Blake2b,
    /// `BLAKE2S`: BLAKE2s with 256 bits.
    Blake2s,
    /// `MD5`.
    Md5,
    /// `RMD160`: RIPEMD-160.
    Rmd160,
    /// `SHA1`.
    Sha1,
    /// `SHA256`: SHA-2 with 256 bits.
    Sha256,
    /// `SHA3_256`: SHA-3 with 256 bits.
    Sha3_256,
    /// `SHA3_512`: SHA-3 with 512 bits.
    Sha3_512,
    /// `SHA512`: SHA-2 with 512 bits.
    Sha512,
    /// `WHIRLPOOL`.
    Whirlpool,
}

impl HashName {
    /// Every hash function that is known.
    pub const ALL: [Self; 10] = [
        Self::Blake2b,
        Self::Blake2s,
        Self::Md5,
        Self::Rmd160,
        Self::Sha1,
        Self::Sha256,
        Self::Sha3_256,
        Self::Sha3_512,
        Self::Sha512,
        Self::Whirlpool,
    ];

    /// The name as it stands in a Manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blake2b => "BLAKE2B",
            Self::Blake2s => "BLAKE2S",
            Self::Md5 => "MD5",
            Self::Rmd160 => "RMD160",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha3_256 => "SHA3_256",
            Self::Sha3_512 => "SHA3_512",
            Self::Sha512 => "SHA512",
            Self::Whirlpool => "WHIRLPOOL",
        }
    }

    /// How many hexadecimal digits a value has.
    pub fn hex_len(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Rmd160 | Self::Sha1 => 40,
            Self::Blake2s | Self::Sha256 | Self::Sha3_256 => 64,
            Self::Blake2b | Self::Sha3_512 | Self::Sha512 | Self::Whirlpool => 128,
        }
    }

    /// The hash of `data`, in lower-case hexadecimal digits.
    pub fn hex(self, data: &[u8]) -> String {
        let mut function = self.function();
        function.update(data);
        to_hex(&function.finalize())
    }

    fn function(self) -> Box<dyn DynDigest + Send> {
        match self {
            Self::Blake2b => Box::<blake2::Blake2b512>::default(),
            Self::Blake2s => Box::<blake2::Blake2s256>::default(),
            Self::Md5 => Box::<md5::Md5>::default(),
            Self::Rmd160 => Box::<ripemd::Ripemd160>::default(),
            Self::Sha1 => Box::<sha1::Sha1>::default(),
            Self::Sha256 => Box::<sha2::Sha256>::default(),
            Self::Sha3_256 => Box::<sha3::Sha3_256>::default(),
            Self::Sha3_512 => Box::<sha3::Sha3_512>::default(),
            Self::Sha512 => Box::<sha2::Sha512>::default(),
            Self::Whirlpool => Box::<whirlpool::Whirlpool>::default(),
        }
    }
}

impl fmt::Display for HashName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A hash name that is not known here. A Manifest may have such beside known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}: unknown hash function (known are BLAKE2B, BLAKE2S, MD5, RMD160, SHA1, SHA256, SHA3_256, SHA3_512, SHA512, WHIRLPOOL)"
)]
pub struct UnknownHash(pub String);

impl FromStr for HashName {
    type Err = UnknownHash;

    fn from_str(text: &str) -> Result<Self, UnknownHash> {
        Self::ALL
            .into_iter()
            .find(|hash| hash.name() == text)
            .ok_or_else(|| UnknownHash(text.to_owned()))
    }
}

/// Size and hashes of some data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    size: u64,
    values: Vec<(HashName, String)>,
}

impl Digests {
    /// How many bytes were hashed.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The value of one hash in lower-case hexadecimal digits, or `None` if it was not asked for.
    pub fn get(&self, name: HashName) -> Option<&str> {
        self.values
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values, in the order in which they were asked for.
    pub fn iter(&self) -> impl Iterator<Item = (HashName, &str)> {
        self.values
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }
}

/// One hash function at work.
type Function = Box<dyn DynDigest + Send>;

/// Several hash functions over one stream of data.
///
/// Small data is hashed where it is given. As soon as there is a large piece, each function goes on in a thread of
/// its own, so that all of them, and whoever brings the data, work at the same time.
pub struct MultiDigest {
    size: u64,
    names: Vec<HashName>,
    work: Work,
    may_use_threads: bool,
}

enum Work {
    /// The functions, in the order of the names.
    Here(Vec<Function>),
    /// Their threads, in the same order. Each ends when nothing more can come.
    Threads(Vec<Worker>),
}

/// A hash function in a thread of its own.
struct Worker {
    pieces: SyncSender<Arc<Vec<u8>>>,
    thread: JoinHandle<Function>,
}

impl MultiDigest {
    /// Starts the hash functions `names`; one that is named twice is computed once.
    pub fn new(names: &[HashName]) -> Self {
        let mut known: Vec<HashName> = Vec::with_capacity(names.len());
        for name in names {
            if !known.contains(name) {
                known.push(*name);
            }
        }
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            size: 0,
            work: Work::Here(known.iter().map(|name| name.function()).collect()),
            names: known,
            may_use_threads: processors > 1,
        }
    }

    /// Takes the next piece of the stream.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.work {
            Work::Here(functions) if data.len() < WORTH_THREADS || !self.may_use_threads => {
                self.size += data.len() as u64;
                for function in functions {
                    function.update(data);
                }
            }
            _ => self.update_shared(&Arc::new(data.to_vec())),
        }
    }

    /// Takes the next piece of the stream without a copy of it being made. It may still be read after the return;
    /// this waits only while threads are several pieces behind.
    pub fn update_shared(&mut self, data: &Arc<Vec<u8>>) {
        if self.may_use_threads && data.len() >= WORTH_THREADS {
            self.start_threads();
        }
        self.size += data.len() as u64;
        match &mut self.work {
            Work::Here(functions) => {
                for function in functions {
                    function.update(data);
                }
            }
            Work::Threads(threads) => {
                for worker in threads {
                    // A thread that has panicked is found out when its value is asked for.
                    let _ = worker.pieces.send(Arc::clone(data));
                }
            }
        }
    }

    fn start_threads(&mut self) {
        let Work::Here(functions) = &mut self.work else {
            return;
        };
        let threads = std::mem::take(functions).into_iter().map(|mut function| {
            let (pieces, receiver) = sync_channel::<Arc<Vec<u8>>>(PIECES_BEHIND);
            let thread = std::thread::spawn(move || {
                for data in receiver {
                    function.update(&data);
                }
                function
            });
            Worker { pieces, thread }
        });
        self.work = Work::Threads(threads.collect());
    }

    /// How many bytes were taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The values over all that was taken. Waits for threads.
    pub fn finish(self) -> Digests {
        let values: Vec<String> = match self.work {
            Work::Here(functions) => functions
                .into_iter()
                .map(|function| to_hex(&function.finalize()))
                .collect(),
            Work::Threads(threads) => {
                // All are told of the end before the first is waited for.
                let threads: Vec<_> = threads.into_iter().map(|it| it.thread).collect();
                threads
                    .into_iter()
                    // No file has the empty hash of a thread that has panicked.
                    .map(|thread| {
                        thread
                            .join()
                            .map_or_else(|_| String::new(), |it| to_hex(&it.finalize()))
                    })
                    .collect()
            }
        };
        Digests {
            size: self.size,
            values: self.names.into_iter().zip(values).collect(),
        }
    }

    /// Takes everything that `reader` has left.
    ///
    /// # Errors
    /// What the reader says.
    pub fn update_reader(&mut self, mut reader: impl Read) -> io::Result<()> {
        let mut blocks = Blocks::default();
        loop {
            let mut block = blocks.take();
            block.resize(BLOCK, 0);
            // Whole blocks, even from a reader that gives little at a time, so that the threads are worth it.
            let mut filled = 0;
            while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match reader.read(rest) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            block.truncate(filled);
            let block = Arc::new(block);
            self.update_shared(&block);
            blocks.give_back(block);
            if filled < BLOCK {
                return Ok(());
            }
        }
    }
}

/// Buffers that are used again when nobody reads them any more.
#[derive(Debug, Default)]
pub struct Blocks(VecDeque<Arc<Vec<u8>>>);

impl Blocks {
    /// A buffer, with whatever is in it.
    pub fn take(&mut self) -> Vec<u8> {
        match self.0.pop_front().map(Arc::try_unwrap) {
            Some(Ok(block)) => block,
            Some(Err(busy)) => {
                self.0.push_front(busy);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Remembers a buffer that may still be read.
    pub fn give_back(&mut self, block: Arc<Vec<u8>>) {
        self.0.push_back(block);
    }
}

impl fmt::Debug for MultiDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MultiDigest")
            .field("size", &self.size)
            .field("names", &self.names)
            .finish()
    }
}

/// A file could not be read for hashing.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be read", path.display())]
pub struct HashFileError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// The size and the hashes `names` of a file, which is read once.
///
/// # Errors
/// The file cannot be opened or read, or is no regular one.
pub fn hash_file(path: &Path, names: &[HashName]) -> Result<Digests, HashFileError> {
    let mut digest = MultiDigest::new(names);
    regular::open(path)
        .and_then(|file| digest.update_reader(file))
        .map_err(|source| HashFileError {
            path: path.to_owned(),
            source,
        })?;
    Ok(digest.finish())
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS.get(usize::from(value)).copied().unwrap_or(b'?'));
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published values for the three letters `abc`.
    const ABC: [(&str, &str); 10] = [
        (
            "BLAKE2B",
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
        ),
        (
            "BLAKE2S",
            "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
        ),
        ("MD5", "900150983cd24fb0d6963f7d28e17f72"),
        ("RMD160", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
        ("SHA1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            "SHA256",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "SHA3_256",
            "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
        ),
        (
            "SHA3_512",
            "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
        ),
        (
            "SHA512",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        (
            "WHIRLPOOL",
            "4e2448a4c6f486bb16b6562c73b4020bf3043e3a731bce721ae1b303d97e6d4c7181eebdb6c57e277d0e34957114cbd6c797fc9d95d8b582d225292076d4eef5",
        ),
    ];

    #[test]
    fn every_name_means_its_function() {
        for (name, value) in ABC {
            let hash: HashName = name.parse().unwrap();
            assert_eq!(hash.to_string(), name);
            assert_eq!(hash.hex(b"abc"), value, "{name}");
            assert_eq!(hash.hex_len(), value.len(), "{name}");
        }
        assert_eq!(ABC.len(), HashName::ALL.len());
    }

    #[test]
    fn a_name_is_written_one_way_only() {
        assert_eq!(
            "blake2b".parse::<HashName>(),
            Err(UnknownHash("blake2b".to_owned()))
        );
        assert!("STREEBOG256".parse::<HashName>().is_err());
        assert!("size".parse::<HashName>().is_err());
        let mut sorted = HashName::ALL;
        sorted.sort_by_key(|hash| hash.name());
        assert_eq!(sorted, HashName::ALL);
    }

    #[test]
    fn pieces_and_threads_change_nothing() {
        let data: Vec<u8> = (0..3_000_001u32)
            .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let whole = {
            let mut digest = MultiDigest::new(&HashName::ALL);
            digest.may_use_threads = true;
            let (first, rest) = data.split_at(1 << 20);
            digest.update(first);
            // Small pieces go the way of the large ones, once there was one.
            digest.update(&rest[..10]);
            digest.update_shared(&Arc::new(rest[10..].to_vec()));
            assert!(matches!(digest.work, Work::Threads(_)));
            digest.finish()
        };
        let pieces = {
            let mut digest = MultiDigest::new(&HashName::ALL);
            digest.may_use_threads = false;
            for piece in data.chunks(1013) {
                digest.update(piece);
            }
            digest.finish()
        };
        assert_eq!(whole, pieces);
        assert_eq!(whole.size(), 3_000_001);
        for hash in HashName::ALL {
            assert_eq!(whole.get(hash), Some(hash.hex(&data).as_str()));
        }
    }

    #[test]
    fn a_file_is_hashed_like_its_content() {
        let directory = tempfile::tempdir().unwrap();
        for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK] {
            let path = directory.path().join("file");
            let data = vec![b'x'; size];
            std::fs::write(&path, &data).unwrap();
            let names = [HashName::Sha512, HashName::Blake2b, HashName::Sha512];
            let digests = hash_file(&path, &names).unwrap();
            assert_eq!(digests.size(), size as u64);
            assert_eq!(
                digests.iter().collect::<Vec<_>>(),
                [
                    (HashName::Sha512, HashName::Sha512.hex(&data).as_str()),
                    (HashName::Blake2b, HashName::Blake2b.hex(&data).as_str()),
                ]
            );
            assert_eq!(digests.get(HashName::Md5), None);
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = hash_file(Path::new("/nonexistent/file"), &[HashName::Md5]).unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/file: cannot be read");
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
    }
}
