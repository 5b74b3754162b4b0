//! A builder of throw-away repositories and configurations, and what a run of the program gave.

pub(crate) mod terminal;

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ebd::binpkg::index::{Entry, Index};
use ebd::binpkg::package::Package;
use ebd::binpkg::pkgdir::{Pkgdir, PkgdirOptions};
use ebd::util::digest::HashName;
use nix::unistd::Pid;

/// The program under test.
pub(crate) const EBD: &str = env!("CARGO_BIN_EXE_ebd");

/// A valid ebuild of EAPI 8 without distfiles whose rest is `body`.
pub(crate) fn ebuild(body: &str) -> String {
    format!(
        "EAPI=8\n\nDESCRIPTION=\"A trial\"\nHOMEPAGE=\"https://example.org/\"\nS=${{WORKDIR}}\n\
         LICENSE=\"MIT\"\nSLOT=\"0\"\nKEYWORDS=\"amd64\"\n{body}\n"
    )
}

/// The line of the given text that contains `part`, from 1: where an ebuild says something.
pub(crate) fn line_of(text: &str, part: &str) -> usize {
    1 + text
        .lines()
        .position(|line| line.contains(part))
        .unwrap_or_else(|| panic!("{part:?} is not in:\n{text}"))
}

/// The line of a Manifest for a distfile.
pub(crate) fn dist(name: &str, content: &[u8]) -> String {
    format!(
        "DIST {name} {} BLAKE2B {} SHA512 {}\n",
        content.len(),
        HashName::Blake2b.hex(content),
        HashName::Sha512.hex(content)
    )
}

/// A repository, a configuration, and everything else that a run touches, in a folder of its own.
pub(crate) struct Trial {
    tmp: tempfile::TempDir,
    variables: Vec<(String, String)>,
    tmpdir: Option<PathBuf>,
    pkgdir: Option<PathBuf>,
}

impl Trial {
    /// An empty repository `trial` with the license MIT, and no Gentoo configuration.
    pub(crate) fn new() -> Self {
        let trial = Self {
            tmp: tempfile::Builder::new()
                .prefix("ebd-trial-")
                .tempdir()
                .unwrap(),
            variables: Vec::new(),
            tmpdir: None,
            pkgdir: None,
        };
        for folder in ["home", "conf", "distfiles", "tmp", "mirror", "root"] {
            fs::create_dir(trial.path(folder)).unwrap();
        }
        trial
            .file(
                "repo/metadata/layout.conf",
                "masters =\nthin-manifests = true\n",
            )
            .file("repo/profiles/repo_name", "trial\n")
            .file("repo/profiles/arch.list", "amd64\narm64\n")
            .file("repo/licenses/MIT", "As you like it\n")
    }

