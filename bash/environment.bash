# shellcheck shell=bash
# The environment of a build: writing down all variables and functions.

# __ebd_save_environment FILE
#
# Writes every variable and every function that is not the library's to FILE, then tells the
# supervisor. Meant to be called in a fork of the shell that runs the phases: that one goes on.
__ebd_save_environment() {
	builtin local __ebd_name IFS=$' \t\n'
	builtin local -a __ebd_functions
	__ebd_functions=()
	while builtin read -r __ebd_name; do
		__ebd_name=${__ebd_name##* }
		[[ -n ${__EBD_LIBRARY[${__ebd_name}]} ]] || __ebd_functions+=("${__ebd_name}")
	done < <(builtin declare -F)
	{
		builtin declare -p
		[[ ${#__ebd_functions[@]} -eq 0 ]] || builtin declare -fp "${__ebd_functions[@]}"
	} >"$1" && __ebd_notify saved "$1"
}

# __ebd_remember_library: notes which functions are the library's.
__ebd_remember_library() {
	builtin local name IFS=$' \t\n'
	builtin declare -gA __EBD_LIBRARY
	__EBD_LIBRARY=()
	while builtin read -r name; do
		name=${name##* }
		__EBD_LIBRARY[${name}]=1
	done < <(builtin declare -F)
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
