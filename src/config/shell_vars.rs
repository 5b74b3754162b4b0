//! The shell-like files: make.conf, make.defaults, make.globals, profile.env, env/ files.
//!
//! They look like bash and are read by people as bash, but Portage reads them with a
//! tokenizer of its own and a separate expansion pass, and a few results differ from bash:
//! quotes are gone before `$name` is expanded, so single quotes do not protect a `$`; an
//! apostrophe inside a value suspends expansion up to the next one; `#` begins a comment even
//! inside an unquoted word. What is read here equals what Portage reads. What Portage would
//! misread (an empty `NAME=`, a command substitution) is an error instead.

mod expansion;
mod lexer;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;

use self::expansion::{ExpansionError, expand};
use self::lexer::Lexer;
use super::error::ConfigError;
use super::files;

/// The place where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file; `<environment>` or `<built in>` when it is none.
    pub file: Arc<Path>,
    /// The line, counted from 1; 0 when the place has no lines.
    pub line: usize,
}

/// A variable's value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value, expanded.
    pub value: String,
    /// The place of the last assignment.
    pub origin: Origin,
    /// Where each of the earlier parts of a stacked value ends, and its place.
    earlier: Vec<(usize, Origin)>,
}

impl Setting {
    /// A value and its place.
    pub fn new(value: impl Into<String>, origin: Origin) -> Self {
        Setting {
            value: value.into(),
            origin,
            earlier: Vec::new(),
        }
    }

    /// A value whose place has a name but no lines.
    pub(super) fn at(place: &str, value: impl Into<String>) -> Self {
        Setting::new(value, Origin::named(place))
    }

    /// Words with a place of their own each.
    pub(super) fn of_words<'a>(
        words: impl IntoIterator<Item = (&'a str, &'a Origin)>,
    ) -> Option<Self> {
        let mut words = words.into_iter();
        let (text, origin) = words.next()?;
        let mut setting = Setting::new(text, origin.clone());
        words.for_each(|(text, origin)| setting.append(text, origin));
        Some(setting)
    }

    /// Puts more behind the value.
    pub(super) fn append(&mut self, text: &str, origin: &Origin) {
        if *origin != self.origin {
            self.earlier.push((
                self.value.len(),
                std::mem::replace(&mut self.origin, origin.clone()),
            ));
        }
        self.value.push(' ');
        self.value.push_str(text);
    }

    /// Puts another value behind this one.
    pub(super) fn stack(&mut self, other: &Setting) {
        let mut start = 0;
        for (end, origin) in &other.earlier {
            self.append(other.value.get(start..*end).unwrap_or_default(), origin);
            start = *end;
        }
        self.append(other.value.get(start..).unwrap_or_default(), &other.origin);
    }

    /// The words of the value, each with its place.
    pub fn words(&self) -> impl Iterator<Item = (&str, &Origin)> {
        let mut start = 0;
        let parts = self.earlier.iter().map(|(end, origin)| (*end, origin));
        parts
            .chain([(self.value.len(), &self.origin)])
            .flat_map(move |(end, origin)| {
                let part = self.value.get(start..end).unwrap_or_default();
                start = end;
                part.split_whitespace().map(move |word| (word, origin))
            })
    }
}

/// The variables of one file or one stack of files, by name.
pub type Variables = BTreeMap<String, Setting>;

/// What a file of this kind may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// `source FILE` is understood.
    pub source: bool,
    /// `$name` and `${name}` are expanded.
    pub expand: bool,
}

impl Dialect {
    /// make.conf and the files of /etc/portage/env.
    pub const USER: Dialect = Dialect {
        source: true,
        expand: true,
    };
    /// make.defaults.
    pub const PROFILE: Dialect = Dialect {
        source: false,
        expand: true,
    };
    /// /etc/profile.env.
    pub const ENV_D: Dialect = Dialect {
        source: false,
        expand: false,
    };
}

/// One assignment of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// The value as expanded when the file was read, and the place.
    pub setting: Setting,
    /// The value before expansion.
    raw: String,
}

impl Assignment {
    /// An assignment that stands elsewhere than in a file of this kind. `known` gives values for expansion and takes the
    /// new one.
    ///
    /// # Errors
    /// The name or the value is none that can be.
    pub(super) fn read(
        name: &str,
        raw: &str,
        origin: &Origin,
        known: &mut HashMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let error = |problem: String, cure: &str| {
            ConfigError::syntax(origin.file.to_path_buf(), origin.line, problem, cure)
        };
        if !is_name(name) {
            let cure = "a name has letters, digits and underscores and begins with no digit";
            return Err(error(format!("`{name}` is no variable name"), cure));
        }
        let value = expand(raw, known).map_err(|ExpansionError { problem, cure }| {
            error(format!("`{name}`: {problem}"), cure)
        })?;
        known.insert(name.to_owned(), value.clone());
        Ok(Assignment {
            name: name.to_owned(),
            setting: Setting::new(value, origin.clone()),
            raw: raw.to_owned(),
        })
    }

