//! Eclasses that a processor keeps in two parts.

use super::CACHE;
use crate::support::{Trial, line_of};

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
    // Here something of the program's own is what tells.
    let body = "inherit nasty\nDESCRIPTION=\"kept: ${!__EBD_ECLASSES[*]}\"";
    let reader = format!("{body}\nfoo() {{ X=${{BASH_SOURCE[1]}}; }}");
    let trial = nasty()
        .package("app-a/kept-1", body)
        .package("app-z/kept-1", body)
        .package("app-z/reader-1", &reader);
    let kept = |cpv: &str| trial.value(cpv, "DESCRIPTION").unwrap();
    trial.regen(&["--jobs=1", "--whole-eclasses"]).succeeds();
    assert_eq!(kept("app-a/kept-1"), "kept:");
    trial.regen(&["--jobs=1", "--all"]).succeeds();
    // What an ebuild seems to inherit is kept before it is sourced for the first time.
    for cpv in ["app-a/kept-1", "app-z/kept-1"] {
        assert!(kept(cpv).contains("nasty"), "{}", kept(cpv));
        assert!(kept(cpv).contains("nested"), "{}", kept(cpv));
    }
    // Unless it could tell the difference.
    assert_eq!(kept("app-z/reader-1"), "kept:");
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
