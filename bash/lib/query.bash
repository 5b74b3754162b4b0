# shellcheck shell=bash
# Package manager query commands (PMS, package manager query commands).
#
# Functions around the programs of the same names, which are found in PATH or, if it is set, in
# __EBD_HELPERS: a function can see variables that are not exported and can abort. The programs
# also answer alone, for `bash -c` and xargs. They exit with 0 for yes, 1 for no, 2 for an invalid
# dependency specification.

# __ebd_query COMMAND [--host-root | -b | -d | -r] ATOM
#
# Callers may set ROOT for one call, so the roots are handed over here and now.
__ebd_query() {
	builtin local command="$1" status
	builtin local -a option
	option=()
	shift
	__ebd_scope "${command}"
	case $1 in
		--host-root)
			[[ -n ${__EBD_EAPI[query_host_root]} ]] \
				|| die "${command}: option $1 is not supported in EAPI ${EAPI:-0}"
			option=( "$1" )
			shift
			;;
		-b|-d|-r)
			[[ -n ${__EBD_EAPI[query_root_options]} ]] \
				|| die "${command}: option $1 is not supported in EAPI ${EAPI:-0}"
			option=( "$1" )
			shift
			;;
	esac
	(( $# == 1 )) || die "${command}: takes exactly one package dependency specification, not $#"
	# shellcheck disable=SC2097,SC2098
	ROOT=${ROOT} EPREFIX=${EPREFIX} ESYSROOT=${ESYSROOT} BROOT=${BROOT} \
		builtin command -- "${__EBD_HELPERS:+${__EBD_HELPERS}/}${command}" "${option[@]}" "$1"
	status=$?
	case ${status} in
		0|1) return "${status}" ;;
		2) die "${command}: invalid package dependency specification: '$1'" ;;
		*) die "${command}: no answer for '$1' (exit status ${status})" ;;
	esac
}

has_version() {
	__ebd_query has_version "$@"
}

best_version() {
	__ebd_query best_version "$@"
}

portageq() {
	die "portageq: not allowed in ebuilds, as it is a tool of one package manager"
}
