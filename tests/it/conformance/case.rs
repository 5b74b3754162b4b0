//! The files of `tests/conformance/cases`, one for each section of the checklist. A case is an ebuild, what to put beside
//! it, and what to expect.

use std::collections::BTreeSet;
use std::path::Path;

use super::texts::texts;

/// What a case expects of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// A package is built.
    Built,
    /// The build of the package begins and fails.
    Failed,
    /// The command ends before it builds anything.
    Refused,
}

/// One case.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// Its name, which is the package's.
    pub(super) name: String,
    /// The package's version.
    pub(super) version: String,
    /// The EAPIs that it is for.
    pub(super) eapis: Vec<String>,
    /// What must come of it.
    pub(super) expected: Expected,
    /// Lines of the file that package.env has for the package.
    pub(super) configured: Vec<String>,
    /// Texts that the errors and the log must have.
    pub(super) says: Vec<String>,
    /// Texts that they must not have.
    pub(super) silent: Vec<String>,
    /// The ebuild, with `@EAPI@` where the EAPI belongs.
    pub(super) ebuild: Vec<u8>,
    /// Files beside it: below `files` of the package, `eclass` of the repository or `distfiles`.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// What the image must be, if the case says so.
    pub(super) image: Option<String>,
}

impl Case {
    /// Reads a case.
    ///
    /// Its head is comments `# key: value`; the ebuild begins with the line `EAPI=…`
    /// and ends at the first line `-- NAME --`, which begins a section.
    fn parse(name: &str, text: &[u8]) -> Self {
        let mut case = Self {
            name: name.to_owned(),
            version: "1.0".into(),
            eapis: Vec::new(),
            expected: Expected::Built,
            configured: Vec::new(),
            says: Vec::new(),
            silent: Vec::new(),
            ebuild: Vec::new(),
            files: Vec::new(),
            image: None,
        };
        let mut rows: Vec<&str> = Vec::new();
        let mut head = true;
        let mut section: Option<(String, Vec<u8>)> = None;
        let end = |case: &mut Self, section: &mut Option<(String, Vec<u8>)>| {
            if let Some((name, text)) = section.take() {
                if name == "image" {
                    case.image = Some(String::from_utf8(text).unwrap());
                } else {
                    case.files.push((name, text));
                }
            }
        };
        for line in text.split_inclusive(|b| *b == b'\n') {
            let bare = line.strip_suffix(b"\n").unwrap_or(line);
            let readable = std::str::from_utf8(bare).unwrap_or_default();
            if head && readable.starts_with("# ") {
                let (key, value) = readable[2..]
                    .split_once(": ")
                    .unwrap_or_else(|| panic!("{name}: no '# key: value' in the head: {readable}"));
                match key {
                    "about" => {}
                    "rows" => rows = value.split(' ').collect(),
                    "eapi" => case.eapis = value.split(' ').map(str::to_owned).collect(),
                    "version" => value.clone_into(&mut case.version),
                    "says" => {
                        // Every message has the package's name.
                        assert!(!name.contains(value), "{name}: says no more than its name");
                        case.says.push(value.to_owned());
                    }
                    "configured" => case.configured.push(value.to_owned()),
                    "silent" => case.silent.push(value.to_owned()),
                    "result" => {
                        case.expected = match value {
                            "built" => Expected::Built,
                            "failed" => Expected::Failed,
                            "refused" => Expected::Refused,
                            other => panic!("{name}: unknown result {other}"),
                        }
                    }
                    other => panic!("{name}: unknown key {other}"),
                }
                continue;
            }
            head = false;
            let begins = readable
                .strip_prefix("-- ")
                .and_then(|rest| rest.strip_suffix(" --"));
            if let Some(begun) = begins {
                end(&mut case, &mut section);
                section = Some((begun.to_owned(), Vec::new()));
            } else if let Some((_, text)) = &mut section {
                text.extend_from_slice(line);
            } else {
                case.ebuild.extend_from_slice(line);
            }
        }
        end(&mut case, &mut section);
        assert!(!rows.is_empty(), "{name}: names no rows");
        let mut checks = vec![&case.ebuild];
        checks.extend(case.files.iter().map(|(_, text)| text));
        for text in checks {
            for row in checked(&String::from_utf8_lossy(text)) {
                assert!(
                    rows.contains(&row.as_str()),
                    "{name}: checks row {row}, but does not name it"
                );
            }
        }
        assert!(!case.eapis.is_empty(), "{name}: names no EAPI");
        case
    }

    /// All cases, or only those with `filter` in SECTION/NAME, sorted by name.
    pub(super) fn all(folder: &Path, filter: &str) -> Vec<Self> {
        let mut cases = Vec::new();
        for (section, name, text) in texts(folder) {
            if format!("{section}/{name}").contains(filter) {
                cases.push(Self::parse(&name, &text));
            }
        }
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), cases.len(), "two cases have the same name");
        cases
    }

    /// What errors and log must have in one EAPI.
    pub(super) fn says_in(&self, eapi: &str) -> impl Iterator<Item = String> {
        self.says
            .iter()
            .map(move |text| text.replace("@EAPI@", eapi))
    }

    /// The ebuild for one EAPI.
    pub(super) fn ebuild_for(&self, eapi: &str) -> Vec<u8> {
        const MARK: &[u8] = b"@EAPI@";
        let mut text = Vec::new();
        let mut rest = self.ebuild.as_slice();
        while let Some(at) = rest.windows(MARK.len()).position(|w| w == MARK) {
            text.extend_from_slice(&rest[..at]);
            text.extend_from_slice(eapi.as_bytes());
            rest = &rest[at + MARK.len()..];
        }
        text.extend_from_slice(rest);
        text
    }
}

/// The rows that checks are about: what stands behind the functions of `check.eclass`, and behind `row` in messages.
fn checked(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in ["check ", "check_not ", "equal ", "row "] {
        for (at, _) in text.match_indices(word) {
            let before = text[..at].chars().next_back();
            let row = text[at + word.len()..].chars();
            let row: String = row.take_while(char::is_ascii_digit).collect();
            if !row.is_empty() && !before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                found.insert(row);
            }
        }
    }
    found
}
