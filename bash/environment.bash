# shellcheck shell=bash
# The environment of a build: writing down all variables and functions.

# __ebd_save_environment FILE
#
# Writes every variable and every function that is not the library's to FILE, then tells the
# supervisor. Meant to be called in a fork of the shell that runs the phases: that one goes on.
__ebd_save_environment() {
	local __ebd_name IFS=$' \t\n'
	local -a __ebd_functions=()
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
	local name IFS=$' \t\n'
	declare -gA __EBD_LIBRARY=()
	while builtin read -r name; do
		name=${name##* }
		__EBD_LIBRARY[${name}]=1
	done < <(builtin declare -F)
}

# __ebd_write_variables FILE NAME…: the values of the named variables that are set, as
# NUL-terminated NAME=VALUE; an array's elements are joined by blanks.
__ebd_write_variables() {
	local IFS=' ' file=$1 name
	shift
	for name; do
		if [[ ${!name@a} == *[aA]* ]]; then
			local -n __ebd_reference=${name}
			builtin printf '%s=%s\0' "${name}" "${__ebd_reference[*]}"
			unset -n __ebd_reference
		elif [[ -v ${name} ]]; then
			builtin printf '%s=%s\0' "${name}" "${!name}"
		fi
	done >"${file}"
}
