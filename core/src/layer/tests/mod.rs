//! Tests of the room as a whole: faithful unpacking, hostile archives, damage, and what others make.

mod archive;
mod compressed;
mod damage;
mod faithful;
mod hostile;
mod measure;
mod memory;
mod merged;
mod nested;
mod peers;
