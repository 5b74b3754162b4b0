# shellcheck shell=bash
# The default implementations of the phase functions (PMS, ebuild-defined functions).

__ebd_has_makefile() {
	[[ -f Makefile || -f GNUmakefile || -f makefile ]]
}

__ebd_default_pkg_nofetch() {
	builtin local -
	builtin local IFS=$' \t\n' file
	builtin set -f
	[[ -n ${A} ]] || return 0
	elog "The following files cannot be fetched for ${PN}:"
	for file in ${A}; do
		elog "   ${file}"
	done
}

__ebd_default_src_unpack() {
	builtin local -
	builtin local IFS=$' \t\n'
	builtin set -f
	# shellcheck disable=SC2086
	[[ -z ${A} ]] || unpack ${A}
}

__ebd_default_src_prepare() {
	builtin local -
	builtin local IFS=$' \t\n'
	builtin local -a separator
	separator=()
	case ${__EBD_EAPI[src_prepare]} in
		6) ;;
		8) separator=( -- ) ;;
		*) return 0 ;;
	esac
	builtin set +f
	# shellcheck disable=SC2068,SC2086,SC2128
	if [[ ${PATCHES@a} == *a* ]]; then
		# An array of empty strings is no list of patches either.
		[[ -z ${PATCHES[*]} ]] || eapply "${separator[@]}" "${PATCHES[@]}"
	else
		[[ -z ${PATCHES} ]] || eapply "${separator[@]}" ${PATCHES}
	fi
	eapply_user
}

__ebd_default_src_configure() {
	[[ ! -x ${ECONF_SOURCE:-.}/configure ]] || econf
}

__ebd_default_src_compile() {
	case ${__EBD_EAPI[src_compile]} in
		0) [[ ! -x ./configure ]] || econf ;;
		1) [[ ! -x ${ECONF_SOURCE:-.}/configure ]] || econf ;;
	esac
	if __ebd_has_makefile; then
		emake || die "emake failed"
	fi
}

# Make itself is asked for the target, with what emake would give it; emake would abort.
__ebd_default_src_test() {
	builtin local -
	builtin local IFS=$' \t\n' target
	builtin local -a serial make
	serial=()
	builtin set -f
	[[ -n ${__EBD_EAPI[parallel_tests]} ]] || serial=( -j1 )
	# A jobserver handed down in MAKEFLAGS must not be taken away again.
	[[ -z ${MAKEFLAGS} ]] || builtin local -x MAKEOPTS=''
	# shellcheck disable=SC2206
	make=( ${MAKE:-make} ${MAKEOPTS} ${EXTRA_EMAKE} )
	for target in check test; do
		if builtin command "${make[@]}" "${serial[@]}" "${target}" -n &>/dev/null; then
			emake "${serial[@]}" "${target}" || die "make ${target} failed, its output is above"
			return 0
		fi
	done
	return 0
}

__ebd_default_src_install() {
	case ${__EBD_EAPI[src_install]} in
		4) __ebd_default_src_install_4 ;;
		6)
			if __ebd_has_makefile; then
				emake DESTDIR="${D}" install
			fi
			einstalldocs
			;;
	esac
}

__ebd_default_src_install_4() {
	builtin local -
	builtin local IFS=$' \t\n' file
	builtin local -a __EBD_DOCS
	builtin set +f
	if __ebd_has_makefile; then
		emake DESTDIR="${D}" install
	fi
	# shellcheck disable=SC2086,SC2128
	if ! __ebd_declared DOCS; then
		__ebd_default_docs
		for file in "${__EBD_DOCS[@]}"; do
			dodoc "${file}"
		done
	elif [[ ${DOCS@a} == *a* ]]; then
		dodoc "${DOCS[@]}"
	else
		dodoc ${DOCS}
	fi
}

# __ebd_run_default PHASE_FUNCTION
#
# Runs the default implementation of a phase in any EAPI; what has none does nothing.
__ebd_run_default() {
	if builtin declare -F "__ebd_default_$1" >/dev/null; then
		"__ebd_default_$1"
	fi
}

# __ebd_has_default PHASE_FUNCTION
#
# True if the EAPI lets ebuilds call the default implementation of this phase.
__ebd_has_default() {
	__ebd_contains_word "$1" "${__EBD_EAPI[default_functions]}"
}

# default
default() {
	__ebd_scope default
	__ebd_has_default "${__EBD_PHASE_FUNC}" \
		|| die "default: ${__EBD_PHASE_FUNC} has no default in EAPI ${EAPI:-0}"
	"__ebd_default_${__EBD_PHASE_FUNC}"
}

# Each default_ function is good in its own phase only.
__ebd_named_default() {
	__ebd_scope "default_$1" "$1"
	__ebd_has_default "$1" || die "default_$1: not available in EAPI ${EAPI:-0}"
	"__ebd_default_$1"
}

default_pkg_config() { __ebd_named_default pkg_config; }
default_pkg_info() { __ebd_named_default pkg_info; }
default_pkg_nofetch() { __ebd_named_default pkg_nofetch; }
default_pkg_postinst() { __ebd_named_default pkg_postinst; }
default_pkg_postrm() { __ebd_named_default pkg_postrm; }
default_pkg_preinst() { __ebd_named_default pkg_preinst; }
default_pkg_prerm() { __ebd_named_default pkg_prerm; }
default_pkg_pretend() { __ebd_named_default pkg_pretend; }
default_pkg_setup() { __ebd_named_default pkg_setup; }
default_src_compile() { __ebd_named_default src_compile; }
default_src_configure() { __ebd_named_default src_configure; }
default_src_install() { __ebd_named_default src_install; }
default_src_prepare() { __ebd_named_default src_prepare; }
default_src_test() { __ebd_named_default src_test; }
default_src_unpack() { __ebd_named_default src_unpack; }

# __ebd_define_phases
#
# Gives the ebuild the phase functions it lacks and its EAPI has a default for, so that they run,
# and are saved, like its own.
__ebd_define_phases() {
	builtin local phase
	for phase in pkg_nofetch src_unpack src_prepare src_configure src_compile src_test src_install
	do
		builtin declare -F "${phase}" >/dev/null && continue
		# No function for a phase the EAPI lacks, nor for one that does nothing and cannot be called.
		case ${__EBD_EAPI[${phase}]} in
			absent) continue ;;
			noop) __ebd_has_default "${phase}" || [[ ${phase} == pkg_nofetch ]] || continue ;;
		esac
		if __ebd_has_default "${phase}"; then
			builtin eval "${phase}() { default; }"
		else
			builtin eval "${phase}() { __ebd_run_default ${phase}; }"
		fi
	done
}
