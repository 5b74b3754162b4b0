//! `ebd regen` as it is typed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ebd::util::digest::HashName;
use filetime::FileTime;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::support::{Outcome, Trial, ebuild, line_of};

const CACHE: &str = "repo/metadata/md5-cache";

/// The MD5 sum that an entry has.
fn md5(text: &str) -> String {
    HashName::Md5.hex(text.as_bytes())
}

impl Trial {
    /// Runs `ebd regen` on the trial's repository alone.
    fn regen(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.command(&["regen", "--config-root", "conf", "--repo", "repo"]);
        Outcome::of(command.args(arguments))
    }

    /// The text of an entry, if there is one.
    fn entry(&self, cpv: &str) -> Option<String> {
        fs::read_to_string(self.path(CACHE).join(cpv)).ok()
    }

    /// One value of an entry.
    #[track_caller]
    fn value(&self, cpv: &str, key: &str) -> Option<String> {
        let entry = self
            .entry(cpv)
            .unwrap_or_else(|| panic!("{cpv} has no entry"));
        entry
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(str::to_owned)
    }

    /// Every file below `folder`, what it says, and whether it is still the same file.
    fn files(&self, folder: &str) -> Vec<(PathBuf, u64, i64, i64, Vec<u8>)> {
        let root = self.path(folder);
        let mut found: Vec<_> = walkdir::WalkDir::new(&root)
            .into_iter()
            .flatten()
            .filter(|entry| !entry.file_type().is_dir())
            .map(|entry| {
                let known = fs::symlink_metadata(entry.path()).unwrap();
                (
                    entry.path().strip_prefix(&root).unwrap().to_owned(),
                    known.ino(),
                    known.mtime(),
                    known.mtime_nsec(),
                    fs::read(entry.path()).unwrap_or_default(),
                )
            })
            .collect();
        found.sort();
        found
    }

    /// The names and texts of all files below `folder`.
    fn texts(&self, folder: &str) -> Vec<(PathBuf, String)> {
        self.files(folder)
            .into_iter()
            .map(|(path, .., text)| (path, String::from_utf8(text).unwrap()))
            .collect()
    }

    /// Asserts that the cache has these entries and nothing else.
    #[track_caller]
    fn assert_entries(&self, expected: &[&str]) {
        let found = self.texts(CACHE);
        let found: Vec<_> = found.iter().map(|(p, _)| p.to_str().unwrap()).collect();
        assert_eq!(found, expected);
    }
}

const UTILS: &str = "# An eclass\nIUSE=\"+utils\"\nDEPEND=\"dev-libs/utils\"\nutils_src_install() { :; }\nEXPORT_FUNCTIONS src_install\n";

/// A repository with three ebuilds, whose entries are known.
fn basic() -> Trial {
    Trial::new()
        .eclass("utils", UTILS)
        .eclass("base", "inherit utils\nRDEPEND=\"dev-libs/base\"\n")
        .ebuild("app-misc/foo-1", FOO)
        .ebuild("app-misc/foo-2-r1", OLD)
        .package("dev-libs/bar-0.1_rc2", "")
}

const FOO: &str = r#"# A comment
EAPI=8

inherit base

DESCRIPTION="Says \"hello\" for 5\$ = \\o/ — naïvely"
HOMEPAGE="https://example.org/
	https://example.com/"