    /// A path in the trial's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.put(name, content);
        self
    }

    /// The same on a trial that is lent.
    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Where the ebuild of `cpv` is.
    pub(crate) fn ebuild_path(&self, cpv: &str) -> PathBuf {
        let (category, pf) = cpv.split_once('/').unwrap();
        let (pn, _) = pf.split_once("-").unwrap();
        self.path(&format!("repo/{category}/{pn}/{pf}.ebuild"))
    }

    /// Adds an ebuild, whose package name has no hyphen, with the given text.
    pub(crate) fn ebuild(self, cpv: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.ebuild_path(cpv);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        let category = cpv.split('/').next().unwrap();
        let categories = self.path("repo/profiles/categories");
        let mut known = fs::read_to_string(&categories).unwrap_or_default();
        if !known.lines().any(|line| line == category) {
            known.push_str(&format!("{category}\n"));
            fs::write(categories, known).unwrap();
        }
        self
    }

    /// Adds a valid ebuild of EAPI 8 with this body.
    pub(crate) fn package(self, cpv: &str, body: &str) -> Self {
        self.ebuild(cpv, ebuild(body))
    }

    /// Adds an eclass.
    pub(crate) fn eclass(self, name: &str, text: &str) -> Self {
        self.file(&format!("repo/eclass/{name}.eclass"), text)
    }

    /// Writes the Manifest of `cp`.
    pub(crate) fn manifest(self, cp: &str, text: &str) -> Self {
        self.file(&format!("repo/{cp}/Manifest"), text)
    }

    /// Puts a file into DISTDIR.
    pub(crate) fn distfile(self, name: &str, content: &[u8]) -> Self {
        self.file(&format!("distfiles/{name}"), content)
    }

    /// Writes a file below etc/portage.
    pub(crate) fn conf(self, name: &str, text: &str) -> Self {
        self.file(&format!("conf/etc/portage/{name}"), text)
    }

    /// Writes make.conf.
    pub(crate) fn make_conf(self, text: &str) -> Self {
        self.conf("make.conf", text)
    }

    /// Adds a profile that accepts `amd64`, makes it the chosen one, and the repository a
    /// configured one, as on a Gentoo system.
    pub(crate) fn gentoo(self) -> Self {
        let repo = self.path("repo");
        let trial = self
            .file("repo/profiles/default/eapi", "8\n")
            .file(
                "repo/profiles/default/make.defaults",
                "ARCH=\"amd64\"\nACCEPT_KEYWORDS=\"amd64\"\nACCEPT_LICENSE=\"*\"\nCHOST=\"x86_64-pc-linux-gnu\"\n",
            )
            .file(
                "repo/profiles/profiles.desc",
                "amd64 default stable\n",
            )
            .conf(
                "repos.conf",
                &format!(
                    "[DEFAULT]\nmain-repo = trial\n[trial]\nlocation = {}\n",
                    repo.display()
                ),
            );
        let link = trial.path("conf/etc/portage/make.profile");
        std::os::unix::fs::symlink(trial.path("repo/profiles/default"), link).unwrap();
        trial
    }

    /// Sets a variable of the environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Builds below `path` instead of the trial's own folder.
    pub(crate) fn tmpdir(mut self, path: PathBuf) -> Self {
        self.tmpdir = Some(path);
        self
    }

    /// Writes packages to `path` instead of the trial's own folder.
    pub(crate) fn pkgdir(mut self, path: PathBuf) -> Self {
        self.pkgdir = Some(path);
        self
    }

    /// Where packages go.
    pub(crate) fn packages(&self) -> PathBuf {
        self.pkgdir.clone().unwrap_or_else(|| self.path("packages"))
    }

    /// The directory in which `cpv` is built.
    pub(crate) fn builddir(&self, cpv: &str) -> PathBuf {
        let tmpdir = self.tmpdir.clone().unwrap_or_else(|| self.path("tmp"));
        tmpdir.join("portage").join(cpv)
    }

    /// The command of a run: everything that it reads or writes is in the trial's folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_in(arguments, self.tmpdir.clone())
    }

    /// The same with another PORTAGE_TMPDIR.
    pub(crate) fn command_in(&self, arguments: &[&str], tmpdir: Option<PathBuf>) -> Command {
        let mut command = Command::new(EBD);
        command
            .args(arguments)
            .current_dir(self.tmp.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("TERM", "dumb")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        for (name, folder) in [
            ("XDG_CACHE_HOME", "home/cache"),
            ("XDG_CONFIG_HOME", "home/config"),
            ("XDG_STATE_HOME", "home/state"),
            ("XDG_DATA_HOME", "home/data"),
        ] {
            command.env(name, self.path(folder));
        }
        if matches!(
            arguments.first(),
            Some(&"build" | &"shell" | &"env" | &"fetch" | &"manifest")
        ) {
            let tmpdir = tmpdir.unwrap_or_else(|| self.path("tmp"));
            for (option, path) in [
                ("--config-root", self.path("conf")),
                ("--root", self.path("root")),
                ("--pkgdir", self.packages()),
                ("--distdir", self.path("distfiles")),
                ("--tmpdir", tmpdir),
            ] {
                command.arg(option).arg(path);
            }
            if !self.path("conf/etc/portage/repos.conf").exists() {
                command.arg("--repo").arg(self.path("repo"));
            }
        }
        if arguments.first() == Some(&"binpkg") && !arguments.contains(&"--pkgdir") {
            command.arg("--pkgdir").arg(self.packages());
            command.arg("--config-root").arg(self.path("conf"));
        }
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(arguments))
    }

    /// Runs a command that looks at the configuration and what is installed.
    pub(crate) fn run_configured(&self, command: &str, arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.command_configured(command, arguments))
    }

    /// The command for that.
    pub(crate) fn command_configured(&self, command: &str, arguments: &[&str]) -> Command {
        let mut all = self.command(&[command]);
        all.arg("--config-root")
            .arg(self.path("conf"))
            .arg("--root")
            .arg(self.path("root"))
            .args(arguments);
        all
    }

    /// Starts the program in a process group of its own, what it prints going nowhere.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap()
    }

    /// The processes that belong to this trial: their working directory, environment, arguments or
    /// an open file name its folder. Everything that a run starts has at least the first.
    pub(crate) fn processes(&self) -> Vec<(Pid, String)> {
        let folder = self.tmp.path().to_str().unwrap().as_bytes().to_vec();
        let names = |text: &[u8]| {
            text.windows(folder.len())
                .any(|part| part == folder.as_slice())
        };
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<i32>().ok())
            else {
                continue;
            };
            let pid = Pid::from_raw(pid);
            if pid == Pid::this() || !sandbox::process::is_alive(pid) {
                continue;
            }
            let path = entry.path();
            let cmdline = fs::read(path.join("cmdline")).unwrap_or_default();
            let belongs = fs::read_link(path.join("cwd"))
                .is_ok_and(|cwd| names(cwd.as_os_str().as_encoded_bytes()))
                || names(&cmdline)
                || fs::read(path.join("environ")).is_ok_and(|environ| names(&environ));
            if belongs {
                found.push((pid, String::from_utf8_lossy(&cmdline).replace('\0', " ")));
            }
        }
        found
    }

    /// Waits until no process of this trial is left, for two seconds at most, which is the bound
    /// that the program promises.
    pub(crate) fn assert_no_processes(&self, when: &str) {
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{when}: still there after two seconds: {left:#?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The entries of the index.
    pub(crate) fn index(&self) -> Vec<Entry> {
        Index::read(&self.packages().join("Packages"))
            .unwrap()
            .entries()
            .to_vec()
    }

    /// Asserts that PKGDIR is whole: each entry of the index has its file, each package can be read to
    /// its end and has the id of its name, and nothing half-written counts as a package. Gives
    /// the build ids in the index, sorted.
    pub(crate) fn assert_pkgdir_valid(&self) -> Vec<u64> {
        let pkgdir = self.packages();
        if !pkgdir.exists() {
            return Vec::new();
        }
        let mut ids = Vec::new();
        for entry in self.index() {
            let path = pkgdir.join(&*entry.path());
            let size = fs::metadata(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
                .len();
            assert_eq!(entry.size(), Some(size), "{}", path.display());
            assert_eq!(
                entry.get("MD5").unwrap(),
                HashName::Md5.hex(&fs::read(&path).unwrap())
            );
            ids.push(entry.build_id().unwrap());
        }
        let options = PkgdirOptions {
            multi_instance: true,
            index_trusted: false,
            compress_index: false,
        };
        for file in Pkgdir::open(&pkgdir, options).unwrap().list().unwrap() {
            let path = pkgdir.join(file.path());
            let metadata = Package::open(&path)
                .and_then(|mut file| file.metadata())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let id = metadata.get("BUILD_ID").unwrap();
            assert_eq!(
                String::from_utf8_lossy(id).trim(),
                file.build_id().unwrap().to_string()
            );
        }
        ids.sort_unstable();
        ids
    }

    /// Asserts that a failure left nothing in PKGDIR, and nothing half-done in DISTDIR.
    pub(crate) fn assert_nothing_written(&self) {
        let below = |path: PathBuf| -> Vec<PathBuf> {
            walkdir::WalkDir::new(path)
                .into_iter()
                .flatten()
                .filter(|entry| !entry.file_type().is_dir())
                .map(walkdir::DirEntry::into_path)
                .collect()
        };
        let packages = self.packages();
        if packages.is_dir() {
            assert_eq!(below(packages), Vec::<PathBuf>::new());
        }
        for path in below(self.path("distfiles")) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(
                !name.contains("partial") && !name.starts_with('.'),
                "{}",
                path.display()
            );
        }
    }
}

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: ExitStatus,
    pub(crate) elapsed: Duration,
}

