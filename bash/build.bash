# shellcheck shell=bash
# The fork that builds one package begins: what it prints goes to the log, and the supervisor is told.

__EBD_SHELL_PID=${BASHPID}
builtin export __EBD_BUILD __EBD_SHELL_PID
exec >>"${__EBD_LOG}" 2>&1
__ebd_notify hello "${BASHPID}"
