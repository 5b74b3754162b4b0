# shellcheck shell=bash
# The fork that builds one package, once it is loaded: it does what the supervisor says.

__ebd_notify ready-for-phases
while __ebd_read_command; do
	builtin eval "${__EBD_COMMAND}"
done
