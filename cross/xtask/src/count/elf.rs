//! Sections and symbols of a built image.

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow};
use object::{Object, ObjectSection, ObjectSymbol};

/// What is read from an image.
#[derive(Debug)]
pub struct Image {
    /// Bytes of `.text`.
    pub text: u64,
    /// Bytes of `.rodata`, its variants included.
    pub rodata: u64,
    symbols: Vec<(String, u64)>,
}

impl Image {
    /// Reads the ELF file at `path`.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = object::File::parse(&*bytes)
            .with_context(|| format!("{} is no ELF file", path.display()))?;
        let size = |wanted: &dyn Fn(&str) -> bool| {
            file.sections()
                .filter(|section| section.name().is_ok_and(wanted))
                .map(|section| section.size())
                .sum()
        };
        let symbols = file
            .symbols()
            .filter_map(|symbol| Some((symbol.name().ok()?.to_string(), symbol.address())))
            .collect();
        Ok(Image {
            text: size(&|name| name == ".text"),
            rodata: size(&|name| name == ".rodata" || name.starts_with(".rodata.")),
            symbols,
        })
    }

    /// Where the function `name` starts. Thumb functions have odd symbols.
    pub fn function(&self, name: &str) -> anyhow::Result<u64> {
        let at = self.symbol(name)?;
        Ok(at & !1)
    }

    /// The address of the symbol `name`.
    pub fn symbol(&self, name: &str) -> anyhow::Result<u64> {
        self.symbols
            .iter()
            .find(|(symbol, _)| symbol == name)
            .map(|(_, at)| *at)
            .ok_or_else(|| anyhow!("the image has no symbol {name}"))
    }
}
