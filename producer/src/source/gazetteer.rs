//! The built-in list as a source: the most populous cities first.
//!
//! Its cursor is the number of rows that are read.

use isobar_model::gazetteer::builtin;

use super::row::{ParsedRow, RowSubject, SourceCity, SourceRow};

#[derive(Debug)]
pub struct GazetteerSource {
    position: u64,
}

impl GazetteerSource {
    pub fn at(position: u64) -> Self {
        Self { position }
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    /// Up to `limit` rows; none at the end.
    pub fn read(&mut self, limit: usize) -> Vec<SourceRow> {
        let from = self.position;
        let rows: Vec<SourceRow> = builtin()
            .cities()
            .iter()
            .skip(from as usize)
            .take(limit)
            .zip(from + 1..)
            .map(|(city, number)| {
                let row = ParsedRow::Task(RowSubject::City(SourceCity::from_gazetteer(city)));
                SourceRow { number, row }
            })
            .collect();
        self.position += rows.len() as u64;
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_in_pieces() {
        let mut source = GazetteerSource::at(0);
        assert_eq!(source.read(500).len(), 500);
        let mut rest = GazetteerSource::at(source.position());
        assert_eq!(rest.read(1)[0].number, 501);
        assert_eq!(rest.read(100_000).len(), 34_006 - 501);
        assert!(rest.read(1).is_empty());
    }
}