SRC_URI="
	https://example.org/${P}.tar.gz
	doc? ( https://example.org/${PN}-doc-${PV}.zip -> ${P}-doc.zip )
"
LICENSE="MIT"
SLOT="0/1"
KEYWORDS="~amd64 amd64"
IUSE="doc"
RESTRICT="test"
PROPERTIES="live"
REQUIRED_USE="doc? ( utils )"

DEPEND="
	>=dev-libs/a-1[doc?]
	doc? (
		dev-libs/b:=
	)
"
RDEPEND="${DEPEND}"
BDEPEND="	dev-util/c	"
PDEPEND="dev-libs/p"
IDEPEND="dev-libs/i"

src_compile() { :; }
pkg_pretend() { :; }
"#;

const OLD: &str = "DESCRIPTION='Old'\nSLOT=0\nDEPEND='a/b'\npkg_pretend() { :; }\nsrc_prepare() { :; }\nsrc_unpack() { :; }\n";

fn assert_basic(trial: &Trial) {
    trial.assert_entries(&[
        "app-misc/foo-1",
        "app-misc/foo-2-r1",
        "dev-libs/bar-0.1_rc2",
    ]);
    let base = md5("inherit utils\nRDEPEND=\"dev-libs/base\"\n");
    assert_eq!(
        trial.entry("app-misc/foo-1").unwrap(),
        format!(
            "BDEPEND=dev-util/c\n\
             DEFINED_PHASES=compile install pretend\n\
             DEPEND=>=dev-libs/a-1[doc?] doc? ( dev-libs/b:= ) dev-libs/utils\n\
             DESCRIPTION=Says \"hello\" for 5$ = \\o/ — naïvely\n\
             EAPI=8\n\
             HOMEPAGE=https://example.org/ https://example.com/\n\
             IDEPEND=dev-libs/i\n\
             INHERIT=base\n\
             IUSE=doc +utils\n\
             KEYWORDS=~amd64 amd64\n\
             LICENSE=MIT\n\
             PDEPEND=dev-libs/p\n\
             PROPERTIES=live\n\
             RDEPEND=>=dev-libs/a-1[doc?] doc? ( dev-libs/b:= ) dev-libs/base\n\
             REQUIRED_USE=doc? ( utils )\n\
             RESTRICT=test\n\
             SLOT=0/1\n\
             SRC_URI=https://example.org/foo-1.tar.gz doc? ( https://example.org/foo-doc-1.zip -> foo-1-doc.zip )\n\
             _eclasses_=base\t{base}\tutils\t{}\n\
             _md5_={}\n",
            md5(UTILS),
            md5(FOO)
        )
    );
    assert_eq!(
        trial.entry("app-misc/foo-2-r1").unwrap(),
        format!(
            "DEFINED_PHASES=unpack\nDEPEND=a/b\nDESCRIPTION=Old\nEAPI=0\nRDEPEND=a/b\nSLOT=0\n_md5_={}\n",
            md5(OLD)
        )
    );
    assert_eq!(
        trial.entry("dev-libs/bar-0.1_rc2").unwrap(),
        format!(
            "DEFINED_PHASES=-\nDESCRIPTION=A trial\nEAPI=8\nHOMEPAGE=https://example.org/\n\
             KEYWORDS=amd64\nLICENSE=MIT\nSLOT=0\n_md5_={}\n",
            md5(&ebuild(""))
        )
    );
}

#[test]
fn entries_are_what_the_ebuilds_say_whatever_the_number_of_processors() {
    for jobs in ["1", "2", "8"] {
        let trial = basic();
        trial
            .regen(&["--jobs", jobs])
            .succeeds()
            .ends(0, &["3 generated (3 written), 0 still valid, 0 removed"]);
        assert_basic(&trial);
    }
    let trial = basic();
    trial.regen(&["--whole-eclasses"]).succeeds();
    assert_basic(&trial);
}

#[test]
fn what_is_right_is_not_touched_and_needs_no_bash() {
    let trial = basic();
    trial.regen(&[]).succeeds();
    let before = trial.files("repo");
    let idle = ["--bash", "/nonexistent/bash"];
    trial.regen(&idle).ends(0, &["3 still valid"]);
    trial.regen(&["--check"]).succeeds();
    // Sourced again, but not written.
    trial
        .regen(&["--all"])
        .ends(0, &["3 generated (0 written)"]);
    assert_eq!(trial.files("repo"), before);
    // Times do not count, neither of ebuilds nor of eclasses.
    for path in ["repo/app-misc/foo/foo-1.ebuild", "repo/eclass/utils.eclass"] {
        filetime::set_file_mtime(trial.path(path), FileTime::from_unix_time(9, 0)).unwrap();
    }
    trial.regen(&idle).ends(0, &["3 still valid"]);
    // With something to do the missing bash is an error that names it, and nothing is lost.
    fs::remove_file(trial.path(CACHE).join("app-misc/foo-1")).unwrap();
    trial.regen(&idle).fails(&["/nonexistent/bash"]);
    trial.assert_entries(&["app-misc/foo-2-r1", "dev-libs/bar-0.1_rc2"]);
    trial.regen(&[]).ends(0, &["1 generated (1 written)"]);
    assert_basic(&trial);
}

#[test]
fn what_changed_is_sourced_again() {
    let trial = basic();
    trial.regen(&[]).succeeds();
    let changed = UTILS.replace("+utils", "tools");
    trial.put("repo/eclass/utils.eclass", &changed);
    // That is stale which inherits it, if only through another.
    trial
        .regen(&["--check"])
        .fails(&["app-misc/foo-1: ", "utils"]);
    assert_basic(&trial);
    trial
        .regen(&[])
        .ends(0, &["1 generated (1 written), 2 still"]);
    assert_eq!(trial.value("app-misc/foo-1", "IUSE").unwrap(), "doc tools");
    fs::remove_file(trial.path("repo/eclass/utils.eclass")).unwrap();
    trial
        .regen(&[])
        .fails(&["foo-1.ebuild: ", "utils.eclass was not found", "1 failed"]);
    trial.assert_entries(&["app-misc/foo-2-r1", "dev-libs/bar-0.1_rc2"]);
    trial.put("repo/eclass/utils.eclass", UTILS);
    trial.put("repo/app-misc/foo/foo-2-r1.ebuild", "SLOT=1\n");
    trial.regen(&[]).ends(0, &["2 generated (2 written)"]);
    assert_eq!(trial.value("app-misc/foo-2-r1", "SLOT").unwrap(), "1");
    trial.put("repo/app-misc/foo/foo-2-r1.ebuild", OLD);
    trial.put(
        &format!("{CACHE}/dev-libs/bar-0.1_rc2"),
        "not an entry at all\n",
    );
    trial.regen(&[]).ends(0, &["2 generated (2 written)"]);
    assert_basic(&trial);
}

#[test]
fn entries_without_ebuild_go_and_other_files_stay() {
    let trial = basic();
    trial.regen(&[]).succeeds();
    for name in [
        "Manifest.gz",
        "Manifest.files.gz",
        ".hidden",
        "app-misc/.foo-1.tmp",
    ] {
        trial.put(&format!("{CACHE}/{name}"), "precious");
    }
    for name in ["app-misc/gone-1", "gone-cat/foo-1", "gone-cat/foo-2"] {
        trial.put(&format!("{CACHE}/{name}"), "EAPI=8\n");
    }
    trial
        .regen(&["--check"])
        .fails(&["0 generated (0 written), 3 still valid, 3 removed"]);
    assert!(trial.path(CACHE).join("gone-cat/foo-2").exists());
    fs::remove_dir_all(trial.path("repo/dev-libs")).unwrap();
    trial.regen(&[]).ends(0, &["2 still valid, 4 removed"]);
    trial.assert_entries(&[
        ".hidden",
        "Manifest.files.gz",
        "Manifest.gz",
        "app-misc/.foo-1.tmp",
        "app-misc/foo-1",
        "app-misc/foo-2-r1",
    ]);
    for folder in ["gone-cat", "dev-libs"] {
        assert!(!trial.path(CACHE).join(folder).exists(), "{folder}");
    }
}

#[test]
fn check_writes_nothing() {
    let trial = basic();
    let before = trial.files("repo");
    trial
        .regen(&["--check"])
        .fails(&["app-misc/foo-1: there is no entry", "dev-libs/bar-0.1_rc2"]);
    assert_eq!(trial.files("repo"), before);
    assert!(!trial.path("repo/metadata/md5-cache").exists());
}

#[test]
fn another_cache_leaves_the_repository_alone() {
    let trial = basic();
    let before = trial.files("repo");
    trial.regen(&["--cache", "elsewhere"]).succeeds();
    assert_eq!(trial.files("repo"), before);
    let elsewhere = trial.texts("elsewhere/trial");
    assert_eq!(elsewhere.len(), 3);
    trial
        .regen(&["--cache", "elsewhere", "--bash", "/none"])
        .succeeds();
    trial.regen(&[]).succeeds();
    assert_eq!(trial.texts(CACHE), elsewhere);
}

#[test]
fn only_named_packages_are_done() {
    let trial = basic();
    trial.put(&format!("{CACHE}/gone-cat/foo-1"), "EAPI=8\n");
    trial
        .regen(&["trial", "dev-libs/bar"])
        .ends(0, &["1 generated"]);
    trial.assert_entries(&["dev-libs/bar-0.1_rc2", "gone-cat/foo-1"]);
    trial
        .regen(&["app-misc/nothing"])
        .fails(&["app-misc/nothing"]);
    trial.regen(&["nowhere"]).fails(&["nowhere", "trial"]);
}

#[test]
fn events_are_lines_of_json() {
    let trial = basic()
        .package("app-misc/loud-1", "echo hello")
        .package("app-misc/bad-1", "die broken");
    let outcome = trial.regen(&["--json"]);
    outcome.ends(1, &[]);
    let events = outcome.events();
    let named = |name: &str| -> Vec<&serde_json::Value> {
        events.iter().filter(|e| e["event"] == name).collect()
    };
    assert_eq!(named("generated").len(), 4);
    assert_eq!(named("printed")[0]["package"], "app-misc/loud-1");
    assert_eq!(named("printed")[0]["lines"][0], "hello");
    assert_eq!(named("failed")[0]["package"], "app-misc/bad-1");
    let finished = named("finished")[0];
    assert_eq!(finished["repository"], "trial");
    assert_eq!(
        (&finished["written"], &finished["failed"]),
        (&4.into(), &1.into())
    );
}

#[test]
fn an_overlays_eclass_shadows_its_masters() {
    let trial = basic()
        .file("over/profiles/repo_name", "over\n")
        .file("over/profiles/categories", "app-misc\n")
        .file("over/metadata/layout.conf", "masters = trial\n")
        .file(
            "over/eclass/utils.eclass",
            UTILS.replace("+utils", "shadow"),
        )
        .file("over/app-misc/foo/foo-1.ebuild", FOO);
    // Portage compares times only, so that is where it goes wrong.
    for folder in ["over", "repo"] {
        filetime::set_file_mtime(
            trial.path(&format!("{folder}/eclass/utils.eclass")),
            FileTime::from_unix_time(1_000_000_000, 0),
        )
        .unwrap();
    }
    trial.regen(&["--repo", "over", "--jobs", "1"]).succeeds();
    assert_basic(&trial);
    let entry = fs::read_to_string(trial.path("over/metadata/md5-cache/app-misc/foo-1")).unwrap();
    assert!(entry.contains("\nIUSE=doc shadow\n"), "{entry}");
    let sums = format!(
        "\n_eclasses_=base\t{}\tutils\t{}\n",
        md5("inherit utils\nRDEPEND=\"dev-libs/base\"\n"),
        md5(&UTILS.replace("+utils", "shadow"))
    );
    assert!(entry.contains(&sums), "{entry}");
    // Without it the master's counts.
    fs::remove_file(trial.path("over/eclass/utils.eclass")).unwrap();
    trial
        .regen(&["--repo", "over", "over"])
        .ends(0, &["over: 1 generated (1 written)"]);
    let entry = fs::read_to_string(trial.path("over/metadata/md5-cache/app-misc/foo-1")).unwrap();
    assert_eq!(entry, trial.entry("app-misc/foo-1").unwrap());
}

/// An eclass with everything that taking eclasses apart could get wrong.
const NASTY: &str = r#"# Copyright nobody
# A comment with a lone { and a "
#

if [[ -z ${_NASTY_ECLASS} ]]; then
_NASTY_ECLASS=1

case ${EAPI:-0} in
	7) nasty_which() { echo seven; } ;;
	8|9)
		nasty_which() { NASTY_WHICH=eight; }
		;;
	*) die "EAPI ${EAPI}" ;;
