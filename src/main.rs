//! `byok`: see [`byok::cli::main`].

fn main() -> std::process::ExitCode {
    byok::cli::main()
}
