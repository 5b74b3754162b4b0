//! Names of `e_machine`, and the multilib category that Portage derives from an ELF header.

use super::elf::{Class, ElfInfo};

/// The machines scanelf has a name for. It knows no other, so neither do files it writes.
const NAMES: &[(u16, &str)] = &[
    (0, "NONE"),
    (1, "M32"),
    (2, "SPARC"),
    (3, "386"),
    (4, "68K"),
    (5, "88K"),
    (7, "860"),
    (8, "MIPS"),
    (9, "S370"),
    (10, "MIPS_RS3_LE"),
    (15, "PARISC"),
    (17, "VPP500"),
    (18, "SPARC32PLUS"),
    (19, "960"),
    (20, "PPC"),
    (21, "PPC64"),
    (22, "S390"),
    (36, "V800"),
    (37, "FR20"),
    (38, "RH32"),
    (39, "RCE"),
    (40, "ARM"),
    (41, "FAKE_ALPHA"),
    (42, "SH"),
    (43, "SPARCV9"),
    (44, "TRICORE"),
    (45, "ARC"),
    (46, "H8_300"),
    (47, "H8_300H"),
    (48, "H8S"),
    (49, "H8_500"),
    (50, "IA_64"),
    (51, "MIPS_X"),
    (52, "COLDFIRE"),
    (53, "68HC12"),
    (54, "MMA"),
    (55, "PCP"),
    (56, "NCPU"),
    (57, "NDR1"),
    (58, "STARCORE"),
    (59, "ME16"),
    (60, "ST100"),
    (61, "TINYJ"),
    (62, "X86_64"),
    (63, "PDSP"),
    (66, "FX66"),
    (67, "ST9PLUS"),
    (68, "ST7"),
    (69, "68HC16"),
    (70, "68HC11"),
    (71, "68HC08"),
    (72, "68HC05"),
    (73, "SVX"),
    (74, "ST19"),
    (75, "VAX"),
    (76, "CRIS"),
    (77, "JAVELIN"),
    (78, "FIREPATH"),
    (79, "ZSP"),
    (80, "MMIX"),
    (81, "HUANY"),
    (82, "PRISM"),
    (83, "AVR"),
    (84, "FR30"),
    (85, "D10V"),
    (86, "D30V"),
    (87, "V850"),
    (88, "M32R"),
    (89, "MN10300"),
    (90, "MN10200"),
    (91, "PJ"),
    (92, "OPENRISC"),
    (93, "ARC_A5"),
    (94, "XTENSA"),
    (95, "VIDEOCORE"),
    (96, "TMM_GPP"),
    (97, "NS32K"),
    (98, "TPC"),
    (99, "SNP1K"),
    (100, "ST200"),
    (101, "IP2K"),
    (102, "MAX"),
    (103, "CR"),
    (104, "F2MC16"),
    (105, "MSP430"),
    (106, "BLACKFIN"),
    (107, "SE_C33"),
    (108, "SEP"),
    (109, "ARCA"),
    (110, "UNICORE"),
    (113, "ALTERA_NIOS2"),
    (183, "AARCH64"),
    (188, "TILEPRO"),
    (189, "MICROBLAZE"),
    (191, "TILEGX"),
    (243, "RISCV"),
    (258, "LOONGARCH"),
    (0x9026, "ALPHA"),
];

/// The machine's name without `EM_`, `UNKNOWN_TYPE` for one that scanelf does not know.
pub fn name(machine: u16) -> &'static str {
    NAMES
        .binary_search_by_key(&machine, |(number, _)| *number)
        .ok()
        .and_then(|at| NAMES.get(at))
        .map_or("UNKNOWN_TYPE", |(_, name)| name)
}

/// The multilib category, such as `x86_64` or `mips_n32`; `None` where Portage recognises none.
pub fn multilib_category(elf: &ElfInfo) -> Option<String> {
    let is_64 = elf.class == Class::Elf64;
    let prefix = match elf.machine {
        3 | 62 => "x86",
        4 => "m68k",
        40 | 183 => "arm",
        0x9026 => "alpha",
        224 => "amdgpu",
        113 => "nios2",
        45 | 93 | 195 | 253 | 255 => "arc",
        247 => "bpf",
        50 => "ia64",
        258 => "loong",
        175 => "e2k",
        8 => "mips",
        15 => "hppa",
        20 | 21 => "ppc",
        243 => "riscv",
        22 => "s390",
        42 => "sh",
        2 | 18 | 43 => "sparc",
        _ => return None,
    };
    let suffix = match prefix {
        "loong" => match elf.flags & 7 {
            1 => "lp64s",
            2 => "lp64f",
            3 => "lp64d",
            5 => "ilp32s",
            6 => "ilp32f",
            7 => "ilp32d",
            _ => return None,
        },
        "mips" => match elf.flags & 0xf000 {
            0 if elf.flags & 0x20 != 0 => "n32",
            0 if is_64 => "n64",
            0x1000 => "o32",
            0x2000 => "o64",
            0x3000 => "eabi32",
            0x4000 => "eabi64",
            _ => return None,
        },
        // Compressed instructions, with or without the double-float ABI, and nothing else.
        "riscv" => match (is_64, elf.flags) {
            (true, 1) => "lp64",
            (true, 5) => "lp64d",
            (false, 1) => "ilp32",
            (false, 5) => "ilp32d",
            _ => return None,
        },
        _ if is_64 => "64",
        _ if elf.machine == 62 => "x32",
        _ => "32",
    };
    Some(format!("{prefix}_{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::super::elf::Kind;
    use super::*;

    fn category(class: Class, machine: u16, flags: u32) -> Option<String> {
        multilib_category(&ElfInfo {
            class,
            little_endian: true,
            machine,
            flags,
            kind: Kind::SharedObject,
            needed: Vec::new(),
            soname: None,
            rpath: None,
            runpath: None,
            has_symtab: false,
            has_dynsym: false,
            textrel: false,
            executable_stack: false,
            writable_code: false,
            undefined_symbols: false,
        })
    }

    #[test]
    fn names_are_sorted_for_the_search() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(name(62), "X86_64");
        assert_eq!(name(183), "AARCH64");
        assert_eq!(name(247), "UNKNOWN_TYPE");
    }

    #[test]
    fn categories() {
        use Class::{Elf32, Elf64};
        for (class, machine, flags, expected) in [
            (Elf64, 62, 0, "x86_64"),
            (Elf32, 62, 0, "x86_x32"),
            (Elf32, 3, 0, "x86_32"),
            (Elf64, 183, 0, "arm_64"),
            (Elf32, 40, 0x0500_0400, "arm_32"),
            (Elf32, 8, 0x1007, "mips_o32"),
            (Elf32, 8, 0x27, "mips_n32"),
            (Elf64, 8, 0x7, "mips_n64"),
            (Elf64, 243, 5, "riscv_lp64d"),
            (Elf32, 243, 1, "riscv_ilp32"),
            (Elf64, 258, 0x43, "loong_lp64d"),
            (Elf64, 21, 2, "ppc_64"),
            (Elf32, 20, 0, "ppc_32"),
            (Elf64, 43, 0, "sparc_64"),
            (Elf64, 247, 0, "bpf_64"),
        ] {
            assert_eq!(category(class, machine, flags).as_deref(), Some(expected));
        }
        assert_eq!(category(Elf32, 8, 0), None);
        assert_eq!(category(Elf64, 243, 4), None);
        assert_eq!(category(Elf64, 94, 0), None);
    }
}
