//! Image references, as Docker reads them.
