//! The `ebd` program: arguments in, one call into [`ebd::cli`].

fn main() -> std::process::ExitCode {
    ebd::cli::main()
}
