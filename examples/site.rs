//! Publishes a small site: many pages and their index change together. Run it with a directory to publish into.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use std::error::Error;

use treewal::Tree;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: site DIR")?;
    let tree = Tree::open(&dir)?;
    if !tree.recovery().is_clean() {
        println!("{}", tree.recovery());
    }
    let pages: Vec<String> = (0..100).map(|n| format!("page-{n:03}.html")).collect();
    let receipt = {
        let mut tx = tree.begin();
        tx.create_dir_all("site/pages")?;
        for page in &pages {
            tx.write(format!("site/pages/{page}"), format!("<h1>{page}</h1>\n"))?;
        }
        tx.write("site/index.html", pages.join("\n"))?;
        tx.commit()?
    };
    println!("published {} paths as transaction {}", receipt.changes, receipt.id);
    Ok(())
}
