//! The INI dialect of repos.conf: sections, `key = value` or `key: value`, values continued on
//! indented lines, `%(name)s` filled in, a DEFAULT section behind all others.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::error::ConfigError;
use super::shell_vars::{Origin, Setting};

/// One section: option names in lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    /// The options set in it.
    pub(super) options: BTreeMap<String, Setting>,
    /// Where it begins.
    pub(super) origin: Option<Origin>,
}

/// The sections of one or several files, in the order of their first appearance.
#[derive(Debug, Clone, Default)]
pub(super) struct Ini {
    defaults: Section,
    sections: Vec<(String, Section)>,
}

impl Ini {
    /// Starts with options that stand behind those of DEFAULT.
    pub(super) fn with_defaults<'a>(defaults: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let mut ini = Ini::default();
        for (name, value) in defaults {
            let origin = Origin {
                file: Arc::from(Path::new("<built in>")),
                line: 0,
            };
            ini.defaults
                .options
                .insert(name.to_ascii_lowercase(), Setting::new(value, origin));
        }
        ini
    }

    /// Adds what a file says.
    ///
    /// # Errors
    /// A line is neither a section header nor an option, stands before the first header, or
    /// repeats a section or option of the same file.
    pub(super) fn add(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let file: Arc<Path> = Arc::from(path);
        let error = |line: usize, problem: String, cure: &str| {
            ConfigError::syntax(path, line, problem, cure)
        };
        let mut section: Option<String> = None;
        let mut option: Option<(String, usize)> = None;
        let mut seen: Vec<(String, Option<String>)> = Vec::new();
        for (index, raw) in text.lines().enumerate() {
            let number = index + 1;
            let trimmed = raw.trim();
            if trimmed.starts_with('#') || trimmed.starts_with(';') || trimmed.is_empty() {
                continue;
            }
            let indent = raw.len() - raw.trim_start().len();
            if let (Some(name), Some((key, level))) = (&section, &option)
                && indent > *level
            {
                if let Some(setting) = self.section_mut(name).options.get_mut(key) {
                    setting.value.push('\n');
                    setting.value.push_str(trimmed);
                }
                continue;
            }
            if let Some(name) = trimmed
                .strip_prefix('[')
                .and_then(|rest| rest.rsplit_once(']'))
                .map(|(name, _)| name)
            {
                if seen
                    .iter()
                    .any(|(section, option)| section == name && option.is_none())
                {
                    return Err(error(
                        number,
                        format!("section [{name}] stands here twice"),
                        "join the two sections",
                    ));
                }
                seen.push((name.to_owned(), None));
                let origin = Origin {
                    file: Arc::clone(&file),
                    line: number,
                };
                self.section_mut(name).origin.get_or_insert(origin);
                section = Some(name.to_owned());
                option = None;
                continue;
            }
            let Some(name) = &section else {
                return Err(error(
                    number,
                    format!("`{trimmed}` stands before the first section"),
                    "begin with a line like [DEFAULT]",
                ));
            };
            let Some(at) = trimmed.find(['=', ':']) else {
                return Err(error(
                    number,
                    format!("`{trimmed}` is no option"),
                    "write option = value",
                ));
            };
            let (key, value) = trimmed.split_at(at);
            let key = key.trim_end().to_lowercase();
            let value = value.get(1..).unwrap_or_default().trim();
            if key.is_empty() {
                return Err(error(
                    number,
                    format!("`{trimmed}` has no option name"),
                    "write option = value",
                ));
            }
            if seen
                .iter()
                .any(|(section, option)| section == name && option.as_deref() == Some(&key))
            {
                return Err(error(
                    number,
                    format!("option {key} is set twice in [{name}]"),
                    "remove one of the two lines",
                ));
            }
            seen.push((name.clone(), Some(key.clone())));
            let origin = Origin {
                file: Arc::clone(&file),
                line: number,
            };
            let name = name.clone();
            self.section_mut(&name)
                .options
                .insert(key.clone(), Setting::new(value, origin));
            option = Some((key, indent));
        }
        Ok(())
    }

    fn section_mut(&mut self, name: &str) -> &mut Section {
        if name == "DEFAULT" {
            return &mut self.defaults;
        }
        let index = self
            .sections
            .iter()
            .position(|(known, _)| known == name)
            .unwrap_or_else(|| {
                self.sections.push((name.to_owned(), Section::default()));
                self.sections.len() - 1
            });
        &mut self.sections[index].1
    }

    /// Sets an option of a section (of DEFAULT with `None`), whatever the files say.
    pub(super) fn set(&mut self, section: Option<&str>, option: &str, setting: Setting) {
        let section = self.section_mut(section.unwrap_or("DEFAULT"));
        section.options.insert(option.to_owned(), setting);
    }

    /// The sections other than DEFAULT.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.sections
            .iter()
            .map(|(name, section)| (name.as_str(), section))
    }

    /// An option of a section (of DEFAULT with `None`), with `%(name)s` filled in.
    ///
    /// # Errors
    /// A `%` is followed by neither `%` nor `(name)s`, or the name has no value.
    pub(super) fn get(
        &self,
        section: Option<&str>,
        option: &str,
    ) -> Result<Option<Setting>, ConfigError> {
        let Some(setting) = self.raw(section, option) else {
            return Ok(None);
        };
        let value = self.interpolate(section, setting, &setting.value, 0)?;
        Ok(Some(Setting::new(value, setting.origin.clone())))
    }

    fn raw(&self, section: Option<&str>, option: &str) -> Option<&Setting> {
        section
            .and_then(|name| self.sections.iter().find(|(known, _)| known == name))
            .and_then(|(_, section)| section.options.get(option))
            .or_else(|| self.defaults.options.get(option))
    }

    fn interpolate(
        &self,
        section: Option<&str>,
        setting: &Setting,
        text: &str,
        depth: usize,
    ) -> Result<String, ConfigError> {
        let error = |problem: String, cure: &str| {
            ConfigError::syntax(
                setting.origin.file.to_path_buf(),
                setting.origin.line,
                problem,
                cure,
            )
        };
        if depth > 10 {
            return Err(error(
                "`%(…)s` refers to itself".to_owned(),
                "write the value out",
            ));
        }
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            result.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                result.push('%');
                rest = after;
                continue;
            }
            let Some((name, after)) = after
                .strip_prefix('(')
                .and_then(|after| after.split_once(")s"))
            else {
                return Err(error(
                    format!("a lone % in `{text}`"),
                    "write %% for a percent sign",
                ));
            };
            let Some(other) = self.raw(section, &name.to_lowercase()) else {
                return Err(error(
                    format!("`%({name})s` has no value"),
                    "set that option or write the value out",
                ));
            };
            result.push_str(&self.interpolate(section, other, &other.value, depth + 1)?);
            rest = after;
        }
        result.push_str(rest);
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ini(text: &str) -> Result<Ini, ConfigError> {
        let mut ini = Ini::with_defaults([("EPREFIX", "/prefix".to_owned())]);
        ini.add(Path::new("/repos.conf"), text)?;
        Ok(ini)
    }

    fn get(ini: &Ini, section: &str, option: &str) -> String {
        ini.get(Some(section), option).unwrap().unwrap().value
    }

    #[test]
    fn options_come_from_the_section_then_from_default() {
        let ini = ini("[DEFAULT]\nauto-sync = no\nmain-repo: gentoo\n[gentoo]\nLocation = %(EPREFIX)s/repo\n  # note\nmasters = a\n   b\n").unwrap();
        assert_eq!(get(&ini, "gentoo", "location"), "/prefix/repo");
        assert_eq!(get(&ini, "gentoo", "auto-sync"), "no");
        assert_eq!(get(&ini, "gentoo", "masters"), "a\nb");
        assert_eq!(ini.get(None, "main-repo").unwrap().unwrap().value, "gentoo");
        assert_eq!(ini.sections().count(), 1);
    }

    #[test]
    fn a_later_file_overrides_single_options() {
        let mut ini = ini("[gentoo]\nlocation = /a\npriority = 1\n").unwrap();
        ini.add(Path::new("/b"), "[gentoo]\nlocation = /b\n")
            .unwrap();
        assert_eq!(get(&ini, "gentoo", "location"), "/b");
        assert_eq!(get(&ini, "gentoo", "priority"), "1");
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line, words) in [
            ("location = /x\n", 1, "before the first section"),
            ("[a]\nlocation\n", 2, "no option"),
            ("[a]\nx=1\nx=2\n", 3, "twice"),
            ("[a]\n\n[a]\n", 3, "twice"),
        ] {
            let message = ini(text).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("/repos.conf:{line}: ")),
                "{message}"
            );
            assert!(message.contains(words), "{message}");
        }
        let lone = ini("[a]\nx = 100% sure\n").unwrap();
        assert!(
            lone.get(Some("a"), "x")
                .unwrap_err()
                .to_string()
                .contains("%%")
        );
    }
}