    /// The value with other variables filled in than those known when the file was read. Takes
    /// note of the new value.
    pub fn expand(&self, known: &mut HashMap<String, String>) -> String {
        // What could be expanded once can be expanded always: errors do not depend on values.
        let value = expand(&self.raw, known).unwrap_or_else(|_| self.setting.value.clone());
        known.insert(self.name.clone(), value.clone());
        value
    }
}

/// Reads a file, or every file of a directory when `recursive`. `known` gives the values for
/// expansion and takes the new ones. Gives `None` if there is no such file.
///
/// # Errors
/// The file cannot be read, or a line is malformed.
pub fn read(
    path: &Path,
    dialect: Dialect,
    recursive: bool,
    known: &mut HashMap<String, String>,
) -> Result<Option<Variables>, ConfigError> {
    Ok(assignments(path, dialect, recursive, known)?.map(|list| {
        list.into_iter()
            .map(|Assignment { name, setting, .. }| (name, setting))
            .collect()
    }))
}

/// As [`read`], but gives every single assignment in its order.
///
/// # Errors
/// As [`read`].
pub fn assignments(
    path: &Path,
    dialect: Dialect,
    recursive: bool,
    known: &mut HashMap<String, String>,
) -> Result<Option<Vec<Assignment>>, ConfigError> {
    let list = if recursive {
        files::recursive(path)?
    } else {
        vec![path.to_path_buf()]
    };
    let mut result = None;
    for file in list {
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(ConfigError::read(file, error)),
        };
        let text = String::from_utf8_lossy(&bytes);
        parse(
            &file,
            &text,
            dialect,
            known,
            result.get_or_insert_with(Vec::new),
        )?;
    }
    Ok(result)
}

/// Parses text as if it stood in the file `path`.
///
/// # Errors
/// A line is malformed, or a sourced file cannot be read.
pub fn parse(
    path: &Path,
    text: &str,
    dialect: Dialect,
    known: &mut HashMap<String, String>,
    result: &mut Vec<Assignment>,
) -> Result<(), ConfigError> {
    let mut lexer = Lexer::new(path, text);
    while let Some(mut key) = lexer.token()? {
        if dialect.source && !key.quoted && (key.text == "source" || key.text == ".") {
            lexer.source(&key, known)?;
            continue;
        }
        if key.text == "export" {
            let Some(name) = lexer.token()? else {
                return Err(lexer.error(
                    key.line,
                    "`export` without a name",
                    "write export NAME=\"value\"",
                ));
            };
            key = name;
        }
        let equals = lexer.token_on_line(&key)?;
        match equals {
            Some(token) if token.text == "=" && !token.quoted => {}
            other => return Err(lexer.not_an_assignment(&key, other.as_ref(), dialect)),
        }
        let Some(value) = lexer.token_on_line(&key)? else {
            return Err(lexer.error(
                key.line,
                format!("`{}=` without a value", key.text),
                format!("write {}=\"\" for an empty value", key.text),
            ));
        };
        if value.punctuation && matches!(value.text.as_str(), "(" | "&" | "|" | "<" | ">") {
            return Err(lexer.error(
                value.line,
                format!(
                    "`{}={}`: only plain strings can be assigned here",
                    key.text, value.text
                ),
                format!("write {}=\"value\"", key.text),
            ));
        }
        if !is_name(&key.text) {
            let cure = match key.text.strip_suffix('+') {
                Some(name) if is_name(name) => format!("write {name}=\"${{{name}}} …\" to append"),
                _ => {
                    "a name has letters, digits and underscores and begins with no digit".to_owned()
                }
            };
            return Err(lexer.error(
                key.line,
                format!("`{}` is no variable name", key.text),
                cure,
            ));
        }
        let text = if dialect.expand {
            let text = expand(&value.text, known).map_err(|ExpansionError { problem, cure }| {
                lexer.error(value.line, format!("`{}`: {problem}", key.text), cure)
            })?;
            known.insert(key.text.clone(), text.clone());
            text
        } else {
            value.text.clone()
        };
        let origin = Origin {
            file: lexer.file(),
            line: key.line,
        };
        result.push(Assignment {
            name: key.text,
            setting: Setting::new(text, origin),
            raw: value.text,
        });
    }
    Ok(())
}

