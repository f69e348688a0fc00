//! `list` and `ps`.

use super::state::Record;
use super::{Runtime, State, groups};
use crate::error::Result;
use crate::fs;

impl Runtime {
    /// All containers, by id. One whose directory is damaged or on its way is left out.
    ///
    /// # Errors
    /// Those of reading the root.
    pub fn list(&self) -> Result<Vec<State>> {
        let ids = fs::list(&self.root)?;
        Ok(ids.iter().filter_map(|id| self.state(id.to_str()?).ok()).collect())
    }

    /// The processes of a container, by their numbers outside.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn processes(&self, id: &str) -> Result<Vec<i32>> {
        let record = Record::read(&self.known(id)?)?;
        match record.cgroups.is_empty() {
            true => Ok(record.process()?.map(|_| record.pid).into_iter().collect()),
            false => Ok(groups::members(&record.cgroups)),
        }
    }
}