impl Outcome {
    /// Runs the command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let begin = Instant::now();
        let output = loop {
            match command.output() {
                // A program that was written just now is busy as long as a process that another thread has just
                // forked still has the descriptor.
                Err(error)
                    if error.kind() == std::io::ErrorKind::ExecutableFileBusy
                        && begin.elapsed() < Duration::from_secs(10) =>
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
                output => break output.unwrap(),
            }
        };
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            status: output.status,
            elapsed: begin.elapsed(),
        }
    }

    /// The exit status, 128 + signal if one ended the program.
    pub(crate) fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 128 + self.status.signal().unwrap())
    }

    /// Asserts that the work was done.
    #[track_caller]
    pub(crate) fn succeeds(&self) -> &Self {
        assert_eq!(self.code(), 0, "after {:?}:\n{self}", self.elapsed);
        self
    }

    /// Asserts that the program ended with `code`, in good order, and that its error output has
    /// each of `parts`.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.code(), code, "after {:?}:\n{self}", self.elapsed);
        for word in ["panicked", "RUST_BACKTRACE", "__ebd_", "environment.bash"] {
            assert!(!self.stderr.contains(word), "{word} in:\n{self}");
        }
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in:\n{self}");
        }
        self
    }

    /// Asserts that the work failed and why.
    #[track_caller]
    pub(crate) fn fails(&self, parts: &[&str]) -> &Self {
        self.ends(1, parts)
    }

    /// The events that were printed as JSON, every line of which must be an object with `event`.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| {
                let event: serde_json::Value =
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
                assert!(event["event"].is_string(), "{line}");
                event
            })
            .collect()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{}\n--- stdout\n{}--- stderr\n{}",
            self.status, self.stdout, self.stderr
        )
    }
}

/// Whether `path` ends with `end`, for messages that name files below temporary folders.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Whether this is root as the machine knows it: one whose files may be anybody's. Root of a user
/// namespace has no other users.
pub(crate) fn is_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let all = map
        .split_ascii_whitespace()
        .nth(2)
        .and_then(|count| count.parse::<u64>().ok())
        .is_some_and(|count| count > 65534);
    nix::unistd::geteuid().is_root() && all
}

/// Whether what a process says of itself (`SigIgn` in its `/proc/PID/status`) is that it goes on when it writes to a
/// pipe that nobody reads. A shell that began so can never change it.
#[track_caller]
pub(crate) fn ignores_pipes(line: &str) -> bool {
    let (_, mask) = line
        .split_once("SigIgn:")
        .unwrap_or_else(|| panic!("{line:?}"));
    let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
    mask & 1 << (nix::libc::SIGPIPE - 1) != 0
}

/// A command whose program ignores SIGHUP from the begin, as below `nohup`.
pub(crate) fn without_hangups(command: &Command) -> Command {
    let mut all = Command::new("sh");
    all.args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            all.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        all.current_dir(folder);
    }
    all
}
