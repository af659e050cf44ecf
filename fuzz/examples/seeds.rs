//! Writes the seeds into `corpus`; files that are there already are written again, others are left alone.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let seeds = wampd_fuzz::seeds::seeds();
    for seed in &seeds {
        let directory = corpus.join(seed.target);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(&seed.name), &seed.data)?;
    }
    println!("{} seeds", seeds.len());
    Ok(())
}
