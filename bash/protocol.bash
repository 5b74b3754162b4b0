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
	builtin local LC_ALL=C IFS=$' \t\n' verb="$1" field limit
	builtin local -a fields
	fields=()
	builtin shift
	if [[ ${__EBD_ARITY[${verb}]} != "$#" ]]; then
		builtin printf 'ebd: %s takes %s fields, not %s\n' "${verb}" "${__EBD_ARITY[${verb}]}" "$#" >&2
		builtin return 1
	fi
	limit=$((3600 / ($# > 0 ? $# : 1)))
	for field; do
		fields+=("${field:0:limit}")
	done
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
