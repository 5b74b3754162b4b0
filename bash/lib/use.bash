# shellcheck shell=bash
# USE list functions and text list functions (PMS, USE list functions and text list functions).

# __ebd_use_init
#
# Prepares the lookups from USE and from __EBD_IUSE_EFFECTIVE, both whitespace separated. A name in
# the latter that ends in `*` stands for every flag with that beginning: before EAPI 5 any value
# of a USE_EXPAND variable is a flag. Call it again when either has changed; a changed USE is
# noticed by itself.
__ebd_use_init() {
	builtin local -
	builtin local flag IFS=$' \t\n'
	builtin set -f
	builtin declare -gA __EBD_USE_ENABLED __EBD_IUSE
	builtin declare -ga __EBD_IUSE_PREFIXES
	__EBD_USE_ENABLED=()
	__EBD_IUSE=()
	__EBD_IUSE_PREFIXES=()
	for flag in ${USE}; do
		__EBD_USE_ENABLED[${flag}]=1
	done
	for flag in ${__EBD_IUSE_EFFECTIVE}; do
		if [[ ${flag} == *\* ]]; then
			__EBD_IUSE_PREFIXES+=( "${flag%\*}" )
		else
			__EBD_IUSE[${flag}]=1
		fi
	done
	__EBD_USE_TEXT=${USE}
}

# True if the flag is in IUSE_EFFECTIVE.
__ebd_in_iuse() {
	builtin local prefix
	[[ -z ${__EBD_IUSE[$1]} ]] || return 0
	for prefix in "${__EBD_IUSE_PREFIXES[@]}"; do
		[[ $1 != "${prefix}"* ]] || return 0
	done
	return 1
}

# __ebd_use COMMAND FLAG
#
# What all of them ask: is the flag, after a possible `!`, as wanted?
__ebd_use() {
	builtin local flag="${2#!}"
	if [[ -n ${__EBD_GLOBAL_SCOPE} ]]; then
		die "$1: not allowed in global scope"
	fi
	if [[ -z ${flag} ]]; then
		die "$1: the USE flag is missing"
	fi
	[[ ${USE} == "${__EBD_USE_TEXT}" ]] || __ebd_use_init
	if ! __ebd_in_iuse "${flag}"; then
		if [[ -n ${__EBD_EAPI[use_is_strict]} ]]; then
			die "$1: USE flag '${flag}' is not in IUSE of ${CATEGORY}/${PF}"
		fi
		__ebd_qa_notice "USE flag '${flag}' is not in IUSE of ${CATEGORY}/${PF}"
	fi
	if [[ $2 == !* ]]; then
		[[ -z ${__EBD_USE_ENABLED[${flag}]} ]]
	else
		[[ -n ${__EBD_USE_ENABLED[${flag}]} ]]
	fi
}

use() {
	__ebd_use use "$1"
}

# usev FLAG [VALUE]
usev() {
	if [[ -n ${__EBD_EAPI[usev_second_argument]} ]]; then
		(( $# <= 2 )) || die "usev: takes at most two arguments"
	else
		(( $# <= 1 )) || die "usev: takes one argument in EAPI ${EAPI:-0}"
	fi
	__ebd_use usev "$1" || return 1
	builtin printf '%s\n' "${2-${1#!}}"
}

useq() {
	__ebd_qa_notice "useq is deprecated, call use instead"
	__ebd_use useq "$1"
}

# usex FLAG [TRUE [FALSE [TRUE SUFFIX [FALSE SUFFIX]]]]
usex() {
	(( $# <= 5 )) || __ebd_qa_notice "usex takes at most five arguments, not $#"
	if __ebd_use usex "$1"; then
		builtin printf '%s\n' "${2-yes}$4"
	else
		builtin printf '%s\n' "${3-no}$5"
	fi
}

# __ebd_use_option COMMAND ON OFF FLAG [NAME [VALUE]]
__ebd_use_option() {
	builtin local command="$1" on="$2" off="$3" value=
	shift 3
	(( $# <= 3 )) || __ebd_qa_notice "${command} takes at most three arguments, not $#"
	if (( $# == 1 )) && [[ $1 == !* ]]; then
		die "${command}: '$1' needs the option name as second argument"
	fi
	if [[ -n $3 || ( $# -ge 3 && -n ${__EBD_EAPI[use_with_empty_value]} ) ]]; then
		value="=$3"
	fi
	if __ebd_use "${command}" "$1"; then
		builtin printf '%s\n' "--${on}-${2:-$1}${value}"
	else
		builtin printf '%s\n' "--${off}-${2:-$1}"
	fi
}

use_with() {
	__ebd_use_option use_with with without "$@"
}

use_enable() {
	__ebd_use_option use_enable enable disable "$@"
}

in_iuse() {
	__ebd_scope in_iuse
	[[ -n $1 ]] || die "in_iuse: the USE flag is missing"
	__ebd_in_iuse "$1"
}

# has WORD [WORD…]
#
# One comparison tells mostly. Only words that it finds are looked at, as one of them may hold the
# separator.
has() {
	builtin local IFS=$'\a'
	[[ "${IFS}${*:2}${IFS}" == *"${IFS}$1${IFS}"* ]] && __ebd_has "$@"
}

# The second comparison is for nocasematch, which the first follows.
__ebd_has() {
	builtin local word="$1" other
	shift
	for other; do
		[[ ${other} == "${word}" ]] && builtin test "${other}" = "${word}" && return 0
	done
	return 1
}

hasv() {
	has "$@" || return 1
	builtin printf '%s\n' "$1"
}

hasq() {
	__ebd_qa_notice "hasq is deprecated, call has instead"
	has "$@"
}

get_libdir() {
	builtin local __EBD_LIBDIR
	__ebd_libdir
	builtin printf '%s\n' "${__EBD_LIBDIR:-lib}"
}
