# shellcheck shell=bash
# What makes a shell one of a build: its variables, and the ebuild, sourced, or a saved environment.
#
# Evaluated at top level, so that what an ebuild or a saved environment declares is global; behind
# assignments of __EBD_BUILD, __EBD_RESTORE, __EBD_ECLASS_DIRS and the EAPI's facts.

# shellcheck disable=SC1091
builtin source "${__EBD_BUILD}/initial.env" || builtin exit 1
__ebd_select_eapi
__ebd_output_init
__ebd_environment_defaults
__ebd_use_init
__ebd_install_init
BASH_COMPAT=${__EBD_EAPI[bash_version]}
__ebd_trap_signals
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
	__ebd_reserved_names
	__ebd_before_source
	[[ -z ${__EBD_EAPI[failglob]} ]] || builtin shopt -s failglob
	# shellcheck disable=SC2034 # read by the ebuild
	S=${WORKDIR}/${P}
	# shellcheck disable=SC1090
	builtin source "${__EBD_SOURCE:-${EBUILD}}" || die "the ebuild could not be sourced"
	__ebd_after_source
	# shellcheck disable=SC2154 # __ebd_reserved_names has set it
	__ebd_tell_reserved_names "${__ebd_reserved[@]}"
	builtin unset -v __ebd_reserved
fi
