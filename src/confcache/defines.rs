//! Which lines of `confdefs.h` a compiled program depends on.
//!
//! A `#define` matters only if its name is looked up: if it stands somewhere in the program, in what the program
//! includes, or in the value of another that matters; or if it can be pasted together (`##`) of what stands
//! there. All else may be another in the next script, as names and versions of packages are.

mod said;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

pub(super) use self::said::Says;
use super::comments::without_comments;
use super::facts::Stamp;

/// The largest file that is looked through, in bytes.
const LARGE: u64 = 16 << 20;

/// The names in a text.
#[derive(Debug, Default, Clone)]
pub(super) struct Names {
    all: HashSet<u64>,
    /// Whether it pastes names together, and so the names themselves are needed.
    pastes: bool,
}

impl Names {
    /// The names, and numbers, in a text of a shell.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut names = Self::default();
        names.add(text);
        names
    }

    pub(super) fn add(&mut self, text: &[u8]) {
        self.all.extend(words(text).map(hash));
        self.pastes |= text.windows(2).any(|two| two == b"##");
    }

    /// Notes whether a shell's text puts names together of parts, one of which is a variable.
    pub(super) fn pastes_in_shell(&mut self, text: &[u8]) {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_}$".contains(byte);
        let mut before = 0;
        for byte in text {
            self.pastes |= match before {
                b'}' => byte.is_ascii_alphanumeric() || *byte == b'_',
                _ => *byte == b'$' && is_part(&before),
            };
            // Quotes come between parts.
            if *byte != b'"' {
                before = *byte;
            }
        }
    }

    /// A name in a program that is none of these, nor can be put together of them.
    pub(super) fn first_unknown(&self, program: &[u8]) -> Option<String> {
        let has = |part: &[u8]| self.all.contains(&hash(part));
        let mut words = words(program).filter(|word| !word.first().is_some_and(u8::is_ascii_digit));
        let unknown = words
            .find(|word| !(has(word) || (self.pastes && word.len() <= 256 && pasted(word, has))));
        unknown.map(|word| String::from_utf8_lossy(word).into_owned())
    }

    fn join(&mut self, other: &Self) {
        self.all.extend(&other.all);
        self.pastes |= other.pastes;
    }
}

/// What a program may mention: in its own text, in what it includes, and in what was added.
struct Mentioned<'a> {
    own: &'a Names,
    library: &'a Library,
    included: &'a Included,
    more: Names,
}

impl Mentioned<'_> {
    fn has(&self, name: &[u8]) -> bool {
        let name = hash(name);
        self.own.all.contains(&name)
            || self.more.all.contains(&name)
            || self.library.has(self.included, name)
    }

    /// Whether the name can be put together of two or more words.
    fn pastes(&self, name: &[u8]) -> bool {
        let pastes = self.more.pastes || self.own.pastes || self.included.pastes;
        if !pastes || name.len() > 256 {
            return pastes;
        }
        pasted(name, |part| self.has(part))
    }
}

/// Whether a name can be put together of two or more parts that there are.
fn pasted(name: &[u8], has: impl Fn(&[u8]) -> bool) -> bool {
    // Whether the first so many bytes are words.
    let mut reached = vec![false; name.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for to in 1..=name.len() {
        for from in 0..to {
            let whole = from == 0 && to == name.len();
            if !whole && reached.get(from) == Some(&true) && name.get(from..to).is_some_and(&has) {
                if let Some(here) = reached.get_mut(to) {
                    *here = true;
                }
                break;
            }
        }
    }
    reached.last() == Some(&true)
}

/// A `#define`.
struct Define<'a> {
    name: &'a [u8],
    line: &'a [u8],
}

/// The name that a line defines; none if it is no plain `#define`.
pub(super) fn defined(line: &[u8]) -> Option<&[u8]> {
    define(line).map(|define| define.name)
}