esac

inherit nested

if [[ ${PN} == one ]]; then
	nasty_branch() { NASTY_BRANCH="first"; }
else
	nasty_branch() { NASTY_BRANCH="second"; }
fi

EXPORT_FUNCTIONS src_compile

nasty_here() {
	NASTY_HERE=$(while read -r line; do printf '%s,' "${line}"; done <<-EOF
		}
		nasty_hidden() {
		'
	EOF
	)
	read -r NASTY_LITERAL <<'EOF'
$( } "
EOF
}

nasty_defines() {
	nasty_inner() {
		NASTY_INNER="inner of $1"
	}
	nasty_defines() { NASTY_AGAIN=yes; }
}

nasty_case() {
	case $1 in
		a|b) echo ab ;;
		(c) echo "c)" ;;
		[de]*) echo "de" ;;
		*}) echo brace ;;
	esac
}

nasty_redirected() {
	echo hidden
} >/dev/null 2>&1

nasty_sub() (
	NASTY_LEAK=1
)

function nasty_keyword {
	NASTY_KEYWORD=keyword
}

function nasty_both() {
	NASTY_BOTH=both
}

nasty-odd.name+x() { NASTY_ODD=odd; }
nasty:colon () { NASTY_COLON=colon; }

nasty_recursive() {
	[[ $1 -gt 0 ]] || return 0
	NASTY_COUNT+=$1
	nasty_recursive $(($1 - 1))
}

