# shellcheck shell=bash
# The fork that builds one package: from sourcing the ebuild to the last phase.
#
# Evaluated at top level, behind assignments of __EBD_BUILD, __EBD_TOKEN, __EBD_ECLASS_DIRS and
# the EAPI's facts, so that what an ebuild or a saved environment declares is global.

__EBD_SHELL_PID=${BASHPID}
builtin export __EBD_BUILD __EBD_SHELL_PID
exec >>"${__EBD_LOG}" 2>&1
# shellcheck disable=SC1091
builtin source "${__EBD_BUILD}/initial.env" || builtin exit 1
__ebd_notify hello "${BASHPID}"
__ebd_select_eapi
__ebd_output_init
__ebd_environment_defaults
__ebd_use_init
__ebd_install_init
BASH_COMPAT=${__EBD_EAPI[bash_version]}
builtin trap '__ebd_helper_failed "${BASH_COMMAND}"' PWR
if [[ -n ${__EBD_RESTORE} ]]; then
	# A function of the environment may hold a pattern that is a syntax error without it.
	builtin shopt -s extglob
	# shellcheck disable=SC1090
	builtin source "${__EBD_RESTORE}" || die "the saved environment could not be loaded"
	builtin shopt -u extglob
	# shellcheck disable=SC1091
	builtin source "${__EBD_BUILD}/phase.env"
	__ebd_restore_shell
else
	__ebd_before_source
	[[ -z ${__EBD_EAPI[failglob]} ]] || builtin shopt -s failglob
	# shellcheck disable=SC2034 # read by the ebuild
	S=${WORKDIR}/${P}
	# shellcheck disable=SC1090
	builtin source "${EBUILD}" || die "the ebuild could not be sourced"
	__ebd_after_source
fi
__ebd_notify ready-for-phases
while __ebd_read_command; do
	builtin eval "${__EBD_COMMAND}"
done
