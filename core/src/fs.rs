//! Files: atomic writes, safe opens beneath a root, removal. The only room (beside `layer`) that uses `std::fs`.
