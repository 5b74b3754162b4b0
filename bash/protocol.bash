# shellcheck shell=bash
# What the fork that builds a package and its supervisor say to each other.
#
# Two named pipes in the build's private directory carry it. They are opened for one message and
# closed again, so that nothing an ebuild runs has a descriptor of the protocol.

# __ebd_notify VERB FIELD…
#
# Sends one message. The whole message must fit into PIPE_BUF to be written at once, beside what
# other processes of the build may be writing: long fields are cut.
__ebd_notify() {
	builtin local LC_ALL=C IFS=$' \t\n' verb="$1" field limit separator=$'\036'
	builtin local -a fields
	fields=()
	builtin shift
	if [[ ${__EBD_ARITY[${verb}]} != "$#" ]]; then
		builtin printf 'ebd: %s takes %s fields, not %s\n' "${verb}" "${__EBD_ARITY[${verb}]}" "$#" >&2
		builtin return 1
	fi
	limit=$((3600 / ($# > 0 ? $# : 1)))
	# Bash writes at each end of a line, and so in pieces, between which another process may write: a
	# record separator stands for it on the way.
	for field; do
		field=${field:0:limit}
		field=${field//$'\n'/${separator}}
		fields+=("${field}")
	done
	# Without the pipe nobody would hear, and this build would wait for ever.
	if [[ ! -p ${__EBD_BUILD}/up ]]; then
		builtin printf ' * %s/up: the build has removed it\n' "${__EBD_BUILD}" >&2
		builtin kill -KILL "${__EBD_SHELL_PID}"
		builtin return 1
	fi
	builtin printf '%s\0' "${__EBD_TOKEN}" "${verb}" "${fields[@]}" >"${__EBD_BUILD}/up"
}

# __ebd_read_command: waits for the next command and leaves its text in __EBD_COMMAND.
__ebd_read_command() {
	builtin local LC_ALL=C IFS='' length
	{
		builtin read -r -N 10 length &&
			builtin read -r -N "$((10#${length}))" __EBD_COMMAND
	} <"${__EBD_BUILD}/down"
}