/// The lines of `confdefs.h` that a program with these names depends on, in their order.
pub(super) fn relevant<'d>(
    defines: &'d [u8],
    own: &Names,
    library: &Library,
    included: &Included,
) -> Vec<&'d [u8]> {
    let mut left: Vec<(usize, Define<'_>)> = Vec::new();
    let mut values: HashMap<&[u8], HashSet<&[u8]>> = HashMap::new();
    let mut mentioned = Mentioned {
        own,
        library,
        included,
        more: Names::default(),
    };
    let all: Vec<&[u8]> = lines(defines).collect();
    let mut chosen: Vec<usize> = Vec::new();
    for (at, line) in all.iter().enumerate() {
        match define(line) {
            Some(define) => {
                values.entry(define.name).or_default().insert(define.line);
                left.push((at, define));
            }
            None if line.trim_ascii().is_empty() || is_guard(&all, at) => {}
            None => {
                mentioned.more.add(line);
                chosen.push(at);
            }
        }
    }
    loop {
        let before = left.len();
        let mut more = Names::default();
        left.retain(|(at, define)| {
            let guarded = at
                .checked_sub(1)
                .is_some_and(|before| is_guard(&all, before));
            // A second definition that is another is complained of, whoever uses it.
            let matters = values
                .get(define.name)
                .is_some_and(|values| values.len() > 1)
                || (is_compilers(define.name) && !guarded)
                || mentioned.has(define.name)
                || mentioned.pastes(define.name);
            if matters {
                more.add(define.line);
                chosen.push(*at);
                if guarded {
                    chosen.extend([at - 1, at + 1]);
                }
            }
            !matters
        });
        mentioned.more.join(&more);
        if left.len() == before {
            break;
        }
    }
    chosen.sort_unstable();
    chosen
        .into_iter()
        .filter_map(|at| all.get(at).copied())
        .collect()
}

/// Whether the line is the first or the last of three that define what is not defined.
fn is_guard(all: &[&[u8]], at: usize) -> bool {
    let guards = |first: usize| {
        let line = |more: usize| all.get(first + more).copied().unwrap_or_default();
        let name = line(0).strip_prefix(b"#ifndef ").map(<[u8]>::trim_ascii);
        name.is_some_and(|name| defined(line(1)) == Some(name)) && line(2).trim_ascii() == b"#endif"
    };
    guards(at) || at.checked_sub(2).is_some_and(guards)
}

/// Whether the name may be one that compilers define themselves, and complain of if others do.
fn is_compilers(name: &[u8]) -> bool {
    // What programs ask headers for.
    let asks = name.starts_with(b"__STDC_WANT_")
        || name == b"__EXTENSIONS__"
        || name == b"__USE_MINGW_ANSI_STDIO";
    name.starts_with(b"__") && !asks
}

/// The lines of a text, joined where they go on.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0;
        loop {
            match rest.get(end..)?.iter().position(|byte| *byte == b'\n') {
                None => {
                    end = rest.len();
                    break;
                }
                Some(by) => {
                    end += by + 1;
                    if !rest.get(..end - 1)?.ends_with(b"\\") {
                        break;
                    }
                }
            }
        }
        let (line, more) = rest.split_at_checked(end)?;
        rest = more;
        Some(line.strip_suffix(b"\n").unwrap_or(line))
    })
}

fn define(line: &[u8]) -> Option<Define<'_>> {
    let rest = line.strip_prefix(b"#define ")?;
    let length = rest
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
        .unwrap_or(rest.len());
    let name = rest.get(..length)?;
    // Comments and quotes that go on in the next line would not be only this one's.
    let value = without_comments(rest);
    let plain = ends_in_line(&value);
    (!name.is_empty() && !name.first()?.is_ascii_digit() && plain).then_some(Define { name, line })
}

/// Whether a line without its comments neither begins one nor a string that it does not end.
fn ends_in_line(value: &[u8]) -> bool {
    let mut quote = None;
    let mut before = 0;
    let mut is_escaped = false;
    for byte in value {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(_) if *byte == b'\\' => is_escaped = true,
            Some(mark) if mark == byte => quote = None,
            Some(_) => {}
            None if matches!(byte, b'"' | b'\'') => quote = Some(byte),
            None if before == b'/' && matches!(byte, b'/' | b'*') => return false,
            None => {}
        }
        before = *byte;
    }
    quote.is_none()
}

