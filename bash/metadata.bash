# shellcheck shell=bash
# The fork that sources one ebuild for its metadata: no phase is run, no program may be.
#
# Evaluated at top level, behind assignments of the ebuild's variables, in a processor that was
# prepared for its EAPI.

__EBD_SHELL_PID=${BASHPID}
command exec >>"${__EBD_LOG}" 2>&1
# shellcheck disable=SC2034 # read by the ebuild
S=${WORKDIR}/${P}
[[ -z ${__EBD_EAPI[failglob]} ]] || shopt -s failglob
# shellcheck disable=SC1090
source "${EBUILD}" || die "the ebuild could not be sourced"
__ebd_after_source
__ebd_write_metadata
