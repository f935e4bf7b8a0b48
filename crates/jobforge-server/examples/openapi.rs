//! Prints the description of the API: `cargo run --package jobforge-server --example openapi > docs/openapi.json`.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

fn main() {
    print!("{}", jobforge_server::openapi());
}
