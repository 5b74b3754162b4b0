//! `dohtml`, gone since EAPI 7.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::env::HelperEnv;
use super::error::{FileError, HelperError, all_done, usage};
use super::install::{Installer, basename};
use super::message::{self, Level};

const EXTENSIONS: [&str; 8] = ["css", "gif", "htm", "html", "jpeg", "jpg", "js", "png"];

const USAGE: &str = "\
dohtml [-a ext,…] [-A ext,…] [-f name,…] [-x directory,…] [-p prefix] [-r] [-V] file…
  -a  install files with these extensions only
  -A  install files with these extensions as well
  -f  install files with these names as well
  -x  leave out directories with these names (CVS unless given)
  -p  install below this directory
  -r  install directories
  -V  say what is selected
";

#[derive(Debug)]
struct Options {
    extensions: Vec<OsString>,
    names: Vec<OsString>,
    left_out: Vec<OsString>,
    prefix: PathBuf,
    recursive: bool,
    verbose: bool,
    files: Vec<OsString>,
}

impl Options {
    /// Reads the arguments; `None` if only help is wanted.
    fn parse(args: &[OsString]) -> Option<Self> {
        let mut options = Self {
            extensions: EXTENSIONS.iter().map(OsString::from).collect(),
            names: Vec::new(),
            left_out: vec![OsString::from("CVS")],
            prefix: PathBuf::new(),
            recursive: false,
            verbose: false,
            files: Vec::new(),
        };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            match arg.to_str() {
                Some("-h") => return None,
                Some("-r") => options.recursive = true,
                Some("-V") => options.verbose = true,
                Some("-A") => options.extensions.extend(list(rest.next()?)),
                Some("-a") => options.extensions = list(rest.next()?),
                Some("-f") => options.names = list(rest.next()?),
                Some("-x") => options.left_out = list(rest.next()?),
                Some("-p") => options.prefix = normal(Path::new(rest.next()?)),
                _ => options.files.push(arg.clone()),
            }
        }
        Some(options)
    }

    fn takes(&self, name: &OsStr) -> bool {
        let extension = Path::new(name).extension().unwrap_or_default();
        self.extensions.iter().any(|e| e == extension) || self.names.iter().any(|n| n == name)
    }
}

/// Takes the arguments of `dohtml`.
pub(super) fn run(env: &HelperEnv, helper: &str, args: &[OsString]) -> Result<(), HelperError> {
    let printed = |source| HelperError::Io {
        helper: helper.to_owned(),
        what: "cannot write to standard output".to_owned(),
        source,
    };
    let Some(options) = Options::parse(args) else {
        return env.print(USAGE.as_bytes()).map_err(printed);
    };
    if options.files.is_empty() {
        return Err(HelperError::NoArgument {
            helper: helper.to_owned(),
        });
    }
    if options.verbose {
        let text = format!(
            "Allowed extensions: {:?}\nDocument prefix : '{}'\nAllowed files : {:?}\n",
            options.extensions,
            options.prefix.display(),
            options.names
        );
        env.print(text.as_bytes()).map_err(printed)?;
    }
    let mut tree = PathBuf::from("/usr/share/doc");
    tree.push(env.require("PF")?);
    let subdirectory = env.var("__EBD_DOCDESTTREE").filter(|d| !d.is_empty());
    tree.push(relative(Path::new(
        &subdirectory.unwrap_or_else(|| OsString::from("html")),
    )));
    tree.push(relative(&options.prefix));
    let mut html = Html {
        env,
        tree: env.in_image(&normal(&tree).into_os_string())?,
        options: &options,
        failures: Vec::new(),
        taken: false,
    };
    for file in &options.files {
        html.argument(file);
    }
    let (failures, taken) = (html.failures, html.taken);
    // One file that could be taken is enough for the call to be good.
    if taken && failures.iter().all(|f| matches!(f, FileError::Missing(_))) {
        for failure in failures {
            env.print_error(format!("{helper}: {failure}\n").as_bytes());
        }
        return Ok(());
    }
    all_done(helper, failures)?;
    if taken {
        Ok(())
    } else {
        Err(usage(helper, "none of the arguments can be installed"))
    }
}

struct Html<'e> {
    env: &'e HelperEnv,
    tree: PathBuf,
    options: &'e Options,
    failures: Vec<FileError>,
    taken: bool,
}

