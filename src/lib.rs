//! treewal
