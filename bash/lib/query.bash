# shellcheck shell=bash
# Package manager query commands (PMS, package manager query commands).
#
# Functions around the programs of the same names in the helpers' directory: a function can see
# variables that are not exported and can abort. The programs also answer alone, for `bash -c`
# and xargs. They get the root to look at in __EBD_QUERY_ROOT, and exit with 0, 1, or 2 for an
# invalid dependency specification.

# __ebd_query COMMAND [--host-root | -b | -d | -r] ATOM
__ebd_query() {
	builtin local command="$1" option=-r root status
	shift
	__ebd_scope "${command}"
	case $1 in
		--host-root)
			[[ -n ${__EBD_EAPI[query_host_root]} ]] \
				|| die "${command}: option $1 is not supported in EAPI ${EAPI:-0}"
			option=-b
			shift
			;;
		-b|-d|-r)
			[[ -n ${__EBD_EAPI[query_root_options]} ]] \
				|| die "${command}: option $1 is not supported in EAPI ${EAPI:-0}"
			option=$1
			shift
			;;
	esac
	(( $# == 1 )) || die "${command}: takes exactly one package dependency specification, not $#"
	# Callers may set ROOT for one call, so it is read here and now.
	case ${option} in
		-b) root=${BROOT:-${__EBD_BROOT:-/}} ;;
		-d) root=${ESYSROOT:-/} ;;
		*)
			if [[ -n ${__EBD_EAPI[prefix]} ]]; then
				# shellcheck disable=SC2153
				root=${ROOT%/}/${EPREFIX#/}
			else
				root=${ROOT:-/}
			fi
			;;
	esac
	__EBD_QUERY_ROOT=${root} builtin command -- "${__EBD_HELPERS:+${__EBD_HELPERS}/}${command}" "$1"
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
