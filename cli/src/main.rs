//! treewal
fn main() {}
