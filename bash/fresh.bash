# shellcheck shell=bash
# A shell that sources an ebuild and writes down what that gave, and does nothing else.

__EBD_SHELL_PID=${BASHPID}
__EBD_PROMPTS=
__ebd_remember_shell
