//! The columns of the results: what of a row is compared with what of another.

use crate::corpus::Corpus;
use crate::race::Row;

/// One figure per row, in MB/s of text; the last column, load, in milliseconds of CPU time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Column {
    First(usize),
    Unseen(usize),
    Hot(usize),
    Decode,
    Load,
}

/// All columns, in the order of the table. The last corpus is that of short strings, of which each pass but the first is hot.
pub fn columns(corpora: &[Corpus]) -> Vec<Column> {
    let long = 0..corpora.len() - 1;
    let short = corpora.len() - 1;
    long.flat_map(|at| [Column::First(at), Column::Unseen(at), Column::Hot(at)])
        .chain([Column::First(short), Column::Hot(short), Column::Decode, Column::Load])
        .collect()
}

impl Column {
    pub fn name(self, corpora: &[Corpus]) -> String {
        match self {
            Self::First(at) => format!("{} first", corpora[at].name),
            Self::Unseen(at) => format!("{} unseen", corpora[at].name),
            Self::Hot(at) => format!("{} hot", corpora[at].name),
            Self::Decode => "decode".to_owned(),
            Self::Load => "load".to_owned(),
        }
    }

    /// The figure of a row; none where ids differ or nothing was measured.
    pub fn figure(self, row: &Row, corpora: &[Corpus]) -> Option<f64> {
        let speed = |len: u64, nanoseconds: u64| len as f64 * 1e3 / nanoseconds.max(1) as f64;
        let cell = |at: usize| row.cells.get(at)?.measured();
        match self {
            Self::First(at) => Some(speed(corpora[at].warm_len, cell(at)?.first)),
            Self::Unseen(at) => Some(speed(corpora[at].timed_len, cell(at)?.unseen)),
            Self::Hot(at) => Some(speed(corpora[at].timed_len, cell(at)?.hot)),
            Self::Decode => {
                let long = 0..corpora.len() - 1;
                let parts = long.filter_map(|at| Some((corpora[at].timed_len, cell(at)?.decode)));
                let (len, time) = parts.fold((0, 0), |(len, time), part| (len + part.0, time + part.1));
                (len > 0).then(|| speed(len, time))
            }
            Self::Load => {
                let loads = row.cells.iter().filter_map(|cell| Some(cell.measured()?.load));
                loads.min().map(|load| load as f64 / 1e6)
            }
        }
    }

    /// The best figure of `rows`.
    pub fn best<'a>(self, rows: impl Iterator<Item = &'a Row>, corpora: &[Corpus]) -> Option<f64> {
        let figures = rows.filter_map(|row| self.figure(row, corpora));
        if self == Self::Load { figures.reduce(f64::min) } else { figures.reduce(f64::max) }
    }

    /// How `row` stands to the best peer: above one is ahead.
    pub fn ratio(self, row: &Row, rows: &[Row], corpora: &[Corpus]) -> Option<f64> {
        let ours = self.figure(row, corpora)?;
        let best = self.best(rows.iter().filter(|row| !row.is_ours()), corpora)?;
        Some(if self == Self::Load { best / ours } else { ours / best })
    }
}
