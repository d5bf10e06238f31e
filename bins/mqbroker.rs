//! mqbroker
fn main() {}
