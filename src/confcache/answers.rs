//! Answers to checks of configure scripts, and their form on disk.
//!
//! `answers/NAME.answers` has what one run taught: a magic line, the SHA-256 of all behind it, and the rest, packed
//! with postcard and compressed with zstd. Such a file appears whole or not at all and is only replaced by one
//! that has the same answers.

mod file;

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::file::{Answer, File, Loaded, pack, unpack};
use super::defines::{Included, Library, Names, Says, names_defines, read_text, relevant};
use super::facts::{Broken, Fact, Sum, Sums, sum};
use super::rules::Rules;
use crate::util::atomic;
use crate::util::token;

/// How many answers of one key are kept in a file.
const VARIANTS: usize = 8;

/// How many bytes of files are read. In memory they are some ten times as many, and all runs on a machine read them.
const ROOM: u64 = 48 << 20;

/// A part of what is asked, for people who want to know why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Given {
    pub(super) name: String,
    /// The begin of its sum.
    pub(super) sum: u32,
}

impl Given {
    pub(super) fn new(name: &str, value: &[u8]) -> Self {
        let sum = sum(value);
        Self {
            name: name.to_owned(),
            sum: u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]),
        }
    }
}

/// What a check was asked for, and what it did.
#[derive(Debug, Clone)]
pub(super) struct Lesson {
    pub(super) key: Sum,
    /// The variable that has the answer; empty if it is what a compiler did.
    pub(super) variable: String,
    /// What it was given.
    pub(super) given: Vec<Given>,
    /// What it found.
    pub(super) facts: Vec<Fact>,
    /// What it found in the folder that is configured and around it, by paths that begin there.
    pub(super) local: Vec<Fact>,
    /// Those of the facts that are texts which a compiler may have read.
    pub(super) texts: Vec<PathBuf>,
    /// Sets of facts that it depends on besides, as other answers do.
    pub(super) sources: Vec<Source>,
    /// The lines of `confdefs.h` that it depends on.
    pub(super) defines: Vec<Vec<u8>>,
    /// What a shell has to do to be as it was afterwards.
    pub(super) code: Vec<u8>,
    /// The files that it makes in the folder.
    pub(super) made: Vec<Made>,
    /// Where alone the answer is right.
    pub(super) bound: Bound,
    /// How long it took, in microseconds.
    pub(super) took: u64,
}

/// A file that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) name: Vec<u8>,
    pub(super) mode: u32,
    pub(super) content: Vec<u8>,
}

/// Where a program was that was compiled, and so what is in the result that may be another elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bound {
    /// The folder.
    pub(super) folder: Vec<u8>,
    /// How many lines stood before the program's own.
    pub(super) lines: u32,
    /// Whether the answer holds in that folder only.
    pub(super) to_folder: bool,
    /// Whether the answer holds behind so many lines only.
    pub(super) to_lines: bool,
    /// Whether the program, or what it includes, says where it stands, and does not only have a compiler print that.
    pub(super) says_line: bool,
    /// The folder of the build that it was part of; empty if it was of none.
    pub(super) build: Vec<u8>,
    /// How deep below that the folder was: so far up from it is what was named from there.
    pub(super) depth: u32,
    /// Whether the answer holds in that build's folder only.
    pub(super) to_build: bool,
}

impl Bound {
    /// What holds elsewhere too, of what was found out in a folder, of a build if it was part of one.
    pub(super) fn at(folder: &Path, build: Option<&Path>) -> Self {
        let below = build.and_then(|build| folder.strip_prefix(build).ok());
        let depth = below.map_or(0, |below| below.components().count());
        Self {
            folder: folder.as_os_str().as_bytes().to_vec(),
            build: build.map_or_else(Vec::new, |build| build.as_os_str().as_bytes().to_vec()),
            depth: u32::try_from(depth).unwrap_or(u32::MAX),
            ..Self::default()
        }
    }

    fn allows(&self, question: &Question<'_>) -> bool {
        let now = Self::at(question.directory, question.build);
        (!self.to_folder || self.folder == now.folder)
            && (!self.to_lines || self.lines == question.lines)
            && self.depth == now.depth
            && (!self.to_build || self.build == now.build)
    }
}

