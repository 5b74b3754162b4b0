# shellcheck shell=bash
# A shell that sources an ebuild and writes down what that gave, and does nothing else; with
# __EBD_TRACE also where each variable was assigned and each function defined.

__EBD_SHELL_PID=${BASHPID}
__EBD_PROMPTS=
__ebd_remember_shell
if [[ -n ${__EBD_TRACE} ]]; then
	exec {BASH_XTRACEFD}>"${__EBD_TRACE}"
	# shellcheck disable=SC2016 # expanded for each command
	PS4='+'$'\001''${BASH_SOURCE}:${LINENO}'$'\001'
	set -x
fi
