//! ebd.toml: the whole configuration in one file.
//!
//! What it says becomes the same lines and settings that the files of /etc/portage become, behind these, so that there
//! is one computation for both. Keys that are not known are errors.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::error::ConfigError;
use super::files::Line;
use super::shell_vars::{Assignment, Origin, Setting};
use super::updates::UpdateOptions;
use crate::pms::suggest::closest;

/// What is in the file, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Document {
    profile: Option<Spanned<String>>,
    main_repository: Option<Spanned<String>>,
    #[serde(default)]
    variables: BTreeMap<String, Spanned<Value>>,
    #[serde(default)]
    repositories: BTreeMap<String, Spanned<Repository>>,
    #[serde(default)]
    package: Vec<Spanned<Package>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Repository {
    location: Option<Spanned<String>>,
    priority: Option<Spanned<i32>>,
    masters: Option<Spanned<Value>>,
    aliases: Option<Spanned<Value>>,
    eclass_overrides: Option<Spanned<Value>>,
    #[serde(default)]
    exclude_update: bool,
    #[serde(default)]
    exclusive_update: bool,
    #[serde(default)]
    variables: BTreeMap<String, Spanned<Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Package {
    #[serde(rename = "match")]
    atoms: Spanned<Value>,
    r#use: Option<Spanned<Value>>,
    keywords: Option<Spanned<Value>>,
    license: Option<Spanned<Value>>,
    properties: Option<Spanned<Value>>,
    restrict: Option<Spanned<Value>>,
    mask: Option<Spanned<bool>>,
    unmask: Option<Spanned<bool>>,
    #[serde(default)]
    variables: BTreeMap<String, Spanned<Value>>,
}

/// A text, or several words.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
enum Value {
    Text(String),
    Words(Vec<String>),
}

impl Value {
    fn text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Words(words) => words.join(" "),
        }
    }

    fn words(&self) -> Vec<String> {
        words(&self.text())
    }

    /// The words of each line: a list has a line in each of its elements. There is one at least.
    fn lines(&self) -> Vec<Vec<String>> {
        let texts = match self {
            Value::Text(text) => std::slice::from_ref(text),
            Value::Words(texts) => texts.as_slice(),
        };
        let lines = texts.iter().flat_map(|text| text.lines());
        let mut lines: Vec<_> = lines.map(words).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            lines.push(Vec::new());
        }
        lines
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A variable as it is written.
#[derive(Debug, Clone)]
struct Written {
    name: String,
    text: String,
    origin: Origin,
}

impl Written {
    fn assignment(&self, known: &mut HashMap<String, String>) -> Result<Assignment, ConfigError> {
        Assignment::read(&self.name, &self.text, &self.origin, known)
    }
}

/// An option of a section of repos.conf.
#[derive(Debug, Clone)]
pub(super) struct RepositoryOption {
    /// The repository; none for what holds for all.
    pub(super) section: Option<String>,
    pub(super) name: &'static str,
    pub(super) setting: Setting,
}

/// What the file says.
#[derive(Debug, Clone, Default)]
pub(super) struct TomlFile {
    path: Option<PathBuf>,
    profile: Option<Setting>,
    variables: Vec<Written>,
    options: Vec<RepositoryOption>,
    updates: BTreeMap<String, UpdateOptions>,
    repository_variables: BTreeMap<String, Vec<Written>>,
    lines: HashMap<&'static str, Vec<Line>>,
    /// The variables of package.env, by the name that stands in its lines.
    environments: BTreeMap<String, Vec<Written>>,
}

/// Tells where things stand.
struct Places<'a> {
    file: Arc<Path>,
    text: &'a str,
}

impl Places<'_> {
    fn line(&self, offset: usize) -> usize {
        1 + self
            .text
            .get(..offset)
            .unwrap_or(self.text)
            .matches('\n')
            .count()
    }

    fn of<T>(&self, spanned: &Spanned<T>) -> Origin {
        Origin {
            file: Arc::clone(&self.file),
            line: self.line(spanned.span().start),
        }
    }

    /// Variables in the order of the file, so that one may be used in those behind it.
    fn written(&self, variables: &BTreeMap<String, Spanned<Value>>) -> Vec<Written> {
        let mut all: Vec<(&String, &Spanned<Value>)> = variables.iter().collect();
        all.sort_by_key(|(_, value)| value.span().start);
        let one = |(name, value): (&String, &Spanned<Value>)| Written {
            name: name.clone(),
            text: value.get_ref().text(),
            origin: self.of(value),
        };
        all.into_iter().map(one).collect()
    }
}

