# shellcheck shell=bash
# Sourcing of ebuilds: inherit, EXPORT_FUNCTIONS and the accumulation of metadata (PMS 10).

# inherit ECLASS…
#
# Runs once for each of some dozen eclasses of each of thousands of ebuilds: what is not needed is
# not executed.
inherit() {
	if [[ -n ${__EBD_PHASE_FUNC} ]]; then
		die "inherit: may not be called in a phase function"
	fi
	builtin local __ebd_depth="$((${__ebd_depth:-0} + 1))" __ebd_name __ebd_dir __ebd_file __ebd_var \
		__ebd_exported __ebd_saved_eclass="${ECLASS}"
	builtin local -A __ebd_kept
	[[ ${__ebd_depth} -gt 1 ]] || __EBD_INHERIT+="${__EBD_INHERIT:+ }$*"
	for __ebd_name; do
		if [[ ${__ebd_name} == */* || ${__ebd_name} == .* || -z ${__ebd_name} ]]; then
			die "inherit: '${__ebd_name}' is no name of an eclass"
		fi
		__ebd_file=
		for __ebd_dir in "${__EBD_ECLASS_DIRS[@]}"; do
			if [[ -f ${__ebd_dir}/${__ebd_name}.eclass ]]; then
				__ebd_file=${__ebd_dir}/${__ebd_name}.eclass
				break
			fi
		done
		if [[ -z ${__ebd_file} ]]; then
			die "inherit: ${__ebd_name}.eclass was not found in ${__EBD_ECLASS_DIRS[*]}"
		fi
		# What was accumulated so far is put aside, so that the eclass's part can be told from it.
		__ebd_kept=()
		if __ebd_has_accumulated; then
			for __ebd_var in ${__EBD_EAPI[accumulated_variables]}; do
				if [[ -v ${__ebd_var} ]]; then
					__ebd_kept[${__ebd_var}]=${!__ebd_var}
					builtin unset -v "${__ebd_var}"
				fi
			done
		fi
		ECLASS=${__ebd_name}
		builtin export ECLASS
		__ebd_exported=
		__ebd_source_eclass "${__ebd_file}"
		if __ebd_has_accumulated; then
			for __ebd_var in ${__EBD_EAPI[accumulated_variables]}; do
				if [[ -v ${__ebd_var} ]]; then
					__EBD_ECLASS_VALUES[${__ebd_var}]+="${__EBD_ECLASS_VALUES[${__ebd_var}]:+ }${!__ebd_var}"
					builtin unset -v "${__ebd_var}"
				fi
			done
		fi
		for __ebd_var in "${!__ebd_kept[@]}"; do
			builtin printf -v "${__ebd_var}" '%s' "${__ebd_kept[${__ebd_var}]}"
		done
		# Only now: the eclass may define the functions behind its call of EXPORT_FUNCTIONS.
		for __ebd_var in ${__ebd_exported}; do
			if builtin declare -F "${__ebd_name}_${__ebd_var}" >/dev/null; then
				builtin eval "${__ebd_var}() { ${__ebd_name}_${__ebd_var} \"\$@\"; }"
			else
				die "EXPORT_FUNCTIONS: ${__ebd_name}_${__ebd_var} is not defined in ${__ebd_name}.eclass"
			fi
		done
		if [[ " ${INHERITED} " != *" ${__ebd_name} "* ]]; then
			INHERITED+="${INHERITED:+ }${__ebd_name}"
		fi
	done
	if [[ -n ${__ebd_saved_eclass} ]]; then
		ECLASS=${__ebd_saved_eclass}
	else
		builtin unset -v ECLASS
	fi
}

# Whether any variable is set that some EAPI accumulates: most often none is.
__ebd_has_accumulated() {
	[[ -v IUSE || -v DEPEND || -v RDEPEND || -v BDEPEND || -v PDEPEND || -v IDEPEND || -v REQUIRED_USE ||
		-v RESTRICT || -v PROPERTIES ]]
}

# Sources one eclass with nothing but its own name in scope; one that the processor keeps is run
# from there.
__ebd_source_eclass() {
	if [[ -n ${__EBD_ECLASSES[$1]} ]]; then
		if ! "${__EBD_ECLASSES[$1]}" "$1"; then
			die "inherit: ${1} could not be sourced"
		fi
		builtin return
	fi
	# shellcheck disable=SC1090
	if ! builtin source "$1"; then
		die "inherit: ${1} could not be sourced"
	fi
}

# EXPORT_FUNCTIONS PHASE_FUNCTION…
EXPORT_FUNCTIONS() {
	if [[ -z ${ECLASS} ]]; then
		die "EXPORT_FUNCTIONS: may be called in an eclass only"
	fi
	__ebd_exported+="${__ebd_exported:+ }$*"
}

# __ebd_before_source: clears what sourcing an ebuild is to set.
__ebd_before_source() {
	builtin declare -gA __EBD_ECLASS_VALUES
	__EBD_ECLASS_VALUES=()
	builtin declare -g __EBD_INHERIT='' __EBD_GLOBAL_SCOPE=1
	# shellcheck disable=SC2086 # a list
	builtin unset -v EAPI ECLASS INHERITED INHERIT PROVIDES_EXCLUDE REQUIRES_EXCLUDE __EBD_PHASE_FUNC \
		${__EBD_EAPI[metadata_variables]}
	if [[ -n ${__EBD_EAPI[failglob]} ]]; then
		builtin shopt -s failglob
	fi
	# shellcheck disable=SC2034 # read by the ebuild
	builtin declare -g S="${WORKDIR}/${P}"
}

# __ebd_after_source: joins the eclasses' parts to the ebuild's and finds the defined phases.
__ebd_after_source() {
	builtin local var func phases=''
	builtin shopt -u failglob
	builtin set +e +f +u
	IFS=$' \t\n'
	builtin declare -gx EAPI="${EAPI:-0}"
	if [[ ${EAPI} != "${__EBD_EAPI[name]}" ]]; then
		die "EAPI is '${__EBD_EAPI[name]}' by the ebuild's first lines but '${EAPI}' after sourcing it: EAPI must be assigned once, first, and literally"
	fi
	if [[ -n ${__EBD_EAPI[rdepend_from_depend]} && ! -v RDEPEND ]]; then
		# shellcheck disable=SC2153
		RDEPEND=${DEPEND}
	fi
	for var in "${!__EBD_ECLASS_VALUES[@]}"; do
		if [[ -n ${__EBD_ECLASS_VALUES[${var}]} ]]; then
			builtin printf -v "${var}" '%s' "${!var}${!var:+ }${__EBD_ECLASS_VALUES[${var}]}"
		fi
	done
	for func in ${__EBD_EAPI[phases]}; do
		if builtin declare -F "${func}"; then
			phases+=" ${func#*_}"
		fi
	done >/dev/null
	DEFINED_PHASES=${phases# }
	DEFINED_PHASES=${DEFINED_PHASES:--}
	# shellcheck disable=SC2034 # read by name
	INHERIT=${__EBD_INHERIT}
	builtin unset -v ECLASS __EBD_ECLASS_VALUES __EBD_INHERIT __EBD_GLOBAL_SCOPE
}

# __ebd_write_metadata FILE: the metadata keys, as NUL-terminated KEY=VALUE.
__ebd_write_metadata() {
	builtin local var
	builtin local -a words
	words=()
	for var in ${__EBD_EAPI[metadata_variables]} INHERIT __EBD_ENTERED; do
		words+=("${var}" "${!var}")
	done
	# The versions that were compared, to be known to later forks too.
	words+=(__EBD_VERSIONS "${!__EBD_VERSION_KEYS[*]}")
	builtin printf '%s=%s\0' "${words[@]}" >"$1"
}
