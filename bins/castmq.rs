//! castmq
fn main() {}
