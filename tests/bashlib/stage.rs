//! A place to run ebuild code in, with the library sourced.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ebd::pms::eapi::Eapi;
use tempfile::TempDir;

/// What the processor provides.
const PROCESSOR: &str = r#"
trap 'exit 99' TERM
die() {
	if [[ $1 == -n ]]; then
		shift
		[[ -z ${__EBD_NONFATAL} ]] || { printf '%s\n' "$*" >&2; return 1; }
	fi
	printf 'die: %s\n' "$*" >&2
	kill -TERM $$
	exit 99
}
nonfatal() { __EBD_NONFATAL=1 "$@"; }
__ebd_helper_fail() {
	if [[ -n ${__EBD_NONFATAL} || -z ${__EBD_EAPI[helpers_die]} ]]; then
		printf '%s\n' "$*" >&2
		return 1
	fi
	die "$@"
}
__ebd_notify() { { builtin printf '<%s>' "$@"; builtin echo; } >> "${NOTICES}"; }
"#;

pub(crate) struct Stage {
    directory: TempDir,
    eapi: &'static str,
    phase: &'static str,
    variables: String,
}

/// What came of it. The exit status is 99 after `die`.
pub(crate) struct Outcome {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    /// What was sent to the supervisor, one line per message.
    pub(crate) notices: String,
}

impl Stage {
    /// In global scope.
    pub(crate) fn new(eapi: &'static str) -> Self {
        let directory = TempDir::with_prefix("bashlib").unwrap();
        for name in ["work", "temp", "distdir", "image", "build-info"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let stage = Stage {
            directory,
            eapi,
            phase: "",
            variables: String::new(),
        };
        stage.program("dodoc", "echo \"dodoc[${__EBD_DOCDESTTREE}]: $*\"");
        stage.program("emake", "echo \"emake: $*\"");
        stage
    }

    pub(crate) fn install(eapi: &'static str) -> Self {
        Stage::new(eapi).phase("src_install")
    }

    pub(crate) fn phase(mut self, function: &'static str) -> Self {
        self.phase = function;
        self
    }

    /// Adds variables that are there before the library is set up.
    pub(crate) fn set(mut self, assignments: &str) -> Self {
        self.variables.push_str(assignments);
        self.variables.push('\n');
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn program(&self, name: &str, body: &str) {
        self.executable(&format!("bin/{name}"), body);
    }

    pub(crate) fn executable(&self, name: &str, body: &str) {
        let path = self.file(name, &format!("#!/bin/bash\n{body}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn script(&self, code: &str) -> String {
        let mut library = String::new();
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("bash/lib");
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        for name in names {
            library.push_str(&fs::read_to_string(name).unwrap());
        }
        let root = self.directory.path().display();
        let variables = &self.variables;
        let facts = Eapi::parse(self.eapi).unwrap().to_bash();
        let (name, phase) = (self.eapi, self.phase);
        let short = phase.split_once('_').map_or("depend", |(_, name)| name);
        let scope = if phase.is_empty() { "1" } else { "" };
        format!(
            "{PROCESSOR}\n{library}\n{facts}\nEAPI={name} EBUILD_PHASE={short}\n\
             __EBD_PHASE_FUNC={phase} __EBD_GLOBAL_SCOPE={scope}\n\
             NOTICES={root}/notices T={root}/temp WORKDIR={root}/work DISTDIR={root}/distdir\n\
             D={root}/image/ ED={root}/image/ EPREFIX= PORTAGE_CONFIGROOT={root}/config\n\
             PORTAGE_BUILDDIR={root}\n\
             CATEGORY=app-misc PN=foo PV=1.2.3 P=foo-1.2.3 PR=r1 PVR=1.2.3-r1 PF=foo-1.2.3-r1\n\
             SLOT=0/1 CHOST=x86_64-pc-linux-gnu\n{variables}\n\
             __ebd_select_eapi; __ebd_output_init; __ebd_use_init; __ebd_install_init\n\
             cd {root}/work\n{code}\n"
        )
    }

    pub(crate) fn run(&self, code: &str) -> Outcome {
        let notices = self.path("notices");
        let _ = fs::remove_file(&notices);
        let script = self.file("script.bash", &self.script(code));
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("bash")
            .arg("--norc")
            .arg(script)
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env_remove("CONFIG_SHELL")
            .env_remove("MAKEOPTS")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Outcome {
            status: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
            notices: fs::read_to_string(notices).unwrap_or_default(),
        }
    }

    /// Runs code that must succeed and gives what it printed.
    #[track_caller]
    pub(crate) fn prints(&self, code: &str) -> String {
        let outcome = self.run(code);
        assert_eq!(outcome.status, 0, "{code}: {}{}", outcome.out, outcome.err);
        outcome.out
    }

    /// Runs code that must die and gives its message.
    #[track_caller]
    pub(crate) fn dies(&self, code: &str) -> String {
        let outcome = self.run(&format!("{code}\necho survived"));
        assert_eq!(outcome.status, 99, "{code}: {}{}", outcome.out, outcome.err);
        assert!(!outcome.out.contains("survived"), "{code}");
        let message = outcome
            .err
            .lines()
            .find_map(|line| line.strip_prefix("die: "));
        message
            .unwrap_or_else(|| panic!("{code}: {}", outcome.err))
            .to_owned()
    }
}

/// Quotes for the shell.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