/// Facts that answers have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Source {
    /// The number of their file.
    file: usize,
    /// The number of the set.
    facts: u32,
    /// That of those that are texts.
    texts: u32,
}

/// An answer that holds.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) code: Vec<u8>,
    pub(super) made: Vec<Made>,
    pub(super) bound: Bound,
    /// What it depends on elsewhere.
    pub(super) source: Source,
    /// What it depends on in the folder and near it.
    pub(super) local: Vec<Fact>,
    /// How long it took to find it out, in microseconds.
    pub(super) took: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Miss {
    /// Nothing of that name was asked before.
    #[error("it was never asked")]
    New,
    /// It was, but for something else.
    #[error("{} another than before", told(.0))]
    Different(Vec<String>),
    /// Something that it depends on is different.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// There is one, and it is to be found once more.
    #[error("it is verified")]
    Verified,
    /// The compiler would see other definitions.
    #[error("confdefs.h: {} another than before", told(.0))]
    Defines(Vec<String>),
    /// The folder, or the place in the text, is in the answer.
    #[error("the answer holds elsewhere only")]
    Elsewhere,
}

fn told(names: &[String]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

/// All answers that are known.
#[derive(Debug)]
pub(super) struct Answers {
    /// Where new ones are left.
    folder: PathBuf,
    /// Whether the files that were read may be written to.
    ours: bool,
    files: Vec<Loaded>,
    by_key: HashMap<Sum, Vec<(usize, usize)>>,
    by_variable: HashMap<String, Vec<(usize, usize)>>,
    library: Library,
    /// What was read near the folder.
    sums: Sums,
    /// Numbers of what is new.
    numbers: Numbers,
}

#[derive(Debug, Default)]
struct Numbers {
    facts: HashMap<Fact, u32>,
    sets: HashMap<Vec<u32>, u32>,
    names: HashMap<String, u32>,
    lines: HashMap<Vec<u8>, u32>,
}

impl Answers {
    /// Reads the answers of a folder that were of use last, as many as there is room for. New ones are left in
    /// `learned`, or there too. What is damaged is given too.
    pub(super) fn read(folder: &Path, learned: Option<&Path>) -> (Self, Vec<PathBuf>) {
        Self::read_within(folder, learned, ROOM)
    }

    /// As [`Answers::read`], from files of at most so many bytes.
    fn read_within(folder: &Path, learned: Option<&Path>, limit: u64) -> (Self, Vec<PathBuf>) {
        let mut damaged = Vec::new();
        let mut answers = Self {
            folder: learned.unwrap_or(folder).to_owned(),
            ours: learned.is_none(),
            files: vec![Loaded::default()],
            by_key: HashMap::new(),
            by_variable: HashMap::new(),
            library: Library::default(),
            sums: Sums::default(),
            numbers: Numbers::default(),
        };
        let mut room = limit;
        let newest = files(folder).into_iter().rev().take_while(|path| {
            let bytes = path.metadata().map_or(0, |metadata| metadata.len());
            let fits = room.checked_sub(bytes);
            room = fits.unwrap_or(0);
            fits.is_some()
        });
        // The newest last, as they are looked for from the end.
        let mut newest: Vec<PathBuf> = newest.collect();
        newest.reverse();
        for path in newest {
            let Ok(bytes) = std::fs::read(&path) else {
                continue;
            };
            match unpack(&bytes) {
                Some(file) => answers.add(path, file),
                None => damaged.push(path),
            }
        }
        (answers, damaged)
    }

    fn add(&mut self, path: PathBuf, file: File) {
        let number = self.files.len();
        for (at, answer) in file.answers.iter().enumerate() {
            self.by_key
                .entry(answer.key)
                .or_default()
                .push((number, at));
            if !answer.variable.is_empty() {
                let named = self.by_variable.entry(answer.variable.clone()).or_default();
                named.push((number, at));
            }
        }
        self.files.push(Loaded {
            path: Some(path),
            holds: vec![None; file.facts.len()],
            file,
            ..Loaded::default()
        });
    }

    /// Forgets which facts hold: something has changed that may be one of them.
    pub(super) fn forget(&mut self) {
        self.files.iter_mut().for_each(Loaded::forget);
    }

    /// Looks for an answer. `defines` is `confdefs.h`, `own` are the names that the check itself mentions, or none
    /// if all of it counts.
    ///
    /// # Errors
    /// There is none: why.
    pub(super) fn find(&mut self, question: &Question<'_>, rules: &Rules) -> Result<Hit, Miss> {
        let mut why = None;
        let candidates = self.by_key.get(&question.key).cloned().unwrap_or_default();
        // The newest first.
        for (number, at) in candidates.into_iter().rev() {
            let Some(loaded) = self.files.get_mut(number) else {
                continue;
            };
            let Some(answer) = loaded.file.answers.get(at) else {
                continue;
            };
            if !answer.bound.allows(question) {
                why.get_or_insert(Miss::Elsewhere);
                continue;
            }
            let (facts, texts, local) = (answer.facts, answer.texts, answer.local.clone());
            if let Err(broken) = loaded.hold(facts, rules) {
                why.get_or_insert(Miss::Broken(broken));
                continue;
            }
            let broken = local.iter().find_map(|fact| {
                fact.below(question.directory)
                    .check_with(rules, &mut self.sums)
                    .err()
            });
            if let Some(broken) = broken {
                why.get_or_insert(Miss::Broken(broken));
                continue;
            }
            let included = loaded.included(texts, &mut self.library);
            let near: Vec<PathBuf> = near_texts(&local).collect();
            let lines =
                included.and_then(|included| self.library.counted(question, &included, &near));
            let (Some(loaded), Some(lines)) = (self.files.get_mut(number), lines) else {
                why.get_or_insert(Miss::Defines(vec!["what it reads".to_owned()]));
                continue;
            };
            let Some(answer) = loaded.file.answers.get(at) else {
                continue;
            };
            if let Some(others) = loaded.file.others(answer.defines, &lines) {
                why.get_or_insert(Miss::Defines(others));
                continue;
            }
            loaded.used = true;
            return Ok(Hit {
                code: answer.code.clone(),
                made: answer.made.clone(),
                bound: answer.bound.clone(),
                source: Source {
                    file: number,
                    facts: answer.facts,
                    texts: answer.texts,
                },
                local: answer.local.clone(),
                took: answer.took,
            });
        }
        Err(why.unwrap_or_else(|| self.nearest(question)))
    }

    /// All facts that are known of, whether they hold or not.
    pub(super) fn known(&self) -> impl Iterator<Item = &Fact> {
        self.files.iter().flat_map(|loaded| &loaded.file.facts)
    }

    /// Facts that hold.
    pub(super) fn facts(&self, source: Source) -> impl Iterator<Item = &Fact> {
        let file = self.files.get(source.file).map(|loaded| &loaded.file);
        file.into_iter()
            .flat_map(move |file| file.facts_of(source.facts))
    }

    /// Those of them that are texts which a compiler may have read.
    pub(super) fn texts(&self, source: Source) -> impl Iterator<Item = &Path> {
        let file = self.files.get(source.file).map(|loaded| &loaded.file);
        file.into_iter()
            .flat_map(move |file| file.facts_of(source.texts))
            .map(Fact::path)
    }

    /// The lines of `confdefs.h` that count if these texts are read; none if one of them cannot be. Texts whose
    /// paths are not absolute are in the folder that is configured, or near it.
    pub(super) fn defines(
        &mut self,
        question: &Question<'_>,
        texts: &[PathBuf],
    ) -> Option<Vec<Vec<u8>>> {
        let (far, near): (Vec<&PathBuf>, Vec<&PathBuf>) =
            texts.iter().partition(|path| path.is_absolute());
        let near: Vec<PathBuf> = near.into_iter().cloned().collect();
        let included = self.library.of(far)?;
        let lines = self.library.counted(question, &included, &near)?;
        Some(lines.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// Whether one of these texts, which programs read or are, names `confdefs.h`, and so may have them read it in
    /// another way than compilers do; none if one of them cannot be read.
    pub(super) fn names_defines(&mut self, directory: &Path, texts: &[PathBuf]) -> Option<bool> {
        let (far, near): (Vec<&PathBuf>, Vec<&PathBuf>) =
            texts.iter().partition(|path| path.is_absolute());
        let mut names = self.library.names_defines(&far)?;
        for path in near {
            names |= names_defines(&read_text(&directory.join(path))?);
        }
        Some(names)
    }

    /// What a compiled program with these names may say by these texts and the definitions; none if one of them cannot be
    /// read.
    pub(super) fn says(
        &mut self,
        question: &Question<'_>,
        names: &Names,
        texts: &[PathBuf],
    ) -> Option<Says> {
        let (far, near): (Vec<&PathBuf>, Vec<&PathBuf>) =
            texts.iter().partition(|path| path.is_absolute());
        let far: Vec<PathBuf> = far.into_iter().cloned().collect();
        let mut given = vec![question.defines.to_vec()];
        for path in near {
            given.push(read_text(&question.directory.join(path))?);
        }
        self.library.says(names, &far, &given)
    }

    /// In what the question differs from the one that comes nearest.
    fn nearest(&self, question: &Question<'_>) -> Miss {
        let known = self.by_variable.get(question.variable);
        let differences = known
            .into_iter()
            .flatten()
            .rev()
            .take(20)
            .filter_map(|(number, at)| {
                let file = &self.files.get(*number)?.file;
                let answer = file.answers.get(*at)?;
                let then: HashMap<&str, u32> = answer
                    .given
                    .iter()
                    .filter_map(|(name, sum)| {
                        Some((file.names.get(usize::try_from(*name).ok()?)?.as_str(), *sum))
                    })
                    .collect();
                let now = question.given.iter();
                let mut names: Vec<String> = now
                    .filter(|given| then.get(given.name.as_str()) != Some(&given.sum))
                    .map(|given| given.name.clone())
                    .collect();
                names.extend(
                    then.keys()
                        .filter(|name| !question.given.iter().any(|given| given.name == **name))
                        .map(|name| (*name).to_owned()),
                );
                names.sort();
                Some(names)
            });
        match differences.min_by_key(Vec::len) {
            Some(names) => Miss::Different(names),
            None => Miss::New,
        }
    }

    /// Adds what was learned, and gives the set of facts that it depends on.
    pub(super) fn learn(&mut self, lesson: Lesson) -> Source {
        let mut facts = lesson.facts;
        let mut texts: HashSet<PathBuf> = lesson.texts.into_iter().collect();
        for source in lesson.sources {
            // One path may be there twice, as what was asked about it is not the same.
            facts.extend(self.facts(source).cloned());
            texts.extend(self.texts(source).map(Path::to_owned));
        }
        let nothing = Source {
            file: 0,
            facts: u32::MAX,
            texts: u32::MAX,
        };
        let Some(new) = self.files.first_mut() else {
            return nothing;
        };
        let numbers = &mut self.numbers;
        let mut set = Vec::new();
        let mut text_set = Vec::new();
        for fact in facts {
            let is_text = texts.contains(fact.path());
            let number = numbered(&mut numbers.facts, &mut new.file.facts, fact);
            new.holds.resize(new.file.facts.len(), Some(Ok(())));
            set.push(number);
            if is_text {
                text_set.push(number);
            }
        }
        for set in [&mut set, &mut text_set] {
            set.sort_unstable();
            set.dedup();
        }
        let lines = lesson.defines.into_iter();
        let lines = lines
            .map(|line| numbered(&mut numbers.lines, &mut new.file.lines, line))
            .collect();
        let given = lesson
            .given
            .into_iter()
            .map(|given| {
                let name = numbered(&mut numbers.names, &mut new.file.names, given.name);
                (name, given.sum)
            })
            .collect();
        let answer = Answer {
            key: lesson.key,
            variable: lesson.variable.clone(),
            given,
            facts: numbered(&mut numbers.sets, &mut new.file.sets, set),
            texts: numbered(&mut numbers.sets, &mut new.file.sets, text_set),
            local: lesson.local,
            defines: numbered(&mut numbers.sets, &mut new.file.sets, lines),
            code: lesson.code,
            made: lesson.made,
            bound: lesson.bound,
            took: lesson.took,
        };
        let source = Source {
            file: 0,
            facts: answer.facts,
            texts: answer.texts,
        };
        let at = (0, new.file.answers.len());
        new.file.answers.push(answer);
        let of_key = self.by_key.entry(lesson.key).or_default();
        if of_key.len() < VARIANTS {
            of_key.push(at);
        }
        if !lesson.variable.is_empty() {
            let named = self.by_variable.entry(lesson.variable).or_default();
            named.push(at);
        }
        source
    }

    /// Writes what was learned, and what holds under new stamps, and notes what was of use.
    ///
    /// # Errors
    /// Something cannot be written.
    pub(super) fn keep(&mut self) -> Result<(), atomic::AtomicError> {
        let folder = self.folder.clone();
        for loaded in &mut self.files {
            let is_new = loaded.path.is_none();
            if !is_new && !self.ours {
                continue;
            }
            if (is_new && !loaded.file.answers.is_empty()) || (loaded.renewed && loaded.used) {
                if is_new {
                    let made = std::fs::create_dir_all(&folder);
                    made.map_err(|source| atomic::AtomicError {
                        path: folder.clone(),
                        step: "made",
                        source,
                    })?;
                }
                let path = loaded
                    .path
                    .clone()
                    .unwrap_or_else(|| folder.join(format!("{}.answers", token::fresh())));
                if let Some(bytes) = pack(&loaded.file) {
                    atomic::write_unsynced(&path, &bytes, 0o644)?;
                }
            } else if let (true, Some(path)) = (loaded.used, &loaded.path) {
                let _ = filetime::set_file_mtime(path, filetime::FileTime::now());
            }
        }
        Ok(())
    }
}

/// What a check asks.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) key: Sum,
    pub(super) variable: &'a str,
    pub(super) given: &'a [Given],
    pub(super) directory: &'a Path,
    /// The folder of the build that it is part of.
    pub(super) build: Option<&'a Path>,
    /// `confdefs.h`.
    pub(super) defines: &'a [u8],
    /// The names that the check itself mentions, or none if all definitions count.
    pub(super) own: Option<&'a Names>,
    /// How many lines stand before those of a program.
    pub(super) lines: u32,
}

impl Library {
    /// The lines of `confdefs.h` that count; none if a text cannot be read.
    fn counted<'d>(
        &self,
        question: &Question<'d>,
        included: &Included,
        near: &[PathBuf],
    ) -> Option<Vec<&'d [u8]>> {
        let Some(own) = question.own else {
            return Some(vec![question.defines]);
        };
        if near.is_empty() {
            return Some(relevant(question.defines, own, self, included));
        }
        let mut own = own.clone();
        for path in near {
            // Another run has others there, so they are not remembered.
            own.add(&read_text(&question.directory.join(path))?);
        }
        Some(relevant(question.defines, &own, self, included))
    }
}

