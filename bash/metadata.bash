# shellcheck shell=bash
# The fork that sources one ebuild for its metadata: no phase is run, no program may be.
#
# Evaluated at top level, behind assignments of the ebuild's variables and of __EBD_EAPI_NAME, in a
# processor that has the facts of every EAPI.

__EBD_SHELL_PID=${BASHPID}
command exec >>"${__EBD_LOG}" 2>&1
declare -n __EBD_EAPI=__EBD_EAPI_${__EBD_EAPI_NAME}
# shellcheck disable=SC2123 # that nothing is found is the point
PATH=/dev/null
command_not_found_handle() {
	die "$1: external commands may not be run in global scope"
}
BASH_COMPAT=${__EBD_EAPI[bash_version]}
__ebd_select_eapi
__ebd_before_source
# shellcheck disable=SC1090
source "${EBUILD}" || die "the ebuild could not be sourced"
__ebd_after_source
__ebd_write_metadata "${__EBD_BUILD}/metadata"
