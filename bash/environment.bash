# shellcheck shell=bash
# The environment of a build: writing down all variables and functions.

# __ebd_save_environment FILE
#
# Writes every variable and every function that is not the library's to FILE, then tells the
# supervisor. To be called in a fork of the shell that runs the phases, which goes on: here the
# library is gone afterwards.
__ebd_save_environment() {
	__ebd_write_environment "$1" && __ebd_notify saved "$1"
}

# __ebd_write_environment FILE: the same without telling.
__ebd_write_environment() {
	builtin local __ebd_name
	__ebd_forget_configure
	# What is dropped here need not be told from the ebuild's own: that would take, for each function
	# of the shell, more time than bash takes to print it. A readonly one cannot be, and is saved.
	builtin unset -f "${!__EBD_LIBRARY[@]}" 2>/dev/null
	# What stands for the ebuild's functions at a prompt is no part of it.
	for __ebd_name in "${!__EBD_STUBS[@]}"; do
		[[ $(builtin declare -f "${__ebd_name}") != "${__EBD_STUBS[${__ebd_name}]}" ]] ||
			builtin unset -f "${__ebd_name}"
	done
	{
		builtin declare -p
		builtin declare -fp
	} >|"$1"
}

# __ebd_remember_library: notes which functions are the library's, but for those that the fork
# that saves needs and that no environment keeps.
__ebd_remember_library() {
	builtin local name text IFS=$' \t\n'
	builtin declare -gA __EBD_LIBRARY
	__EBD_LIBRARY=()
	text=$(builtin declare -F)
	for name in ${text//declare -f /}; do
		__EBD_LIBRARY[${name}]=1
	done
	builtin unset -v '__EBD_LIBRARY[__ebd_notify]'
}

# __ebd_write_variables FILE NAME…
#
# The values of the named variables that are set, as NUL-terminated NAME=VALUE; of an array one
# NAME[]=VALUE for each element.
__ebd_write_variables() {
	builtin local __ebd_file="$1" __ebd_name
	builtin shift
	for __ebd_name; do
		builtin local -n __ebd_reference="${__ebd_name}"
		if [[ ${__ebd_reference@a} == *[aA]* || ${#__ebd_reference[@]} -gt 1 ]]; then
			[[ ${#__ebd_reference[@]} -eq 0 ]] ||
				builtin printf "${__ebd_name}[]=%s\\0" "${__ebd_reference[@]}"
		elif [[ -v ${__ebd_name} ]]; then
			builtin printf '%s=%s\0' "${__ebd_name}" "${__ebd_reference}"
		fi
		builtin unset -n __ebd_reference
	done >"${__ebd_file}"
}
