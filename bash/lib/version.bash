# shellcheck shell=bash
# shellcheck disable=SC2295
# Version manipulation and comparison commands (PMS, version manipulation and comparison commands).
#
# No external program, no subshell, no limit on the number of digits or components. Ranges in
# patterns are spelled out, because what [a-z] means hangs on the locale and on shell options.

__EBD_DIGITS=0123456789
__EBD_LOWER=abcdefghijklmnopqrstuvwxyz
__EBD_LETTERS=${__EBD_LOWER}ABCDEFGHIJKLMNOPQRSTUVWXYZ
builtin declare -gA __EBD_SUFFIX_RANK
__EBD_SUFFIX_RANK=( [valpha]=0 [vbeta]=1 [vpre]=2 [vrc]=3 [vp]=5 )

# __ebd_version_split TEXT
#
# Sets __EBD_PARTS to separator 0, component 1, separator 1, component 2, … A separator behind the
# last component is followed by one empty component.
__ebd_version_split() {
	builtin local rest="$1" separator component
	__EBD_PARTS=()
	while [[ -n ${rest} ]]; do
		separator=${rest%%[${__EBD_LETTERS}${__EBD_DIGITS}]*}
		rest=${rest:${#separator}}
		component=${rest%%[!${__EBD_DIGITS}]*}
		[[ -n ${component} ]] || component=${rest%%[!${__EBD_LETTERS}]*}
		rest=${rest:${#component}}
		__EBD_PARTS+=( "${separator}" "${component}" )
	done
}

# __ebd_version_range COMMAND RANGE MAX
#
# Sets __EBD_START and __EBD_END. An end that is open or beyond MAX becomes MAX, a start beyond MAX
# becomes MAX + 1. Aborts on what is not a range.
__ebd_version_range() {
	builtin local start="${2%%-*}" end="${2#*-}"
	if [[ -z ${start} || ${start} == *[!${__EBD_DIGITS}]* || ${end} == *[!${__EBD_DIGITS}]* ]]; then
		die "$1: not a range: '$2'"
	fi
	if (( ${#2} > 9 )); then
		# Numbers too long for arithmetic are beyond any version anyway.
		start=${start#"${start%%[!0]*}"}
		(( ${#start} <= 9 )) || start=999999999
		if [[ -n ${end} ]]; then
			end=${end#"${end%%[!0]*}"}
			(( ${#end} <= 9 )) || end=999999999
			end=${end:-0}
		fi
	fi
	start=$(( 10#${start:-0} ))
	end=$(( 10#${end:-999999999} ))
	if (( end < start )); then
		die "$1: the range ends before it starts: '$2'"
	fi
	__EBD_START=$(( start > $3 ? $3 + 1 : start ))
	__EBD_END=$(( end > $3 ? $3 : end ))
}

# ver_cut RANGE [VERSION]
#
# An empty VERSION is taken as none, as everywhere in the field.
ver_cut() {
	builtin local __EBD_START __EBD_END IFS=
	builtin local -a __EBD_PARTS
	(( $# <= 2 )) || __ebd_qa_notice "ver_cut takes a range and at most one version"
	__ebd_version_split "${2:-${PV}}"
	__ebd_version_range ver_cut "$1" "$(( ${#__EBD_PARTS[@]} / 2 ))"
	if (( __EBD_START > 0 )); then
		__EBD_START=$(( __EBD_START * 2 - 1 ))
	fi
	if (( __EBD_START < __EBD_END * 2 )); then
		builtin printf '%s\n' "${__EBD_PARTS[*]:__EBD_START:__EBD_END * 2 - __EBD_START}"
	else
		builtin printf '\n'
	fi
}

# ver_rs RANGE REPLACEMENT [RANGE REPLACEMENT]… [VERSION]
ver_rs() {
	builtin local version="${PV}" __EBD_START __EBD_END i IFS=
	builtin local -a __EBD_PARTS
	(( $# >= 2 )) || die "ver_rs: takes a range and its replacement"
	(( $# % 2 == 0 )) || version=${!#}
	__ebd_version_split "${version}"
	while (( $# >= 2 )); do
		__ebd_version_range ver_rs "$1" "$(( ${#__EBD_PARTS[@]} / 2 - 1 ))"
		for (( i = __EBD_START; i <= __EBD_END; i++ )); do
			if (( i > 0 )) || [[ -n ${__EBD_PARTS[0]} ]]; then
				__EBD_PARTS[i * 2]=$2
			fi
		done
		shift 2
	done
	builtin printf '%s\n' "${__EBD_PARTS[*]}"
}

# Versions and their keys, see below.
builtin declare -gA __EBD_VERSION_KEYS
__EBD_VERSION_KEYS=()

# __ebd_version_key VERSION
#
# Sets __EBD_KEY to a text of digits that compares with other versions' as the versions do (PMS,
# version comparison); aborts if VERSION is none. Eclasses ask for the same few versions again and
# again, so keys are kept.
#
# An integer stands in the key as its length in nine digits and itself without leading zeros. The
# parts, from left to right, each after a digit that also says when there is no such part:
#
#   the first number
#   each further number: 11 and the integer, or, if it starts with a zero, 10 and the text without
#     the zeros at its end, each digit behind a 1, then 0; such numbers compare as text
#   0
#   the letter: 00 for none, 01 to 26
#   each suffix: its rank and its integer
#   4, as no suffix ranks between rc and p, and the revision
__ebd_version_key() {
	__EBD_KEY=${__EBD_VERSION_KEYS["v$1"]:-}
	[[ -z ${__EBD_KEY} ]] || return 0
	builtin local rest="$1" numbers number letter suffix revision='' piece IFS=.

	if [[ ${rest} == *-r* ]]; then
		revision=${rest##*-r}
		rest=${rest%-r*}
		if [[ -z ${revision} || ${revision} == *[!${__EBD_DIGITS}]* ]]; then
			die "ver_test: not a version: '$1'"
		fi
	fi
	numbers=${rest%%_*}
	rest=${rest#"${numbers}"}
	letter=${numbers##*[!${__EBD_LOWER}]}
	numbers=${numbers%"${letter}"}
	case ${numbers}${letter:1} in
		''|*[!${__EBD_DIGITS}.]*|.*|*.|*..*) die "ver_test: not a version: '$1'" ;;
	esac

	number=${numbers%%.*}
	number=${number#"${number%%[!0]*}"}
	builtin printf -v __EBD_KEY '%09d%s' "${#number}" "${number}"
	if [[ ${numbers} == *.* ]]; then
		for number in ${numbers#*.}; do
			if [[ ${number} == 0* ]]; then
				number=${number%"${number##*[!0]}"}
				[[ ${number} == *[!0]* ]] || number=
				__EBD_KEY+=10
				while [[ -n ${number} ]]; do
					__EBD_KEY+=1${number:0:1}
					number=${number:1}
				done
				__EBD_KEY+=0
			else
				builtin printf -v piece '11%09d%s' "${#number}" "${number}"
				__EBD_KEY+=${piece}
			fi
		done
	fi
	__EBD_KEY+=0

	if [[ -z ${letter} ]]; then
		__EBD_KEY+=00
	else
		piece=${__EBD_LOWER%%"${letter}"*}
		builtin printf -v piece '%02d' "$(( ${#piece} + 1 ))"
		__EBD_KEY+=${piece}
	fi

	while [[ -n ${rest} ]]; do
		rest=${rest#_}
		piece=${rest%%_*}
		rest=${rest#"${piece}"}
		number=${piece##*[!${__EBD_DIGITS}]}
		suffix=${__EBD_SUFFIX_RANK["v${piece%"${number}"}"]}
		[[ -n ${suffix} ]] || die "ver_test: not a version: '$1'"
		number=${number#"${number%%[!0]*}"}
		builtin printf -v piece '%d%09d%s' "${suffix}" "${#number}" "${number}"
		__EBD_KEY+=${piece}
	done
	revision=${revision#"${revision%%[!0]*}"}
	builtin printf -v piece '4%09d%s' "${#revision}" "${revision}"
	__EBD_KEY+=${piece}
	__EBD_VERSION_KEYS["v$1"]=${__EBD_KEY}
	__EBD_NEW_VERSIONS+=" v$1"
}

# What ver_test returns, by the operator and how the left key compares with the right one.
builtin declare -gA __EBD_VERDICTS
__EBD_VERDICTS=(
	["-eq<"]=1 ["-eq="]=0 ["-eq>"]=1
	["-ne<"]=0 ["-ne="]=1 ["-ne>"]=0
	["-gt<"]=1 ["-gt="]=1 ["-gt>"]=0
	["-ge<"]=1 ["-ge="]=0 ["-ge>"]=0
	["-lt<"]=0 ["-lt="]=1 ["-lt>"]=1
	["-le<"]=0 ["-le="]=0 ["-le>"]=1
)

# ver_test [VERSION] OPERATOR VERSION
#
# Some eclasses call it hundreds of times, and bash copies a function's whole body for each call.
ver_test() {
	[[ $# -ne 2 ]] || builtin set -- "${PVR}" "$@"
	builtin local __EBD_KEY left="${__EBD_VERSION_KEYS["v$1"]:-}" right="${__EBD_VERSION_KEYS["v${3:-}"]:-}" order='='
	[[ -n ${left} && -n ${right} && $# -eq 3 && -n ${__EBD_VERDICTS["${2:-}="]:-} ]] || __ebd_version_keys "$@"
	[[ ${left} < ${right} ]] && order='<'
	[[ ${left} > ${right} ]] && order='>'
	builtin return "${__EBD_VERDICTS["${2}${order}"]}"
}

# __ebd_version_keys ARGUMENT…
#
# What ver_test does where it was not told two versions that are known already: sets its left and
# right, or aborts.
__ebd_version_keys() {
	[[ $# -eq 3 ]] || die "ver_test: takes two or three arguments"
	case $2 in
		-eq|-ne|-gt|-ge|-lt|-le) ;;
		*) die "ver_test: not an operator: '$2'" ;;
	esac
	__ebd_version_key "$1"
	left=${__EBD_KEY}
	__ebd_version_key "$3"
	right=${__EBD_KEY}
}

# ver_replacing OPERATOR VERSION
#
# True if one of the versions this package replaces fits; only where REPLACING_VERSIONS exists.
ver_replacing() {
	builtin local -
	builtin local version IFS=$' \t\n'
	builtin set -f
	(( $# == 2 )) || die "ver_replacing: takes an operator and a version"
	__ebd_scope ver_replacing pkg_pretend pkg_setup pkg_preinst pkg_postinst
	for version in ${REPLACING_VERSIONS}; do
		ver_test "${version}" "$@" && return 0
	done
	return 1
}
