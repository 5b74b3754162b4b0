//! Entries of what sourcing an ebuild gave.

use super::{Entry, MetadataError};
use crate::repo::{EclassFile, RepoError};

/// Makes the entry of an ebuild whose text has the MD5 sum `md5`, from the values that bash had,
/// `INHERITED` among them; `find` finds eclasses by their names. Gives the inherited eclasses too, by
/// name.
///
/// # Errors
/// A value is not UTF-8, an eclass that was inherited cannot be found or read, or what
/// [`Entry::from_sourced`] says.
pub fn from_values(
    md5: &str,
    values: &[(String, Vec<u8>)],
    mut find: impl FnMut(&str) -> Result<EclassFile, RepoError>,
) -> Result<(Entry, Vec<(String, EclassFile)>), MetadataError> {
    let mut pairs = Vec::with_capacity(values.len());
    for (key, value) in values {
        let text = std::str::from_utf8(value)
            .map_err(|_| MetadataError::ValueEncoding { key: key.clone() })?;
        pairs.push((key.as_str(), text));
    }
    let inherited = pairs.iter().find(|(key, _)| *key == "INHERITED");
    let mut eclasses = Vec::new();
    for name in inherited.map_or("", |(_, names)| names).split_whitespace() {
        eclasses.push((name.to_owned(), find(name)?));
    }
    let sums: Vec<_> = eclasses
        .iter()
        .map(|(name, file)| (name.clone(), file.md5.clone()))
        .collect();
    let entry = Entry::from_sourced(pairs, md5, &sums)?;
    Ok((entry, eclasses))
}
