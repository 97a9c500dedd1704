//! A long list on stdout, written while it is read.
//!
//! Guarantees: with `--json` it is one document, `{"items":[…],…}`; otherwise one line for each item.
//! Only one item is in memory, so the length of a list is not limited.

use std::io::{self, BufWriter, Stdout, Write};

use serde::Serialize;

use crate::app::App;

/// Items per read.
pub const PAGE: u32 = 500;

pub struct ListOutput {
    out: BufWriter<Stdout>,
    as_json: bool,
    is_first: bool,
}

impl ListOutput {
    pub fn begin(app: &App) -> io::Result<Self> {
        let mut out = BufWriter::new(io::stdout());
        if app.global.json {
            out.write_all(b"{\"items\":[")?;
        }
        Ok(Self { out, as_json: app.global.json, is_first: true })
    }

    pub fn put(&mut self, item: &impl Serialize, line: impl FnOnce() -> String) -> io::Result<()> {
        if !self.as_json {
            return writeln!(self.out, "{}", line());
        }
        if !std::mem::take(&mut self.is_first) {
            self.out.write_all(b",")?;
        }
        serde_json::to_writer(&mut self.out, item)?;
        Ok(())
    }

    /// Ends the list with one more field of the document, or with a line.
    pub fn end(
        mut self,
        name: &str,
        value: &impl Serialize,
        line: Option<String>,
    ) -> io::Result<()> {
        if self.as_json {
            write!(self.out, "],\"{name}\":")?;
            serde_json::to_writer(&mut self.out, value)?;
            self.out.write_all(b"}\n")?;
        } else if let Some(line) = line {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }
}
