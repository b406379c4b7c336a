//! The program `heirloom`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    heirloom_node::main()
}