nasty_name() { NASTY_NAME="${FUNCNAME} ${FUNCNAME[0]}"; }
nasty_caller() { NASTY_CALLER="${FUNCNAME[1]}"; }
nasty_calls() { nasty_caller; }
nasty_status() { return 3; }
nasty_args() { NASTY_ARGS="$#:$*:$1"; }
nasty_gone() { NASTY_GONE=never; }
nasty_last_status() { NASTY_LAST=$?; }
nasty_pipe() { NASTY_PIPE="${PIPESTATUS[*]}"; }
nasty_set() { set -- x y; NASTY_SET="$#"; }
nasty_locals() { local nasty_local=inside; nasty_sees; }
nasty_sees() { NASTY_SEES=${nasty_local}; }
nasty_one_line() { echo "}"; }; NASTY_AFTER=after
nasty_src_compile() { :; }
nasty_src_install() { :; }
shared_name() { NASTY_SHARED="of nasty"; }
nasty_math() { echo $(( 1 << 2 )) $((16#ff)); }
nasty_quotes() { echo '}' "}" \} $'}\'' "${x:-\}}" `echo \}`; } # }

local nasty_eclass_local=1
declare nasty_declared=gone
declare -g NASTY_GLOBAL="${nasty_eclass_local}${nasty_declared}"
NASTY_ARRAY=( a "b c" [5]=d )

nasty_which
nasty_branch
nasty_here
nasty_defines
nasty_defines
nasty_inner x
NASTY_CASE="$(nasty_case a) $(nasty_case c) $(nasty_case dx) $(nasty_case 'x}')"
nasty_redirected
nasty_sub
nasty_keyword
nasty_both
nasty-odd.name+x
nasty:colon
nasty_recursive 3
nasty_name
nasty_calls
nasty_status || NASTY_STATUS=$?
nasty_args "a  b" "" '*'
unset -f nasty_gone
declare -F nasty_gone >/dev/null && NASTY_GONE=there
false
nasty_last_status
true | false | true
nasty_pipe
nasty_set
nasty_locals
shared_name
NASTY_PARAMETERS="$# ${1##*/}"
[[ a1 =~ ([a-z])([0-9]) ]]
nasty_match() { NASTY_MATCH="${BASH_REMATCH[2]}"; }
nasty_match
nasty_for() { NASTY_FOR+="${NASTY_ONCE:-none} "; }
NASTY_ONCE=once nasty_for
nasty_for
nasty_replaces() { unset -f nasty_replaces; nasty_replaces() { NASTY_REPLACES=second; }; }
nasty_replaces
nasty_replaces
nasty_if() if true; then NASTY_IF=compound; fi
nasty_if
while nasty_while() { NASTY_WHILE=defined; return 1; }; nasty_while; do :; done
IFS=,
nasty_ifs() { NASTY_IFS="$*"; }
nasty_ifs 1 2
unset IFS
fi

nasty_outside() { :; }

EXPORT_FUNCTIONS src_install

# What was found is told by DESCRIPTION.
nasty_tell() {
	local name text=
	for name in ${!NASTY_*}; do
		[[ ${name} == NASTY_ARRAY ]] || text+="${name}=${!name} "
	done
	DESCRIPTION="${text}${NASTY_ARRAY[*]}"
}

[[ ${PN} != line ]] || NASTY_LINE=${LINENO}
return 0
die "not reached"
"#;

const NESTED: &str = r#"if [[ ! ${_NESTED} ]]; then
_NESTED=1
shared_name() { NASTY_SHARED="of nested"; }
nested_src_compile() { :; }
nested_pkg_setup() { :; }
shared_name
IUSE="nested"
DEPEND="dev-libs/nested $([[ -n ${ECLASS} ]] && echo "dev-libs/${ECLASS}")"
EXPORT_FUNCTIONS src_compile pkg_setup
fi
"#;

const CURIOUS: &str = r#"inherit nested
curious_source() { NASTY_SOURCE=${BASH_SOURCE[0]##*/}:${BASH_SOURCE[1]##*/}; }
curious_depth() { NASTY_DEPTH=${#FUNCNAME[@]}; }
curious_quotes() { echo '}' "}" \} $'}\'' "${x:-\}}" `echo \}`; }
curious_source
curious_depth
NASTY_SHELL="${#BASH_SOURCE[@]} ${BASH_SOURCE##*/} ${FUNCNAME[0]} $#"
NASTY_DEFINED=$(declare -f curious_quotes | while read -r line; do printf '%s' "${line}"; done)
"#;

const OTHER: &str = r#"shared_name() { NASTY_SHARED="of other"; }
nasty_outside() { NASTY_OUTSIDE="overwritten"; }
nasty_tell() { DESCRIPTION="told by other"; }
shared_name
IUSE="other"
"#;

/// Three ebuilds with different ways through the eclasses, each more than once.
fn nasty() -> Trial {
    let rest = "shared_name\nnasty_outside\nnasty_tell\n";
    let mut trial = Trial::new()
        .eclass("nasty", NASTY)
        .eclass("nested", NESTED)
        .eclass("other", OTHER)
        .eclass("curious", CURIOUS);
    for (cpv, names) in [
        ("app-a/one-1", "nasty"),
        ("app-a/one-2", "other nasty"),
        ("app-a/one-3", "nasty"),
        ("app-b/two-1", "nasty other"),
        ("app-b/two-2", "nested nasty nested other nested"),
        ("app-b/two-3", "nasty other"),
        ("app-c/one-1", "nasty"),
        ("app-c/one-2", "nested\ninherit nasty"),
        (
            "app-c/two-1",
            "other\nnasty_outside() { :; }\ninherit nasty",
        ),
        ("app-d/one-1", "curious nasty"),
        ("app-d/one-2", "nasty curious other curious"),
        ("app-d/two-1", "nasty other"),
    ] {
        trial = trial.package(cpv, &format!("inherit {names}\n{rest}"));
    }
    trial
}

#[test]
fn kept_eclasses_do_what_whole_ones_do() {
    let trial = nasty();
    trial
        .regen(&["--cache", "whole", "--whole-eclasses"])
        .succeeds();
    let whole = trial.texts("whole/trial");
    assert_eq!(whole.len(), 12);
    for (cache, arguments) in [("one", &["--jobs", "1"][..]), ("two", &["--jobs", "2"])] {
        trial
            .regen(&[&["--cache", cache], arguments].concat())
            .succeeds();
        for (kept, whole) in trial.texts(&format!("{cache}/trial")).iter().zip(&whole) {
            assert_eq!(kept, whole);
        }
    }
    let first = &whole[0].1;
    for part in [
        "NASTY_WHICH=eight",
        "NASTY_BRANCH=first",
        "NASTY_HERE=},nasty_hidden() {,',",
        "NASTY_LITERAL=$( } \"",
        "NASTY_INNER=inner of x",
        "NASTY_AGAIN=yes",
        "NASTY_CASE=ab c) de brace",
        "NASTY_COUNT=321",
        "NASTY_NAME=nasty_name nasty_name",
        "NASTY_CALLER=nasty_calls",
        "NASTY_STATUS=3",
        "NASTY_ARGS=3:a b *:a b",
        "NASTY_LAST=1",
        "NASTY_PIPE=0 1 0",
        "NASTY_MATCH=1",
        "NASTY_FOR=once none",
        "NASTY_REPLACES=second",
        "NASTY_IF=compound",
        "NASTY_WHILE=defined",
        "NASTY_IFS=1,2",
        "NASTY_SEES=inside",
        "NASTY_GLOBAL=1gone",
        "NASTY_SHARED=of nasty",
        "DEFINED_PHASES=compile install setup\n",
        "\nDEPEND=dev-libs/nested dev-libs/nested\n",
    ] {
        assert!(first.contains(part), "{part} is not in\n{first}");
    }
    assert!(!first.contains("NASTY_LEAK"), "{first}");
}

#[test]
fn eclasses_are_kept_indeed() {
    // The number of a line is what tells: kept text has no lines of its file.
    let body = "inherit nasty\nDESCRIPTION=${NASTY_LINE}";
    let trial = nasty()
        .package("app-a/line-1", body)
        .package("app-z/line-1", body);
    trial.regen(&["--jobs=1", "--whole-eclasses"]).succeeds();
    let line = line_of(NASTY, "LINENO").to_string();
    assert_eq!(trial.value("app-a/line-1", "DESCRIPTION").unwrap(), line);
    assert_eq!(trial.value("app-z/line-1", "DESCRIPTION").unwrap(), line);
    trial.regen(&["--jobs=1", "--all"]).succeeds();
    assert_eq!(trial.value("app-a/line-1", "DESCRIPTION").unwrap(), line);
    assert_ne!(trial.value("app-z/line-1", "DESCRIPTION").unwrap(), line);
}

#[test]
fn what_only_kept_eclasses_break_is_sourced_with_whole_ones() {
    // A stub cannot be replaced once it is readonly.
    let eclass = "foo() { IUSE+=\" foo\"; }\nreadonly -f foo\nfoo\nfoo\n";
    let mut trial = Trial::new().eclass("foo", eclass);
    for name in ["app-a/foo-1", "app-a/foo-2", "app-b/foo-1"] {
        trial = trial.package(name, "inherit foo");
    }
    trial.regen(&["--jobs=1"]).succeeds();
    for name in ["app-a/foo-1", "app-a/foo-2", "app-b/foo-1"] {
        assert_eq!(trial.value(name, "IUSE").unwrap(), "foo foo");
    }
}

#[test]
fn an_eclass_that_ends_with_a_false_command_is_an_error_either_way() {
    let trial = Trial::new()
        .eclass("falsy", "A=1\nfoo() { :; }\n[[ ${PN} == good ]]\n")
        .package("app-a/good-1", "inherit falsy")
        .package("app-b/bad-1", "inherit falsy")
        .package("app-c/good-1", "inherit falsy");
    for arguments in [["--all", "--jobs=1"], ["--all", "--whole-eclasses"]] {
        trial.regen(&arguments).fails(&[
            "app-b/bad/bad-1.ebuild: ",
            "falsy.eclass could not be sourced",
            "2 generated",
            "1 failed",
        ]);
        trial.assert_entries(&["app-a/good-1", "app-c/good-1"]);
    }
}

#[test]
fn a_kept_eclass_is_named_with_its_line_when_it_dies() {
    let eclass = "# head\n\nfoo_check() {\n\tlocal a\n\t[[ ${PN} == bad ]] && die \"no ${PN} here\"\n\treturn 0\n}\nfoo_check\n";
    let mut trial = Trial::new().eclass("foo", eclass);
    for name in [
        "app-a/good-1",
        "app-a/good-2",
        "app-b/bad-1",
        "app-b/bad-2",
        "app-c/good-1",
    ] {
        trial = trial.package(name, "inherit foo");
    }
    trial.put(&format!("{CACHE}/app-b/bad-1"), "EAPI=8\n");
    let place = format!("eclass/foo.eclass, line {}", line_of(eclass, "die"));
    trial.regen(&["--jobs", "1"]).fails(&[
        "bad-1.ebuild: ",
        "bad-2.ebuild: ",
        "no bad here",
        &place,
        "3 generated (3 written)",
        "2 failed",
    ]);
    trial.assert_entries(&["app-a/good-1", "app-a/good-2", "app-c/good-1"]);
}

/// Ebuilds in several categories, each right but for `app-m/bad-1`, which has this text.
fn with_bad(text: impl AsRef<[u8]>) -> Trial {
    let trial = Trial::new()
        .eclass("plain", "IUSE=\"plain\"\nplain_foo() { :; }\n")
        .package("app-a/good-1", "inherit plain")
        .package("app-a/good-2", "inherit plain")
        .ebuild("app-m/bad-1", text)
        .package("app-z/good-1", "inherit plain")
        .package("app-z/good-2", "");
    trial.put(&format!("{CACHE}/app-m/bad-1"), "EAPI=8\nSLOT=0\n");
    trial
}

const GOOD: [&str; 4] = [
    "app-a/good-1",
    "app-a/good-2",
    "app-z/good-1",
    "app-z/good-2",
];

/// Asserts that the bad one fails, by name and with all of `parts`, loses its entry, and that the
/// others are done.
#[track_caller]
fn assert_only_bad_fails(trial: &Trial, arguments: &[&str], parts: &[&str]) {
    let outcome = trial.regen(arguments);
    outcome.fails(&[
        "app-m/bad/bad-1.ebuild",
        "4 generated (4 written)",
        "1 failed",
    ]);
    outcome.fails(parts);
    let errors = outcome.stderr.lines();
    let errors = errors.filter(|line| line.starts_with("error:"));
    assert_eq!(errors.count(), 1, "{outcome}");
    trial.assert_entries(&GOOD);
    assert!(outcome.elapsed.as_secs() < 8, "{outcome}");
    trial.assert_no_processes("after a failure");
}

/// Asserts that an ebuild with this body fails so, wherever it stands in a processor's work.
#[track_caller]
fn assert_body_fails(body: &str, parts: &[&str]) {
    assert_only_bad_fails(&with_bad(ebuild(body)), &["--jobs=1", "--timeout=1"], parts);
}

#[test]
fn shell_text_that_is_none() {
    let text = ebuild("src_compile() {\n\tif true; then\n}\n");
    let line = format!("line {}: ", line_of(&text, "if true") + 1);
    assert_only_bad_fails(&with_bad(&text), &["--jobs=1"], &["syntax error", &line]);
    assert_body_fails("src_compile() {", &["syntax error: unexpected end of file"]);
    let trial = with_bad(ebuild("inherit plain broken")).eclass("broken", "foo() {\n\tif\n}\n");
    assert_only_bad_fails(
        &trial,
        &["--jobs=1"],
        &[
            "broken.eclass could not be sourced",
            "broken.eclass: line 3: syntax error",
        ],
    );
}

#[test]
fn eclasses_that_cannot_be() {
    let text = ebuild("inherit plain missing");
    let line = format!("line {}", line_of(&text, "inherit"));
    assert_only_bad_fails(
        &with_bad(&text),
        &[],
        &["missing.eclass was not found", &line],
    );
    for name in ["../x", "/etc/passwd", "sub/x", "''", "."] {
        assert_body_fails(&format!("inherit {name}"), &["is no name of an eclass"]);
    }
}

#[test]
fn text_that_is_not_utf_8_or_has_carriage_returns() {
    let text = ebuild("IUSE=a");
    let line = line_of(&text, "LICENSE");
    let at = text.find("LICENSE").unwrap();
    let mut bytes = text.clone().into_bytes();
    bytes[at] = 0xe9;
    assert_only_bad_fails(
        &with_bad(bytes),
        &[],
        &["not valid UTF-8", &format!("line {line}")],
    );
    let crlf = text.replace('\n', "\r\n");
    assert_only_bad_fails(&with_bad(crlf), &[], &["carriage returns", "line 1"]);
}

#[test]
fn shells_that_end_or_never_end() {
    assert_body_fails("exit 0", &["`exit`"]);
    assert_body_fails("exit 7", &["status 7"]);
    assert_body_fails("exec /bin/true", &["`exec`"]);
    assert_body_fails("exec true", &["`exec`"]);
    assert_body_fails("kill -9 ${BASHPID}", &["status 137"]);
    assert_body_fails(
        "kill -9 $$; sleep 9",
        &["processor that sources it was lost"],
    );
    assert_body_fails("kill -9 0", &["bad-1.ebuild: "]);
    assert_body_fails("while :; do :; done", &["longer than 1 seconds"]);
    assert_body_fails(
        "trap '' TERM INT HUP; while :; do :; done",
        &["longer than 1 seconds"],
    );
    assert_body_fails(
        "read -r x < <(while :; do :; done)",
        &["longer than 1 seconds"],
    );
}

#[test]
fn eapis_that_do_not_agree() {
    assert_body_fails("EAPI=7", &["EAPI is '8'", "'7'"]);
    let late = "inherit plain\nEAPI=8\nDESCRIPTION=x\nSLOT=0\n";
    assert_only_bad_fails(&with_bad(late), &[], &["EAPI is '0'", "'8'"]);
    let unknown = "EAPI=banana\nDESCRIPTION=x\nSLOT=0\n";
    assert_only_bad_fails(&with_bad(unknown), &[], &["banana"]);
    let trial = with_bad(ebuild("inherit eapi")).eclass("eapi", "EAPI=7\n");
    assert_only_bad_fails(&trial, &[], &["EAPI is '8'"]);
}

#[test]
fn commands_that_may_not_be_run() {
    let text = ebuild("FOO=$(sed -e s/a/b/ /etc/passwd)");
    let line = format!("line {}", line_of(&text, "sed"));
    assert_only_bad_fails(
        &with_bad(&text),
        &[],
        &["sed: external commands may not be run", &line],
    );
    assert_body_fails("DOCS=( *.nothing )", &["no match: *.nothing"]);
    assert_body_fails("die \"not here\"", &["not here"]);
    assert_body_fails("econf", &["econf"]);
}

#[test]
fn files_that_cannot_be_read() {
    let trial = with_bad("");
    let path = trial.path("repo/app-m/bad/bad-1.ebuild");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    assert_only_bad_fails(&trial, &[], &["cannot be read"]);
    let trial = with_bad("");
    fs::remove_file(trial.path("repo/app-m/bad/bad-1.ebuild")).unwrap();
    fs::create_dir(trial.path("repo/app-m/bad/bad-1.ebuild")).unwrap();
    let outcome = trial.regen(&[]);
    outcome.fails(&["bad-1.ebuild", "directory", "1 failed"]);
    trial.assert_entries(&GOOD);
    let trial = with_bad(ebuild("inherit dangling"));
    fs::create_dir_all(trial.path("repo/eclass")).unwrap();
    std::os::unix::fs::symlink("no", trial.path("repo/eclass/dangling.eclass")).unwrap();
    assert_only_bad_fails(&trial, &[], &["dangling.eclass was not found"]);
}

#[test]
fn metadata_that_is_none() {
    assert_body_fails(
        "DESCRIPTION=$'a\\xffb'",
        &["DESCRIPTION is not valid UTF-8"],
    );
    assert_body_fails("DESCRIPTION='a\u{2028}b'", &["DESCRIPTION"]);
}

#[test]
fn what_is_printed_is_noted_and_written() {
    let trial = Trial::new()
        .package("app-a/loud-1", "echo to-stdout\necho to-stderr >&2\nIUSE=a")
        .package("app-a/quiet-1", "")
        .package(
            "app-b/flood-1",
            "for ((i = 0; i < 20000; i++)); do printf 'line %s\\0 \\e[1m\\n' \"${i}\"; done\nIUSE=b",
        )
        .package(
            "app-c/forged-1",
            "printf 'exited\\0000\\0died\\0'\nprintf 'x' >&3\nIUSE=c",
        );
    trial.regen(&["--jobs=1"]).ends(
        0,
        &[
            "app-a/loud-1 prints in global scope: to-stdout",
            "to-stderr",
            "4 generated (4 written)",
        ],
    );
    for (cpv, iuse) in [
        ("app-a/loud-1", "a"),
        ("app-b/flood-1", "b"),
        ("app-c/forged-1", "c"),
    ] {
        assert_eq!(trial.value(cpv, "IUSE").unwrap(), iuse);
    }
}

#[test]
fn what_an_ebuild_starts_does_not_outlive_the_run() {
    let body =
        "( trap '' TERM HUP INT; while :; do read -r -t 1 x <> <(:); done ) &\ndisown\nIUSE=a";
    let trial = Trial::new()
        .package("app-a/fork-1", body)
        .package("app-b/good-1", "");
    trial.regen(&["--jobs=1"]).ends(0, &["2 generated"]);
    trial.assert_no_processes("after a background process");
}

#[test]
fn one_ebuild_does_not_change_the_next() {
    let dirty = "IUSE=dirty\nDEPEND=dirty\nexport LEAK=1\ndeclare -gr READONLY=1\nset -f\nshopt -s nullglob\n\
                 IFS=x\ncd /\nalias inherit=die\nsrc_compile() { :; }\ninherit() { die overridden; }\nprintf() { :; }\numask 077\ntrap 'echo leaked' EXIT\n";
    let clean = "READONLY=2\n[[ -z ${LEAK} ]] || die leak\nIUSE=\"a  b\"";
    let trial = Trial::new()
        .eclass("plain", "DEPEND=plain/plain\n")
        .package("app-a/dirty-1", &format!("inherit plain\n{dirty}"))
        .package("app-b/clean-1", &format!("inherit plain\n{clean}"));
    trial
        .regen(&["--jobs=1"])
        .ends(0, &["2 generated (2 written)"]);
    assert_eq!(trial.value("app-a/dirty-1", "IUSE").unwrap(), "dirty");
    assert_eq!(
        trial.value("app-a/dirty-1", "DEPEND").unwrap(),
        "dirty plain/plain"
    );
    assert_eq!(trial.value("app-b/clean-1", "IUSE").unwrap(), "a b");
    assert_eq!(
        trial.value("app-b/clean-1", "DEPEND").unwrap(),
        "plain/plain"
    );
    assert_eq!(trial.value("app-b/clean-1", "DEFINED_PHASES").unwrap(), "-");
}

/// A repository that takes a second or more to do.
fn long() -> Trial {
    let mut trial = Trial::new().eclass("plain", "IUSE=\"plain\"\nplain_foo() { :; }\n");
    let body = "inherit plain\nfor ((i = 0; i < 20000; i++)); do :; done";
    for category in ["app-a", "app-b", "app-c", "app-d"] {
        for version in 0..6 {
            trial = trial.package(&format!("{category}/foo-{version}"), body);
        }
    }
    trial
}

/// The names and texts of the entries of [`long`], from an undisturbed run.
fn undisturbed(trial: &Trial) -> Vec<(PathBuf, String)> {
    trial
        .regen(&["--cache", "undisturbed"])
        .ends(0, &["24 generated"]);
    trial.texts("undisturbed/trial")
}

#[test]
fn a_run_that_is_ended_in_the_middle_is_made_up_for() {
    let trial = long();
    let expected = undisturbed(&trial);
    for (signal, code) in [
        (Signal::SIGKILL, None),
        (Signal::SIGINT, Some(130)),
        (Signal::SIGTERM, Some(143)),
    ] {
        let _ = fs::remove_dir_all(trial.path(CACHE));
        let mut child = trial.start(&[
            "regen",
            "--config-root",
            "conf",
            "--repo",
            "repo",
            "--jobs=2",
        ]);
        let begin = Instant::now();
        while trial.texts(CACHE).len() < 3 {
            assert!(begin.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(2));
        }
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
        let status = child.wait().unwrap();
        if let Some(code) = code {
            assert_eq!(
                status.code().or(status.signal().map(|s| 128 + s)),
                Some(code)
            );
        }
        trial.assert_no_processes(signal.as_str());
        // What is there is whole.
        let left = trial.texts(CACHE);
        assert!(left.len() < 24, "the signal came too late");
        for (path, text) in &left {
            let hidden = path.file_name().unwrap().to_str().unwrap().starts_with('.');
            assert!(
                hidden || expected.contains(&(path.clone(), text.clone())),
                "{path:?}"
            );
        }
        trial.regen(&[]).succeeds();
        assert_eq!(
            trial
                .texts(CACHE)
                .into_iter()
                .filter(|(path, _)| !path.file_name().unwrap().to_str().unwrap().starts_with('.'))
                .collect::<Vec<_>>(),
            expected
        );
    }
}

#[test]
fn two_runs_at_once_do_no_harm() {
    let trial = long();
    let expected = undisturbed(&trial);
    trial.put(&format!("{CACHE}/app-gone/foo-1"), "EAPI=8\n");
    let arguments = ["regen", "--config-root", "conf", "--repo", "repo"];
    let mut children: Vec<_> = (0..3).map(|_| trial.start(&arguments)).collect();
    for child in &mut children {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    assert_eq!(trial.texts(CACHE), expected);
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let trial = basic();
    trial.put(CACHE, "a file");
    trial.regen(&[]).fails(&["metadata/md5-cache"]);
    let trial = basic();
    trial.put(&format!("{CACHE}/app-misc"), "a file");
    trial.regen(&[]).fails(&["metadata/md5-cache/app-misc"]);
    let trial = basic();
    fs::create_dir_all(trial.path(CACHE).join("app-misc/foo-1/x")).unwrap();
    trial
        .regen(&[])
        .fails(&["metadata/md5-cache/app-misc/foo-1"]);
    let trial = basic();
    trial.put("file", "");
    trial.regen(&["--cache", "file"]).fails(&["file/trial"]);
}

#[test]
fn what_this_bash_is_too_old_for_is_said() {
    let version = std::process::Command::new("bash")
        .args(["-c", "echo $((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1]))"])
        .output()
        .unwrap();
    let version: u32 = String::from_utf8(version.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let text = ebuild("").replace("EAPI=8", "EAPI=9");
    let trial = Trial::new()
        .ebuild("app-a/new-1", &text)
        .package("app-a/old-1", "");
    let valid = format!("DEFINED_PHASES=-\nEAPI=9\nSLOT=0\n_md5_={}\n", md5(&text));
    if version < 503 {
        let outcome = trial.regen(&[]);
        outcome.fails(&["new-1.ebuild: ", "EAPI 9", "5.3", "1 generated (1 written)"]);
        assert_eq!(outcome.stderr.matches("EAPI 9").count(), 1, "{outcome}");
        trial.assert_entries(&["app-a/old-1"]);
    }
    // Whoever could source it has done so: that still counts.
    trial.put(&format!("{CACHE}/app-a/new-1"), &valid);
    trial.regen(&[]).succeeds();
    assert_eq!(trial.entry("app-a/new-1").unwrap(), valid);
    if version < 503 {
        trial.regen(&["--all"]).fails(&["new-1.ebuild: "]);
        assert_eq!(trial.entry("app-a/new-1").unwrap(), valid);
    }
}

#[test]
fn eclasses_and_ebuilds_join_their_metadata_as_specified() {
    let head = |eapi: &str| format!("EAPI={eapi}\nDESCRIPTION=x\nSLOT=0\n");
    let all = "IUSE REQUIRED_USE DEPEND BDEPEND RDEPEND PDEPEND IDEPEND";
    let seven = |value: &str| {
        all.split(' ')
            .map(|key| format!("{key}=\"{value}\"\n"))
            .collect::<String>()
    };
    let trial = Trial::new()
        .eclass("b", "IUSE=b\nDEPEND=\"c/b\"\nRESTRICT=test\nPROPERTIES=live\n")
        .eclass("c", "DESCRIPTION=\"[${IUSE-unset}${DEPEND-unset}]\"\nIUSE=c\nDEPEND=\"c/c\"\n")
        .eclass("all", &seven("all"))
        .eclass("rdep", "DEPEND=c/e\nRDEPEND=c/r\n")
        .eclass("dep", "DEPEND=c/e\n")
        .eclass(
            "outer",
            "A=${ECLASS}\ninherit inner\nA+=:${ECLASS}\nDESCRIPTION=${A}\nIUSE=outer\n",
        )
        .eclass("inner", "A+=:${ECLASS}\nIUSE=inner\n")
        .eclass(
            "pa",
            "EXPORT_FUNCTIONS src_compile pkg_setup\npa_src_compile() { :; }\npa_pkg_setup() { :; }\n",
        )
        .eclass("pb", "pb_src_compile() { :; }\nEXPORT_FUNCTIONS src_compile\npb_src_test() { :; }\n")
        .eclass("pe", "pe_pkg_pretend() { :; }\npe_src_prepare() { :; }\nEXPORT_FUNCTIONS pkg_pretend src_prepare\n")
        .eclass("lost", "EXPORT_FUNCTIONS src_compile\n")
        // 17 to 20
        .ebuild("m-m/r17-1", head("8") + "inherit b c\nIUSE=a\nDESCRIPTION+=y\n")
        .ebuild("m-m/r18-1", head("8") + "DEPEND=x/x\ninherit b\n")
        .ebuild("m-m/r19-1", head("8") + "DEPEND=x/x\ninherit b\nDEPEND+=\" x/y\"\ninherit c\nDEPEND+=\" x/z\"\n")
        .ebuild("m-m/r19-2", head("8") + "DEPEND=x/x\ninherit b\nDEPEND=x/y\n")
        .ebuild("m-m/r20-1", head("8") + "inherit all\n" + &seven("own"))
        .ebuild("m-m/r20-2", head("6") + "inherit all\n" + &seven("own"))
        // 21
        .ebuild("m-m/r21-7", head("7") + "inherit b\nRESTRICT=mirror\n")
        .ebuild("m-m/r21-8", head("8") + "inherit b\nRESTRICT=mirror\n")
        // 22 to 24
        .ebuild("m-m/r22-1", head("3") + "DEPEND=x/x\ninherit dep\n")
        .ebuild("m-m/r22-2", head("3") + "DEPEND=x/x\ninherit rdep\n")
        .ebuild("m-m/r23-1", head("3") + "DEPEND=x/x\nRDEPEND=\"\"\ninherit dep\n")
        .ebuild("m-m/r24-1", head("4") + "DEPEND=x/x\ninherit dep\n")
        // 25, 26
        .ebuild("m-m/r25-1", head("8") + "inherit outer\nDESCRIPTION+=:${ECLASS-unset}\n")
        .ebuild("m-m/r26-1", head("8") + "inherit inner outer\ninherit inner\nIUSE=own\n")
        // 29, 30, 32
        .ebuild("m-m/r29-1", head("8") + "inherit pa pb\n")
        .ebuild("m-m/r29-2", head("8") + "inherit pa\nsrc_install() { :; }\n")
        .ebuild("m-m/r30-1", head("8") + "inherit lost\n")
        .ebuild("m-m/r32-1", head("8"))
        .ebuild("m-m/r32-3", head("3") + "inherit pe\n")
        .ebuild("m-m/r32-4", head("4") + "inherit pe\n")
        .ebuild("m-m/r32-0", "DESCRIPTION=x\nSLOT=0\nsrc_prepare() { :; }\nsrc_configure() { :; }\n")
        // 34, 35
        .ebuild("m-m/r34-1", head("8") + "DEPEND=\"\n\tx/a\n\n\t|| (\tx/b\n x/c )\t\n\"\n")
        .ebuild("m-m/r35-1", head("8") + "DESCRIPTION='a=b \"c\" $d \\e `f` ü ✓ %s !x'\n");
    // Whatever the processor has done before.
    for arguments in [
        &["--jobs=1"][..],
        &["--all", "--jobs=1", "--whole-eclasses"],
    ] {
        trial.regen(arguments).fails(&[
            "r30-1.ebuild: ",
            "lost_src_compile is not defined in lost.eclass",
            "1 failed",
        ]);
        for (pf, key, value) in [
            ("r17-1", "IUSE", "a b c"),
            ("r17-1", "DEPEND", "c/b c/c"),
            ("r17-1", "DESCRIPTION", "[unsetunset]y"),
            ("r18-1", "DEPEND", "x/x c/b"),
            ("r19-1", "DEPEND", "x/x x/y x/z c/b c/c"),
            ("r19-2", "DEPEND", "x/y c/b"),
            ("r20-1", "IUSE", "own all"),
            ("r20-1", "REQUIRED_USE", "own all"),
            ("r20-1", "DEPEND", "own all"),
            ("r20-1", "BDEPEND", "own all"),
            ("r20-1", "RDEPEND", "own all"),
            ("r20-1", "PDEPEND", "own all"),
            ("r20-1", "IDEPEND", "own all"),
            ("r20-2", "PDEPEND", "own all"),
            ("r20-2", "BDEPEND", ""),
            ("r20-2", "IDEPEND", ""),
            ("r21-7", "RESTRICT", "mirror"),
            ("r21-7", "PROPERTIES", "live"),
            ("r21-8", "RESTRICT", "mirror test"),
            ("r21-8", "PROPERTIES", "live"),
            ("r22-1", "DEPEND", "x/x c/e"),
            ("r22-1", "RDEPEND", "x/x"),
            ("r22-2", "RDEPEND", "x/x c/r"),
            ("r23-1", "RDEPEND", ""),
            ("r24-1", "RDEPEND", ""),
            ("r25-1", "DESCRIPTION", "outer:inner:outer:unset"),
            ("r25-1", "IUSE", "inner outer"),
            ("r25-1", "INHERIT", "outer"),
            ("r26-1", "INHERIT", "inner outer inner"),
            ("r26-1", "IUSE", "own inner inner outer inner"),
            ("r29-1", "DEFINED_PHASES", "compile setup"),
            ("r29-2", "DEFINED_PHASES", "compile install setup"),
            ("r32-1", "DEFINED_PHASES", "-"),
            ("r32-3", "DEFINED_PHASES", "prepare"),
            ("r32-4", "DEFINED_PHASES", "prepare pretend"),
            ("r32-0", "DEFINED_PHASES", "-"),
            ("r34-1", "DEPEND", "x/a || ( x/b x/c )"),
            ("r35-1", "DESCRIPTION", "a=b \"c\" $d \\e `f` ü ✓ %s !x"),
        ] {
            let found = trial.value(&format!("m-m/{pf}"), key).unwrap_or_default();
            assert_eq!(found, value, "{key} of {pf}");
        }
    }
}
