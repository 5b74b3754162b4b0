//! `REPO_REVISIONS` in the header: how recent the repositories were that the packages come from.

use std::collections::BTreeMap;

use super::{Index, IndexError};

type Revisions = BTreeMap<String, String>;

impl Index {
    /// Takes over into the header what a package that was just built says of the revisions of its repositories.
    ///
    /// `revisions` is the package's `REPO_REVISIONS`, a JSON object; `history` has, for every repository that is
    /// configured, the revisions it was synced to, the latest first. As in Portage a revision is taken over only if it
    /// is in the history and later than that in the header, and none is if one of the repositories is not configured.
    ///
    /// # Errors
    /// The package or the header has something else than a JSON object of texts.
    pub fn record_revisions(
        &mut self,
        revisions: &str,
        history: &BTreeMap<String, Vec<String>>,
    ) -> Result<(), IndexError> {
        let built = parse(revisions, "package")?;
        if built
            .keys()
            .any(|repository| !history.contains_key(repository))
        {
            return Ok(());
        }
        let mut recorded = parse(self.header("REPO_REVISIONS").unwrap_or_default(), "index")?;
        for (repository, revision) in built {
            let synced = history.get(&repository).map_or(&[][..], Vec::as_slice);
            let age = |revision: &String| synced.iter().position(|synced| synced == revision);
            let known = recorded.get(&repository).and_then(age);
            if age(&revision).is_some_and(|age| known.is_none_or(|known| age < known)) {
                recorded.insert(repository, revision);
            }
        }
        if !recorded.is_empty() {
            let text = print(&recorded).map_err(|source| IndexError::Revisions {
                place: "index",
                source,
            })?;
            self.set_header("REPO_REVISIONS", &text);
        }
        Ok(())
    }
}

fn parse(text: &str, place: &'static str) -> Result<Revisions, IndexError> {
    if text.is_empty() {
        return Ok(Revisions::new());
    }
    serde_json::from_str(text).map_err(|source| IndexError::Revisions { place, source })
}

/// Revisions by the names of their repositories as a package or the header tells them: JSON with a space behind each comma
/// and colon, as python prints it.
///
/// # Errors
/// JSON cannot have them.
pub fn print(revisions: &BTreeMap<String, String>) -> Result<String, serde_json::Error> {
    let mut members = Vec::new();
    for (repository, revision) in revisions {
        members.push(format!(
            "{}: {}",
            serde_json::to_string(repository)?,
            serde_json::to_string(revision)?
        ));
    }
    Ok(format!("{{{}}}", members.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> BTreeMap<String, Vec<String>> {
        let revisions = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        BTreeMap::from([
            ("gentoo".to_owned(), revisions(&["c", "b", "a"])),
            ("overlay".to_owned(), revisions(&["1"])),
            ("never synced".to_owned(), Vec::new()),
        ])
    }

    #[test]
    fn only_moves_forward() {
        let mut index = Index::default();
        for (built, expected) in [
            (r#"{"gentoo": "unknown"}"#, None),
            (r#"{"never synced": "x"}"#, None),
            (r#"{"gentoo": "b", "elsewhere": "x"}"#, None),
            ("{}", None),
            ("", None),
            (r#"{"gentoo": "b"}"#, Some(r#"{"gentoo": "b"}"#)),
            (r#"{"gentoo": "a"}"#, Some(r#"{"gentoo": "b"}"#)),
            (
                r#"{"overlay": "1", "gentoo": "c"}"#,
                Some(r#"{"gentoo": "c", "overlay": "1"}"#),
            ),
        ] {
            index.record_revisions(built, &history()).unwrap();
            assert_eq!(index.header("REPO_REVISIONS"), expected, "{built}");
        }
        index.set_header("REPO_REVISIONS", r#"{"gentoo": "forgotten"}"#);
        index
            .record_revisions(r#"{"gentoo": "a"}"#, &history())
            .unwrap();
        assert_eq!(index.header("REPO_REVISIONS"), Some(r#"{"gentoo": "a"}"#));
    }

    #[test]
    fn refuses_what_is_no_object_of_texts() {
        let mut index = Index::default();
        let error = index.record_revisions("[1]", &history()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "REPO_REVISIONS of the package is invalid"
        );
    }
}