/// Whether Portage takes the text for a variable name.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_numeric())
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;

    fn vars(text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
        let mut known = HashMap::from([("OLD".to_owned(), "old value".to_owned())]);
        let mut list = Vec::new();
        parse(
            Path::new("/etc/make.conf"),
            text,
            Dialect::USER,
            &mut known,
            &mut list,
        )?;
        Ok(list
            .into_iter()
            .map(|one| (one.name, one.setting.value))
            .collect())
    }

    fn value(text: &str) -> String {
        vars(text).unwrap().remove("A").unwrap()
    }

    #[test]
    fn reads_plain_assignments() {
        let vars = vars("# note\nA=\"b c\"\nexport D='e' # note\n  F = g\n").unwrap();
        let expected = [("A", "b c"), ("D", "e"), ("F", "g")];
        assert_eq!(
            vars,
            expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
        );
    }

    #[test]
    fn quotes_join_and_lines_continue() {
        let _rows = rows(&[210]);
        assert_eq!(value("A=\"b\"c'd'"), "bcd");
        assert_eq!(value("A=\"b\n  c\""), "b   c");
        assert_eq!(value("A=\"b\\\nc\""), "bc");
        assert_eq!(value("A=\"\""), "");
        assert_eq!(value("A=\"say \\\"x\\\"\""), "say \"x\"");
    }

    #[test]
    fn expands_what_was_set_before() {
        let _rows = rows(&[210]);
        assert_eq!(value("A=\"${OLD}/$OLD\""), "old value/old value");
        assert_eq!(value("B=x\nA=\"${B}${UNSET}y\""), "xy");
        assert_eq!(value("A=\"\\${OLD}\""), "${OLD}");
    }

    // Each of these differs from bash, and is what Portage makes of it.
    #[test]
    fn agrees_with_portage_where_bash_does_not() {
        assert_eq!(value("A='$OLD'"), "old value");
        assert_eq!(value("A=\"don't $OLD\""), "don't $OLD");
        assert_eq!(value("A=b#c"), "b");
        assert_eq!(value("A=b;"), "b;");
        assert_eq!(value("A=b\\\nc"), "b c");
        assert_eq!(value("A=\"\\\\$OLD\""), "$OLD");
    }

    #[test]
    fn mistakes_name_line_and_cure() {
        let _rows = rows(&[210]);
        for (text, line, words) in [
            ("A=\nB=c", 1, "A=\"\""),
            ("A=b\nB=c d", 2, "quotes"),
            ("A=\"b\n\n", 1, "never closed"),
            ("A=\"$(uname -r)\"", 1, "command substitution"),
            ("\nA=\"`uname -r`\"", 2, "command substitution"),
            ("A=`uname`", 1, "command substitution"),
            ("A=\"${B:-c}\"", 1, "only plain"),
            ("A=\"${B\"", 1, "never closed"),
            ("A=\"50 $\n\"", 1, "names no variable"),
            ("A+=\" b\"", 1, "to append"),
            ("A=(b c)", 1, "plain strings"),
            ("1A=b", 1, "no variable name"),
            ("A\n", 1, "the end of the line"),
            ("if true", 1, "`if` is followed by `true`"),
            ("source", 1, "without a file"),
            ("source /nowhere/at/all\n", 1, "no such file"),
        ] {
            let message = vars(text).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("/etc/make.conf:{line}: ")),
                "{text:?}: {message}"
            );
            assert!(message.contains(words), "{text:?}: {message}");
        }
    }

    #[test]
    fn sources_other_files_and_remembers_places() {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("make.conf");
        std::fs::write(&conf, "B=1\nsource \"${DIR}more\"\nC=\"${A}\"\n").unwrap();
        std::fs::write(dir.path().join("more"), "\nA=\"x${B}\"").unwrap();
        let mut known = HashMap::from([("DIR".to_owned(), "./".to_owned())]);
        let vars = read(&conf, Dialect::USER, false, &mut known)
            .unwrap()
            .unwrap();
        assert_eq!(vars["C"].value, "x1");
        assert_eq!(vars["A"].origin.line, 2);
        assert!(vars["A"].origin.file.ends_with("more"));
        assert_eq!(
            vars["C"].origin,
            Origin {
                file: Arc::from(conf.as_path()),
                line: 3
            }
        );
    }

    #[test]
    fn circles_and_foreign_dialects_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("make.conf");
        std::fs::write(&conf, "source make.conf\n").unwrap();
        let read = |dialect| {
            read(&conf, dialect, false, &mut HashMap::new())
                .unwrap_err()
                .to_string()
        };
        assert!(read(Dialect::USER).contains("being read"));
        assert!(read(Dialect::PROFILE).contains("cannot include"));
    }

    #[test]
    fn a_directory_is_read_file_by_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        for (name, text) in [
            ("a", "A=1"),
            ("b/c", "A=\"${A} 2\""),
            (".d", "A=no"),
            ("e~", "A=no"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let vars = read(dir.path(), Dialect::USER, true, &mut HashMap::new())
            .unwrap()
            .unwrap();
        assert_eq!(vars["A"].value, "1 2");
        let none = read(
            &dir.path().join("none"),
            Dialect::USER,
            true,
            &mut HashMap::new(),
        )
        .unwrap();
        assert_eq!(none, None);
    }

    #[test]
    fn values_can_be_expanded_anew() {
        let mut list = Vec::new();
        parse(
            Path::new("env"),
            "A=\"${B} c\"\nD=\"$A\"",
            Dialect::USER,
            &mut HashMap::new(),
            &mut list,
        )
        .unwrap();
        assert_eq!(list[0].setting.value, " c");
        let mut known = HashMap::from([("B".to_owned(), "b".to_owned())]);
        assert_eq!(list[0].expand(&mut known), "b c");
        assert_eq!(list[1].expand(&mut known), "b c");
    }
}
