//! What is done to directories at the end: modes, owners and times would be spoilt, or would be in the
//! way, while files are still put into them.

use super::entry::Meta;

/// A note on a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// It was made, for a path that goes through it, without an entry of its own.
    Implied,
    /// An entry made it.
    Made(Meta),
    /// A further entry told of it.
    Changed(Meta),
    /// It hides what the layers below have in it.
    Opaque,
    /// A whiteout in it is a file with an attribute; overlayfs looks for those only where told.
    HoldsWhiteouts,
}

/// The notes, in the order of the archive.
#[derive(Default)]
pub struct Notes(Vec<(Box<[u8]>, Note)>);

/// What is to be done to one directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Final<'a> {
    /// Where it is; no part is a symlink, unless it was replaced since.
    pub path: &'a [u8],
    /// As the last entry told; `None` for an implied one.
    pub meta: Option<Meta>,
    /// To be marked opaque.
    pub opaque: bool,
    /// To be marked as holding whiteouts of attributes.
    pub holds_whiteouts: bool,
}

impl Notes {
    /// Notes it.
    pub fn push(&mut self, path: &[u8], note: Note) {
        self.0.push((path.into(), note));
    }

    /// Calls `act` for every directory, those below before those above.
    pub fn finish<E>(mut self, mut act: impl FnMut(Final<'_>) -> Result<(), E>) -> Result<(), E> {
        // Stable, so a directory's notes stay in order; and what is below sorts after.
        self.0.sort_by(|a, b| b.0.cmp(&a.0));
        self.0.chunk_by(|a, b| a.0 == b.0).try_for_each(|notes| act(fold(notes)))
    }
}

fn fold(notes: &[(Box<[u8]>, Note)]) -> Final<'_> {
    let new = || Final { path: &notes[0].0, meta: None, opaque: false, holds_whiteouts: false };
    notes.iter().fold(new(), |so_far, (_, note)| match note {
        Note::Implied => new(),
        Note::Made(meta) => Final { meta: Some(*meta), ..new() },
        Note::Changed(meta) => Final { meta: Some(*meta), ..so_far },
        Note::Opaque => Final { opaque: true, ..so_far },
        Note::HoldsWhiteouts => Final { holds_whiteouts: true, ..so_far },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_children_come_first() {
        let meta = |mode| Meta { mode, ..Meta::default() };
        let mut notes = Notes::default();
        notes.push(b"", Note::Implied);
        notes.push(b"a", Note::Made(meta(1)));
        notes.push(b"a", Note::Opaque);
        notes.push(b"a/b", Note::Implied);
        notes.push(b"a", Note::Changed(meta(2)));
        notes.push(b"a.x", Note::Opaque);
        notes.push(b"a.x", Note::Made(meta(3)));
        let mut seen = Vec::new();
        let all: Result<(), ()> = notes.finish(|f| {
            seen.push((f.path.to_vec(), f.meta.map(|m| m.mode), f.opaque));
            Ok(())
        });
        all.unwrap();
        let expected: [(&[u8], _, _); 4] =
            [(b"a/b", None, false), (b"a.x", Some(3), false), (b"a", Some(2), true), (b"", None, false)];
        assert_eq!(seen, expected.map(|(path, mode, opaque)| (path.to_vec(), mode, opaque)));
    }
}
