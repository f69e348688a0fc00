//! Tests of the room as a whole: faithful unpacking, hostile archives, damage.

mod archive;
mod compressed;
mod faithful;