/// All words of letters, digits and underscores.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| {
        !(byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'$' || *byte >= 128)
    })
    .filter(|word| !word.is_empty())
    .flat_map(|word| {
        // A shell's variable is one with and without its dollar.
        let plain = word
            .split(|byte| *byte == b'$')
            .filter(|part| !part.is_empty());
        plain.chain(std::iter::once(word))
    })
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// The names in files, each of which is read once.
#[derive(Debug, Default)]
pub(super) struct Library {
    /// The number of each file as it was when it was read; none if it cannot be.
    files: HashMap<PathBuf, (Option<Stamp>, Option<usize>)>,
    /// Which of them paste names together.
    pastes: Vec<bool>,
    /// What each of them says.
    says: Vec<Says>,
    /// Which of them name `confdefs.h`, in comments too.
    name_defines: Vec<bool>,
    /// In which of them a name stands.
    places: HashMap<u64, Vec<usize>, BuildHasherDefault<Known>>,
}

/// Some files of a [`Library`].
#[derive(Debug, Clone, Default)]
pub(super) struct Included {
    /// By the number of each file.
    has: Vec<bool>,
    pastes: bool,
}

impl Library {
    /// These files; none if one of them cannot be read.
    pub(super) fn of<P: AsRef<Path>>(
        &mut self,
        paths: impl IntoIterator<Item = P>,
    ) -> Option<Included> {
        let mut included = Included::default();
        for path in paths {
            let number = self.file(path.as_ref())?;
            if included.has.len() <= number {
                included.has.resize(number + 1, false);
            }
            if let Some(has) = included.has.get_mut(number) {
                *has = true;
            }
            included.pastes |= self.pastes.get(number) == Some(&true);
        }
        Some(included)
    }

    /// Whether one of these files names `confdefs.h`; none if one cannot be read.
    pub(super) fn names_defines(&mut self, paths: &[&PathBuf]) -> Option<bool> {
        let mut names = false;
        for path in paths {
            let number = self.file(path)?;
            names |= self.name_defines.get(number) != Some(&false);
        }
        Some(names)
    }

    fn file(&mut self, path: &Path) -> Option<usize> {
        let stamp = path.metadata().ok().map(|metadata| Stamp::of(&metadata));
        if let Some((then, number)) = self.files.get(path)
            && *then == stamp
        {
            return *number;
        }
        let number = read_text(path).map(|text| {
            self.name_defines.push(names_defines(&text));
            let text = without_comments(&text);
            let names = Names::of(&text);
            self.says.push(Says::of(&text));
            let number = self.pastes.len();
            self.pastes.push(names.pastes);
            for name in names.all {
                self.places.entry(name).or_default().push(number);
            }
            number
        });
        self.files.insert(path.to_owned(), (stamp, number));
        number
    }

    fn has(&self, included: &Included, name: u64) -> bool {
        let places = self.places.get(&name);
        places.is_some_and(|places| {
            places
                .iter()
                .any(|number| included.has.get(*number) == Some(&true))
        })
    }
}

/// Whether a text may name `confdefs.h`.
pub(super) fn names_defines(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"confdefs").is_some()
}

/// Takes what is a hash already for one.
#[derive(Debug, Default)]
struct Known(u64);

impl Hasher for Known {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// The content of a file that may be a text; none if it cannot be read or is too large.
pub(super) fn read_text(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY)
        .open(path)
        .ok()?;
    if file
        .metadata()
        .ok()
        .is_none_or(|it| !it.is_file() || it.len() > LARGE)
    {
        return None;
    }
    let mut text = Vec::new();
    file.take(LARGE).read_to_end(&mut text).ok()?;
    Some(text)
}

/// What a file is for a compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// A text, which may be a header.
    Text,
    /// A program, a library or other data.
    Data,
    /// A header that was compiled before, in which names cannot be seen.
    Compiled,
}

