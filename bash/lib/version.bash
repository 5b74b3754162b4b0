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
__EBD_SUFFIX_RANK=( [alpha]=1 [beta]=2 [pre]=3 [rc]=4 [p]=5 )

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
	builtin local command="$1" range="$2" max="$3" start end
	start=${range%%-*}
	end=${start}
	[[ ${range} == "${start}" ]] || end=${range#*-}
	if [[ -z ${start} || ${start} == *[!${__EBD_DIGITS}]* || ${end} == *[!${__EBD_DIGITS}]* ]]; then
		die "${command}: not a range: '${range}'"
	fi
	# Numbers too long for arithmetic are beyond any version anyway.
	start=${start#"${start%%[!0]*}"}
	(( ${#start} <= 9 )) || start=999999999
	start=${start:-0}
	if [[ -z ${end} ]]; then
		end=999999999
	else
		end=${end#"${end%%[!0]*}"}
		(( ${#end} <= 9 )) || end=999999999
		end=${end:-0}
		if (( end < start )); then
			die "${command}: the range ends before it starts: '${range}'"
		fi
	fi
	__EBD_START=$(( start > max ? max + 1 : start ))
	__EBD_END=$(( end > max ? max : end ))
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

# __ebd_number_order A B
#
# Sets __EBD_ORDER to -1, 0 or 1 for two integers given as digits; no digits count as zero.
__ebd_number_order() {
	builtin local a="${1#"${1%%[!0]*}"}" b="${2#"${2%%[!0]*}"}"
	if (( ${#a} != ${#b} )); then
		__EBD_ORDER=$(( ${#a} < ${#b} ? -1 : 1 ))
	elif (( ${#a} <= 18 )); then
		__EBD_ORDER=$(( (${a:-0} > ${b:-0}) - (${a:-0} < ${b:-0}) ))
	elif [[ ${a} == "${b}" ]]; then
		__EBD_ORDER=0
	elif [[ ${a} < ${b} ]]; then
		__EBD_ORDER=-1
	else
		__EBD_ORDER=1
	fi
}

# __ebd_fraction_order A B
#
# As __ebd_number_order for components of which one starts with a zero: they compare as text
# without the zeros at their ends, which is the order of the numbers 0.A and 0.B.
__ebd_fraction_order() {
	builtin local a="$1" b="$2"
	if (( ${#a} < ${#b} )); then
		builtin printf -v a '%s%0*d' "${a}" "$(( ${#b} - ${#a} ))" 0
	elif (( ${#a} > ${#b} )); then
		builtin printf -v b '%s%0*d' "${b}" "$(( ${#a} - ${#b} ))" 0
	fi
	__ebd_number_order "${a}" "${b}"
}

# __ebd_version_parse TEXT
#
# Takes a version apart into __EBD_NUMBERS, __EBD_LETTER, __EBD_SUFFIXES and __EBD_REVISION; aborts
# if it is none (PMS, version specification).
__ebd_version_parse() {
	builtin local rest="$1" numbers suffix digits IFS=_
	__EBD_REVISION=
	if [[ ${rest} == *-r* ]]; then
		__EBD_REVISION=${rest##*-r}
		rest=${rest%-r*}
		if [[ -z ${__EBD_REVISION} || ${__EBD_REVISION} == *[!${__EBD_DIGITS}]* ]]; then
			die "ver_test: not a version: '$1'"
		fi
	fi
	__EBD_SUFFIXES=()
	if [[ ${rest} == *_* ]]; then
		numbers=${rest%%_*}
		rest=${rest#*_}
		# Splitting would not see an empty suffix at the end, nor leave a star alone.
		if [[ -z ${rest} || ${rest} == *_ || ${rest} == *[!${__EBD_LOWER}${__EBD_DIGITS}_]* ]]; then
			die "ver_test: not a version: '$1'"
		fi
		# shellcheck disable=SC2206
		__EBD_SUFFIXES=( ${rest} )
		for suffix in "${__EBD_SUFFIXES[@]}"; do
			digits=${suffix##*[!${__EBD_DIGITS}]}
			suffix=${suffix%"${digits}"}
			if [[ -z ${suffix} || -z ${__EBD_SUFFIX_RANK[${suffix}]} ]]; then
				die "ver_test: not a version: '$1'"
			fi
		done
	else
		numbers=${rest}
	fi
	__EBD_LETTER=${numbers##*[!${__EBD_LOWER}]}
	if (( ${#__EBD_LETTER} > 1 )); then
		die "ver_test: not a version: '$1'"
	fi
	numbers=${numbers%"${__EBD_LETTER}"}
	case ${numbers} in
		''|*[!${__EBD_DIGITS}.]*|.*|*.|*..*) die "ver_test: not a version: '$1'" ;;
	esac
	IFS=.
	# shellcheck disable=SC2206
	__EBD_NUMBERS=( ${numbers} )
}

# __ebd_version_compare A B
#
# Sets __EBD_ORDER to -1, 0 or 1 (PMS, version comparison).
__ebd_version_compare() {
	builtin local i a b letter revision __EBD_LETTER __EBD_REVISION
	builtin local -a numbers suffixes __EBD_NUMBERS __EBD_SUFFIXES
	__ebd_version_parse "$1"
	numbers=( "${__EBD_NUMBERS[@]}" )
	suffixes=( "${__EBD_SUFFIXES[@]}" )
	letter=${__EBD_LETTER}
	revision=${__EBD_REVISION}
	__ebd_version_parse "$2"

	__EBD_ORDER=0
	for (( i = 0; i < ${#numbers[@]} && i < ${#__EBD_NUMBERS[@]}; i++ )); do
		a=${numbers[i]} b=${__EBD_NUMBERS[i]}
		[[ ${a} != "${b}" ]] || continue
		if (( i > 0 )) && [[ ${a} == 0* || ${b} == 0* ]]; then
			__ebd_fraction_order "${a}" "${b}"
		else
			__ebd_number_order "${a}" "${b}"
		fi
		(( __EBD_ORDER == 0 )) || return 0
	done
	if (( ${#numbers[@]} != ${#__EBD_NUMBERS[@]} )); then
		__EBD_ORDER=$(( ${#numbers[@]} < ${#__EBD_NUMBERS[@]} ? -1 : 1 ))
		return 0
	fi

	if [[ ${letter} != "${__EBD_LETTER}" ]]; then
		if [[ ${letter} < ${__EBD_LETTER} ]]; then
			__EBD_ORDER=-1
		else
			__EBD_ORDER=1
		fi
		return 0
	fi

	for (( i = 0; i < ${#suffixes[@]} && i < ${#__EBD_SUFFIXES[@]}; i++ )); do
		a=${suffixes[i]} b=${__EBD_SUFFIXES[i]}
		[[ ${a} != "${b}" ]] || continue
		letter=${a%%[${__EBD_DIGITS}]*}
		__EBD_LETTER=${b%%[${__EBD_DIGITS}]*}
		if [[ ${letter} == "${__EBD_LETTER}" ]]; then
			__ebd_number_order "${a#"${letter}"}" "${b#"${letter}"}"
			(( __EBD_ORDER == 0 )) || return 0
		else
			a=${__EBD_SUFFIX_RANK[${letter}]} b=${__EBD_SUFFIX_RANK[${__EBD_LETTER}]}
			__EBD_ORDER=$(( a < b ? -1 : 1 ))
			return 0
		fi
	done
	if (( i < ${#suffixes[@]} )); then
		[[ ${suffixes[i]%%[${__EBD_DIGITS}]*} == p ]] && __EBD_ORDER=1 || __EBD_ORDER=-1
		return 0
	elif (( i < ${#__EBD_SUFFIXES[@]} )); then
		[[ ${__EBD_SUFFIXES[i]%%[${__EBD_DIGITS}]*} == p ]] && __EBD_ORDER=-1 || __EBD_ORDER=1
		return 0
	fi

	__ebd_number_order "${revision}" "${__EBD_REVISION}"
}

# ver_test [VERSION] OPERATOR VERSION
ver_test() {
	builtin local __EBD_ORDER
	case $# in
		2) builtin set -- "${PVR}" "$@" ;;
		3) ;;
		*) die "ver_test: takes two or three arguments, not $#" ;;
	esac
	case $2 in
		-eq|-ne|-gt|-ge|-lt|-le) ;;
		*) die "ver_test: not an operator: '$2'" ;;
	esac
	__ebd_version_compare "$1" "$3"
	case $2 in
		-eq) (( __EBD_ORDER == 0 )) ;;
		-ne) (( __EBD_ORDER != 0 )) ;;
		-gt) (( __EBD_ORDER > 0 )) ;;
		-ge) (( __EBD_ORDER >= 0 )) ;;
		-lt) (( __EBD_ORDER < 0 )) ;;
		-le) (( __EBD_ORDER <= 0 )) ;;
	esac
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