impl TomlFile {
    /// Reads the file; one that is not there says nothing, unless it was asked for (`required`).
    ///
    /// # Errors
    /// It cannot be read, or is not what it should be, with the line.
    pub(super) fn read(path: &Path, required: bool) -> Result<Self, ConfigError> {
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => {
                return Ok(Self::default());
            }
            Err(error) => return Err(ConfigError::read(path, error)),
        };
        let places = Places {
            file: Arc::from(path),
            text: &text,
        };
        let document: Document = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(0, |span| places.line(span.start));
            let (problem, cure) = explained(error.message());
            ConfigError::syntax(path, line, problem, cure)
        })?;
        let mut file = TomlFile {
            path: Some(path.to_owned()),
            ..TomlFile::default()
        };
        let setting =
            |text: &Spanned<String>| Setting::new(text.get_ref().as_str(), places.of(text));
        file.profile = document.profile.as_ref().map(setting);
        file.variables = places.written(&document.variables);
        if let Some(main) = &document.main_repository {
            file.options.push(RepositoryOption {
                section: None,
                name: "main-repo",
                setting: setting(main),
            });
        }
        for (name, spanned) in &document.repositories {
            file.repository(name, spanned.get_ref(), &places);
        }
        for (number, package) in document.package.iter().enumerate() {
            file.package(number, package, &places)?;
        }
        Ok(file)
    }

    fn repository(&mut self, name: &str, repository: &Repository, places: &Places<'_>) {
        let mut add = |option, text: String, origin| {
            self.options.push(RepositoryOption {
                section: Some(name.to_owned()),
                name: option,
                setting: Setting::new(text, origin),
            });
        };
        if let Some(location) = &repository.location {
            add("location", location.get_ref().clone(), places.of(location));
        }
        if let Some(priority) = &repository.priority {
            add(
                "priority",
                priority.get_ref().to_string(),
                places.of(priority),
            );
        }
        for (option, value) in [
            ("masters", &repository.masters),
            ("aliases", &repository.aliases),
            ("eclass-overrides", &repository.eclass_overrides),
        ] {
            if let Some(value) = value {
                add(option, value.get_ref().text(), places.of(value));
            }
        }
        let updates = UpdateOptions {
            exclude_update: repository.exclude_update,
            exclusive_update: repository.exclusive_update,
        };
        self.updates.insert(name.to_owned(), updates);
        self.repository_variables
            .insert(name.to_owned(), places.written(&repository.variables));
    }

    fn package(
        &mut self,
        number: usize,
        spanned: &Spanned<Package>,
        places: &Places<'_>,
    ) -> Result<(), ConfigError> {
        let package = spanned.get_ref();
        let atoms = package.atoms.get_ref().words();
        let origin = places.of(&package.atoms);
        if atoms.is_empty() {
            let cure = "write an atom, such as match = \"app-misc/*\"";
            return Err(ConfigError::syntax(
                origin.file.to_path_buf(),
                origin.line,
                "`match` names no package",
                cure,
            ));
        }
        let mut says_something = false;
        for (file, value) in [
            ("package.use", &package.r#use),
            ("package.accept_keywords", &package.keywords),
            ("package.license", &package.license),
            ("package.properties", &package.properties),
            ("package.accept_restrict", &package.restrict),
        ] {
            if let Some(value) = value {
                for words in value.get_ref().lines() {
                    self.add(file, &atoms, &words, &places.of(value));
                }
                says_something = true;
            }
        }
        says_something |= self.masks(package, &atoms, places)?;
        if !package.variables.is_empty() {
            says_something = true;
            let name = format!("ebd.toml#{}", number + 1);
            self.add("package.env", &atoms, std::slice::from_ref(&name), &origin);
            self.environments
                .insert(name, places.written(&package.variables));
        }
        if !says_something {
            let problem = "this [[package]] says nothing of what it matches";
            let cure =
                "add use, keywords, license, properties, restrict, mask, unmask or variables";
            return Err(ConfigError::syntax(
                origin.file.to_path_buf(),
                origin.line,
                problem,
                cure,
            ));
        }
        Ok(())
    }

    /// What it says of masks, if it says anything.
    fn masks(
        &mut self,
        package: &Package,
        atoms: &[String],
        places: &Places<'_>,
    ) -> Result<bool, ConfigError> {
        let mut says_something = false;
        for (file, value, no, cure) in [
            (
                "package.mask",
                &package.mask,
                "`mask = false` takes no mask away",
                "write unmask = true, or remove the line",
            ),
            (
                "package.unmask",
                &package.unmask,
                "`unmask = false` masks nothing",
                "write mask = true, or remove the line",
            ),
        ] {
            let Some(value) = value else { continue };
            let origin = places.of(value);
            if !*value.get_ref() {
                let file = origin.file.to_path_buf();
                return Err(ConfigError::syntax(file, origin.line, no, cure));
            }
            self.add(file, atoms, &[], &origin);
            says_something = true;
        }
        Ok(says_something)
    }

    fn add(&mut self, file: &'static str, atoms: &[String], words: &[String], origin: &Origin) {
        let line = |atom: &String| Line {
            words: [std::slice::from_ref(atom), words].concat(),
            origin: origin.clone(),
            comment: Vec::new(),
        };
        self.lines
            .entry(file)
            .or_default()
            .extend(atoms.iter().map(line));
    }

    /// The lines that it has instead of a file of /etc/portage.
    pub(super) fn lines(&self, name: &str) -> &[Line] {
        self.lines.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether there is such a file.
    pub(super) fn exists(&self) -> bool {
        self.path.is_some()
    }

    /// The profile: a path, or `REPOSITORY:PATH` below the repository's profiles.
    pub(super) fn profile(&self) -> Option<&Setting> {
        self.profile.as_ref()
    }

    /// The options of repositories.
    pub(super) fn repository_options(&self) -> &[RepositoryOption] {
        &self.options
    }

    /// How repositories take part in updates.
    pub(super) fn updates(&self) -> &BTreeMap<String, UpdateOptions> {
        &self.updates
    }

    /// Its variables, behind those of make.conf.
    ///
    /// # Errors
    /// A value cannot be expanded.
    pub(super) fn variables(
        &self,
        known: &mut HashMap<String, String>,
    ) -> Result<Vec<Assignment>, ConfigError> {
        self.variables
            .iter()
            .map(|written| written.assignment(known))
            .collect()
    }

    /// The variables of single repositories.
    ///
    /// # Errors
    /// A value cannot be expanded.
    pub(super) fn repository_variables(
        &self,
        known: &HashMap<String, String>,
    ) -> Result<Vec<(&str, Vec<Assignment>)>, ConfigError> {
        groups(&self.repository_variables, known)
    }

    /// The variables that lines of package.env name.
    ///
    /// # Errors
    /// A value cannot be expanded.
    pub(super) fn environments(
        &self,
        known: &HashMap<String, String>,
    ) -> Result<Vec<(&str, Vec<Assignment>)>, ConfigError> {
        groups(&self.environments, known)
    }
}

fn groups<'a>(
    all: &'a BTreeMap<String, Vec<Written>>,
    known: &HashMap<String, String>,
) -> Result<Vec<(&'a str, Vec<Assignment>)>, ConfigError> {
    let mut result = Vec::new();
    for (name, written) in all {
        let known = &mut known.clone();
        let list: Result<_, ConfigError> =
            written.iter().map(|one| one.assignment(known)).collect();
        result.push((name.as_str(), list?));
    }
    Ok(result)
}

/// An error's text, with what was probably meant.
fn explained(message: &str) -> (String, String) {
    let message = message.replace('\n', ", ");
    let mut quoted = message.split('`').skip(1).step_by(2);
    let cure = match quoted.next() {
        Some(name) if message.starts_with("unknown field") => {
            let near = closest(name, quoted);
            match near.is_empty() {
                true => "correct or remove the line".to_owned(),
                false => format!("did you mean {}?", near.join(" or ")),
            }
        }
        _ => "correct the line".to_owned(),
    };
    (message, cure)
}

#[cfg(test)]
mod tests;