impl Html<'_> {
    fn argument(&mut self, file: &OsStr) {
        let bytes = file.as_bytes();
        // `dir/` stands for what is in the directory, `dir` for the directory itself.
        let contents = bytes == b"." || bytes.ends_with(b"/") || bytes.ends_with(b"/.");
        let normal = normal(Path::new(file));
        let path = self.env.path(normal.as_os_str());
        let name = if contents {
            OsStr::new("")
        } else {
            basename(normal.as_os_str())
        };
        self.taken |= self.entry(&path, name, Path::new(""));
    }

    /// Installs a file or directory called `name` below `inside` of the tree; says whether it was
    /// a thing to consider.
    fn entry(&mut self, path: &Path, name: &OsStr, inside: &Path) -> bool {
        let Ok(found) = fs::metadata(path) else {
            self.failures.push(FileError::Missing(path.to_owned()));
            return false;
        };
        if found.is_file() {
            if self.options.takes(name) {
                let directory = self.tree.join(inside);
                let copied = Installer::with_mode(0o755)
                    .make_directory(self.env, &directory)
                    .and_then(|()| {
                        let files = Installer::with_mode(0o644);
                        files.install_file(self.env, path, &directory, name)
                    });
                self.failures.extend(copied.err());
            } else {
                self.passed_over(path, name);
            }
            return true;
        }
        if !found.is_dir() {
            return false;
        }
        if !self.options.recursive {
            let path = path.display();
            let text = format!("QA Notice: dohtml on directory '{path}' without recursion option");
            message::say(self.env, Level::Qa, &text);
            return false;
        }
        if self
            .options
            .left_out
            .iter()
            .any(|left_out| left_out == name)
        {
            return false;
        }
        let inside = inside.join(name);
        match fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Err(e) => self
                .failures
                .push(FileError::io(path, "cannot list directory", e)),
            Ok(entries) => {
                for entry in entries {
                    self.entry(&entry.path(), &entry.file_name(), &inside);
                }
            }
        }
        true
    }

    fn passed_over(&self, path: &Path, name: &OsStr) {
        if self
            .env
            .get("PORTAGE_DOHTML_WARN_ON_SKIPPED_FILES")
            .is_none()
        {
            return;
        }
        let extension = Path::new(name).extension().unwrap_or_default();
        let lists = |variable: &str, word: &OsStr| {
            self.env
                .text(variable)
                .split_ascii_whitespace()
                .any(|w| w == word)
        };
        if lists("PORTAGE_DOHTML_UNWARNED_SKIPPED_EXTENSIONS", extension)
            || lists("PORTAGE_DOHTML_UNWARNED_SKIPPED_FILES", name)
        {
            return;
        }
        message::say(
            self.env,
            Level::Qa,
            &format!("dohtml: skipped file '{}'", path.display()),
        );
    }
}

fn list(text: &OsStr) -> Vec<OsString> {
    text.as_bytes()
        .split(|b| *b == b',')
        .map(|w| OsStr::from_bytes(w).to_owned())
        .collect()
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// A path without `.`, `..` and needless slashes, looking at no file.
fn normal(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            Component::ParentDir if out.has_root() => {}
            other => out.push(other),
        }
    }
    if out.as_os_str().is_empty() && !path.as_os_str().is_empty() {
        out.push(".");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::testing::Build;

    fn installed(words: &[&str]) -> Vec<String> {
        let build = Build::new("6");
        for file in [
            "h/a.html",
            "h/b.css",
            "h/c.txt",
            "h/CVS/d.html",
            "h/s/e.png",
            "h/README",
        ] {
            build.file(file, "");
        }
        build.call(words).ok();
        let files = build.files();
        let tree = "usr/share/doc/foo-1.2-r3/html/";
        files
            .iter()
            .map(|f| f.strip_prefix(tree).unwrap().replace(" 644", ""))
            .collect()
    }

    #[test]
    fn files_by_extension_and_name() {
        assert_eq!(installed(&["dohtml", "h/a.html", "h/c.txt"]), ["a.html"]);
        assert_eq!(
            installed(&["dohtml", "-r", "h"]),
            ["h/a.html", "h/b.css", "h/s/e.png"]
        );
        assert_eq!(
            installed(&["dohtml", "-r", "h/"]),
            ["a.html", "b.css", "s/e.png"]
        );
        assert_eq!(
            installed(&["dohtml", "-a", "txt,css", "-r", "h/."]),
            ["b.css", "c.txt"]
        );
        assert_eq!(
            installed(&["dohtml", "-A", "txt", "-x", "s", "-f", "README", "-r", "h/"]),
            ["CVS/d.html", "README", "a.html", "b.css", "c.txt"]
        );
        assert_eq!(
            installed(&["dohtml", "-p", "/pre/fix", "h/a.html"]),
            ["pre/fix/a.html"]
        );
        assert_eq!(installed(&["dohtml", "no.html", "h/a.html"]), ["a.html"]);
        assert_eq!(installed(&["dohtml", "-h"]), [""; 0]);
    }

    #[test]
    fn what_cannot_be_taken() {
        let build = Build::new("6");
        build.file("h/a.html", "").file("c.txt", "");
        assert!(
            build
                .call(&["dohtml", "no"])
                .error()
                .ends_with("no: does not exist")
        );
        let called = build.call(&["dohtml", "h"]);
        assert!(
            called.stderr.contains("without recursion option"),
            "{}",
            called.stderr
        );
        assert_eq!(
            called.error(),
            "dohtml: none of the arguments can be installed"
        );
        build.var("PORTAGE_DOHTML_WARN_ON_SKIPPED_FILES", "1");
        let called = build.call(&["dohtml", "-V", "c.txt"]).ok();
        assert!(called.stderr.contains("skipped file") && called.stdout.contains("\"png\""));
        build
            .var("__EBD_DOCDESTTREE", "d")
            .call(&["dohtml", "h/a.html"])
            .ok();
        assert_eq!(build.files(), ["usr/share/doc/foo-1.2-r3/d/a.html 644"]);
    }
}
