# shellcheck shell=bash
# The fork that sources one ebuild for its metadata: no phase is run, no program may be.

__EBD_SHELL_PID=${BASHPID}
exec >>"${__EBD_LOG}" 2>&1
# shellcheck disable=SC1091
source "${__EBD_BUILD}/initial.env" || exit 1
# shellcheck disable=SC2123 # that nothing is found is the point
PATH=/dev/null
command_not_found_handle() {
	die "$1: external commands may not be run in global scope"
}
__ebd_select_eapi
__ebd_output_init
BASH_COMPAT=${__EBD_EAPI[bash_version]}
__ebd_before_source
# shellcheck disable=SC1090
source "${EBUILD}" || die "the ebuild could not be sourced"
__ebd_after_source
__ebd_write_metadata "${__EBD_BUILD}/metadata"
