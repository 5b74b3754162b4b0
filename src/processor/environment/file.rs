//! `environment.bz2`, as packages and the installed-package database hold it.

use std::io::{Read, Write};

use bzip2::Compression;
use bzip2::read::MultiBzDecoder;
use bzip2::write::BzEncoder;

use super::{Environment, EnvironmentError};

/// The most text an environment may unpack to, in bytes.
const MAX_TEXT: u64 = 256 << 20;

/// Why the contents of an environment file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentFileError {
    /// The compressed data is damaged.
    #[error("environment: the bzip2 data is damaged")]
    Damaged(#[source] std::io::Error),
    /// The data unpacks to more than an environment can be.
    #[error("environment: more than {} MiB of text", MAX_TEXT >> 20)]
    TooLarge,
    /// The text is no environment.
    #[error(transparent)]
    Text(#[from] EnvironmentError),
}

impl Environment {
    /// Reads the contents of an environment file, packed with bzip2 or plain; the first bytes
    /// tell which.
    ///
    /// # Errors
    /// [`EnvironmentFileError`] for damaged data and for text that is no environment.
    pub fn from_file_contents(contents: &[u8]) -> Result<Self, EnvironmentFileError> {
        if !(contents.starts_with(b"BZh") && contents.get(4..10) == Some(b"1AY&SY")) {
            return Ok(Self::parse(contents)?);
        }
        let mut text = Vec::new();
        MultiBzDecoder::new(contents)
            .take(MAX_TEXT + 1)
            .read_to_end(&mut text)
            .map_err(EnvironmentFileError::Damaged)?;
        if text.len() as u64 > MAX_TEXT {
            return Err(EnvironmentFileError::TooLarge);
        }
        Ok(Self::parse(&text)?)
    }

    /// The contents of an `environment.bz2` that holds this environment.
    ///
    /// # Errors
    /// None are known; the compressor's own errors are passed on.
    pub fn to_bzip2(&self) -> std::io::Result<Vec<u8>> {
        let mut encoder = BzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&self.to_bash())?;
        encoder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_and_plain_are_the_same() {
        let text = b"declare -- A=\"1\"\nf () \n{ \n    echo\n}\n";
        let environment = Environment::from_file_contents(text).unwrap();
        let packed = environment.to_bzip2().unwrap();
        assert!(packed.starts_with(b"BZh9"));
        let again = Environment::from_file_contents(&packed).unwrap();
        assert_eq!(again.to_bash(), text);
    }

    #[test]
    fn damage_is_an_error() {
        let environment = Environment::parse(b"declare -- A=\"1\"\n").unwrap();
        let mut packed = environment.to_bzip2().unwrap();
        packed.truncate(packed.len() - 4);
        assert!(matches!(
            Environment::from_file_contents(&packed),
            Err(EnvironmentFileError::Damaged(_))
        ));
    }
}