/// What the file is for a compiler.
pub(super) fn nature(path: &Path) -> Nature {
    use std::io::Read;
    let compiled = path.extension().is_some_and(|extension| {
        ["gch", "pch", "pcm", "gcm"]
            .iter()
            .any(|it| extension == *it)
    });
    if compiled {
        return Nature::Compiled;
    }
    let mut head = Vec::new();
    let read = std::fs::File::open(path)
        .ok()
        .filter(|file| file.metadata().is_ok_and(|it| it.is_file()))
        .and_then(|file| file.take(4096).read_to_end(&mut head).ok());
    match read {
        Some(_) if !head.contains(&0) && !head.starts_with(b"!<arch>") => Nature::Text,
        _ => Nature::Data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(first: &str, second: &str, own: &str, included: &str) -> bool {
        let tmp = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(tmp.path(), included).unwrap();
        let mut library = Library::default();
        let included = library.of([tmp.path()]).unwrap();
        let own = Names::of(own.as_bytes());
        let lines = |text| relevant(text, &own, &library, &included);
        lines(first.as_bytes()) == lines(second.as_bytes())
    }

    #[test]
    fn only_what_is_mentioned_counts() {
        let package = |name: &str| {
            format!(
                "#define PACKAGE_NAME \"{name}\"\n#define HAVE_STDIO_H 1\n#define _GNU_SOURCE 1\n"
            )
        };
        let (a, b) = (package("a"), package("b"));
        assert!(same(&a, &b, "int main", "#ifdef _GNU_SOURCE"));
        assert!(!same(&a, &b, "char *x = PACKAGE_NAME;", ""));
        assert!(!same(&a, &b, "", "#ifdef PACKAGE_NAME"));
        // In another's value.
        let by = |name: &str| format!("{}#define WHO PACKAGE_NAME\n", package(name));
        assert!(!same(&by("a"), &by("b"), "WHO", ""));
        assert!(same(&by("a"), &by("b"), "WHAT", ""));
        // One that is new, or is gone.
        assert!(!same(
            &a,
            &format!("{a}#define size_t int\n"),
            "",
            "typedef size_t x;"
        ));
        assert!(same(
            &a,
            &format!("{a}#define size_tt int\n"),
            "",
            "typedef size_t x;"
        ));
        // Their order.
        assert!(!same(
            "#define A 1\n#define B 2\n",
            "#define B 2\n#define A 1\n",
            "A B",
            ""
        ));
    }

    #[test]
    fn what_is_pasted_together_counts() {
        let (a, b) = ("#define HAVE_X 1\n", "#define HAVE_X 2\n");
        assert!(same(a, b, "HAVE_ X", ""));
        assert!(!same(a, b, "#define P(x) HAVE_ ## x\nP(X)", ""));
        assert!(!same(a, b, "HAVE_ X", "a ## b"));
        assert!(!same(a, b, "H A VE_X", "##"));
        assert!(same(a, b, "HAVE_ Y", "##"));
        let long = format!("#define {} 1\n", "x".repeat(100_000));
        assert!(!same(&long, "", "##", ""));
    }

    #[test]
    fn what_is_odd_counts() {
        assert!(!same("#define A 1\n", "#define A 1\n#define A 2\n", "", ""));
        assert!(!same("", "#define __FILE__ 1\n", "", ""));
        assert!(!same("", "#undef A\n", "", ""));
        let guarded = "#ifndef __x86__\n#define __x86__ 1\n#endif\n";
        assert!(same("", guarded, "", ""));
        assert!(!same("", guarded, "__x86__", ""));
        assert!(!same(guarded, &guarded.replace('1', "2"), "", "__x86__"));
        assert!(!same("", &guarded.replace("ifndef", "ifdef"), "", ""));
        assert!(!same(
            "",
            &guarded.replace("#define __x86__", "#define __y__"),
            "",
            ""
        ));
        assert!(!same("", &guarded.replace("#endif", "#else"), "", ""));
        assert!(same("", "#define __EXTENSIONS__ 1\n", "", ""));
        assert!(!same(
            "",
            "#define __EXTENSIONS__ 1\n",
            "",
            "#ifdef __EXTENSIONS__"
        ));
        assert!(same("#define A 1\n", "#define A 1\n#define A 1\n", "", ""));
        assert!(!same(
            "#define A 1\n",
            "#define A 1\n#define A 1\n",
            "A",
            ""
        ));
        assert!(!same("", "#define A /* 1\n", "", ""));
        assert!(!same("", "#define A \"/*\n", "", ""));
        assert!(same("", "#define A /* 1 */\n", "", ""));
        assert!(same(
            "",
            "#define A /**/\n#define U \"https://x/\"\n",
            "",
            ""
        ));
        assert!(!same("", "#define A /**/\n", "A", ""));
        assert!(!same(
            "#define A 1 \\\n B\n",
            "#define A 1 \\\n C\n",
            "A",
            ""
        ));
        assert!(same(
            "#define A 1 \\\n B\n",
            "#define A 1 \\\n C\n",
            "D",
            ""
        ));
        assert!(same("", "\n", "", ""));
    }
}