/// The number of something, which it gets if it is new.
fn numbered<T: Clone + Eq + std::hash::Hash>(
    known: &mut HashMap<T, u32>,
    all: &mut Vec<T>,
    one: T,
) -> u32 {
    if let Some(number) = known.get(&one) {
        return *number;
    }
    let number = u32::try_from(all.len()).unwrap_or(u32::MAX);
    all.push(one.clone());
    known.insert(one, number);
    number
}

/// The files near the folder that is configured which a compiler may have read.
pub(super) fn near_texts(local: &[Fact]) -> impl Iterator<Item = PathBuf> {
    let read = local
        .iter()
        .filter(|fact| fact.asked.content && fact.is_file());
    read.map(|fact| fact.path().to_owned())
}

/// All files with answers, the oldest first.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<(std::time::SystemTime, PathBuf)> = entries
        .filter(|entry| !entry.file_name().as_bytes().starts_with(b"."))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    all.sort();
    all.into_iter().map(|(_, path)| path).collect()
}

/// Whether the file is whole.
pub(super) fn is_whole(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| is_good(&bytes))
}

/// Whether these are the bytes of a whole file.
pub(super) fn is_good(bytes: &[u8]) -> bool {
    unpack(bytes).is_some()
}

#[cfg(test)]
mod tests;
