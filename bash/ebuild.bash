# shellcheck shell=bash
# Sourcing of ebuilds: inherit, EXPORT_FUNCTIONS and the accumulation of metadata (PMS 10).

# inherit ECLASS…
#
# Runs once for each of some dozen eclasses of each of thousands of ebuilds, and bash copies a
# function's whole body at each call: what is not needed is not executed, and what is seldom needed
# stands in functions of its own, which share this one's variables.
inherit() {
	if [[ -n ${__EBD_PHASE_FUNC} ]]; then
		die "inherit: may not be called in a phase function"
	fi
	builtin local __ebd_saved_eclass="${ECLASS}" __ebd_name __ebd_file __ebd_aside=''
	if [[ ! -v __ebd_exported ]]; then
		__EBD_INHERIT+="${__EBD_INHERIT:+ }$*"
		builtin export ECLASS=
	fi
	builtin local __ebd_exported
	# What was accumulated so far is put aside, so that the eclasses' part can be told from it. Some
	# EAPI accumulates each of these; most often none is set.
	if [[ -v IUSE || -v DEPEND || -v RDEPEND || -v BDEPEND || -v PDEPEND || -v IDEPEND || -v REQUIRED_USE ||
		-v RESTRICT || -v PROPERTIES ]]; then
		builtin local -A __ebd_kept
		__ebd_put_aside
	fi
	for __ebd_name; do
		ECLASS=${__ebd_name}
		__ebd_exported=
		# A kept eclass is a function.
		__ebd_file=${__EBD_ECLASSES["${__ebd_name}"]:-__ebd_source_eclass}
		"${__ebd_file}" || die "inherit: ${__ebd_name}.eclass could not be sourced"
		if [[ -v IUSE || -v DEPEND || -v RDEPEND || -v BDEPEND || -v PDEPEND || -v IDEPEND ||
			-v REQUIRED_USE || -v RESTRICT || -v PROPERTIES ]]; then
			__ebd_collect
		fi
		[[ -z ${__ebd_exported} ]] || __ebd_export_functions
		[[ " ${INHERITED} " == *" ${__ebd_name} "* ]] || INHERITED+="${INHERITED:+ }${__ebd_name}"
	done
	[[ -z ${__ebd_aside} ]] || __ebd_put_back
	ECLASS=${__ebd_saved_eclass}
	[[ -n ${ECLASS} ]] || builtin unset -v ECLASS
}

# __ebd_put_aside: what the caller has accumulated, into __ebd_kept.
__ebd_put_aside() {
	builtin local var
	__ebd_kept=()
	for var in ${__EBD_EAPI[accumulated_variables]}; do
		if [[ -v ${var} ]]; then
			__ebd_kept[${var}]=${!var}
			builtin unset -v "${var}"
			__ebd_aside=1
		fi
	done
}

# __ebd_put_back: what was put aside.
__ebd_put_back() {
	builtin local var
	for var in "${!__ebd_kept[@]}"; do
		builtin printf -v "${var}" '%s' "${__ebd_kept[${var}]}"
	done
}

# __ebd_collect: what an eclass has set, to what the others have.
__ebd_collect() {
	builtin local var
	for var in ${__EBD_EAPI[accumulated_variables]}; do
		if [[ -v ${var} ]]; then
			__EBD_ECLASS_VALUES[${var}]+="${__EBD_ECLASS_VALUES[${var}]:+ }${!var}"
			builtin unset -v "${var}"
		fi
	done
}

# __ebd_export_functions: does what EXPORT_FUNCTIONS asked for; only behind the eclass, as that may
# define the functions after its call.
__ebd_export_functions() {
	builtin local phase
	for phase in ${__ebd_exported}; do
		if builtin declare -F "${__ebd_name}_${phase}" >/dev/null; then
			builtin eval "${phase}() { ${__ebd_name}_${phase} \"\$@\"; }"
		else
			die "EXPORT_FUNCTIONS: ${__ebd_name}_${phase} is not defined in ${__ebd_name}.eclass"
		fi
	done
}

# __ebd_source_eclass: finds the eclass __ebd_name and sources it with nothing but its own name in
# scope.
__ebd_source_eclass() {
	builtin local __ebd_dir
	if [[ ${__ebd_name} == */* || ${__ebd_name} == .* || -z ${__ebd_name} ]]; then
		die "inherit: '${__ebd_name}' is no name of an eclass"
	fi
	for __ebd_dir in "${__EBD_ECLASS_DIRS[@]}"; do
		__ebd_file=${__ebd_dir}/${__ebd_name}.eclass
		[[ ! -f ${__ebd_file} ]] || builtin break
	done
	if [[ ! -f ${__ebd_file} ]]; then
		die "inherit: ${__ebd_name}.eclass was not found in ${__EBD_ECLASS_DIRS[*]}"
	fi
	# shellcheck disable=SC1090
	builtin source "${__ebd_file}"
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
}

# __ebd_reserved_names: puts the names of functions into __ebd_reserved that PMS 12.3.17 keeps for package managers.
__ebd_reserved_names() {
	builtin local anything='[Ee][Bb][Uu][Ii][Ll][Dd]*'
	builtin shopt -s extglob
	builtin compgen -A function -X "!@(__*|[Aa][Bb][Oo][Rr][Tt]*|[Dd][Yy][Nn]*|[Pp][Rr][Ee][Pp]*|${anything}|*[^A-Za-z]${anything}|*[Hh][Oo][Oo][Kk]*|*[Pp][Aa][Ll][Uu][Dd][Ii][Ss]*|*[Pp][Oo][Rr][Tt][Aa][Gg][Ee]*)" \
		>|"${__EBD_BUILD}/functions"
	builtin shopt -u extglob
	builtin mapfile -t __ebd_reserved <"${__EBD_BUILD}/functions"
}

# __ebd_tell_reserved_names KNOWN…: tells of functions with such names that were not there before.
__ebd_tell_reserved_names() {
	builtin local -a __ebd_reserved
	builtin local name found='' known=" $* "
	__ebd_reserved_names
	for name in "${__ebd_reserved[@]}"; do
		[[ ${known} == *" ${name} "* ]] || found+=" ${name}"
	done
	if [[ -n ${found} ]]; then
		__ebd_qa_notice "functions have names that are reserved for package managers:${found}"
	fi
}

# __ebd_after_source: joins the eclasses' parts to the ebuild's and finds the defined phases.
__ebd_after_source() {
	builtin local var
	builtin local -a phases
	builtin shopt -u failglob
	builtin set +e +f +u +C
	# Metadata is what sourcing leaves, not what ending the shell would do.
	builtin trap - EXIT
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
	# Through a file: asked for one by one, they would take a good part of the whole time.
	# shellcheck disable=SC2086 # a list
	{
		builtin declare -F ${__EBD_EAPI[phases]}
		builtin declare -pn
	} >|"${__EBD_BUILD}/phases"
	builtin mapfile -t phases <"${__EBD_BUILD}/phases"
	if [[ ${phases[*]} == *'declare '* ]]; then
		var=${phases[*]#*declare -* }
		die "${var%%=*}: a reference to another name may be declared in a function only (PMS 6)"
	fi
	DEFINED_PHASES=${phases[*]#*_}
	DEFINED_PHASES=${DEFINED_PHASES:--}
	# shellcheck disable=SC2034 # read by name
	INHERIT=${__EBD_INHERIT}
	builtin unset -v ECLASS __EBD_ECLASS_VALUES __EBD_INHERIT __EBD_GLOBAL_SCOPE
}
